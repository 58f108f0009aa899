#include "worker/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "chat/render.h"

struct prompt_maker {
    const vlmd_engine *engine;
    chat_renderer *renderer;
};

struct prompt_maker *prompt_maker_open(const vlmd_engine *engine, const char *folder,
                                       struct vlmd_error *err)
{
    struct prompt_maker *maker = calloc(1, sizeof *maker);
    if (!maker) {
        err_no_memory(err, sizeof *maker);
        return NULL;
    }
    maker->engine = engine;
    maker->renderer = chat_renderer_open(folder, err);
    if (!maker->renderer) {
        free(maker);
        return NULL;
    }
    return maker;
}

void prompt_maker_close(struct prompt_maker *maker)
{
    if (!maker)
        return;
    chat_renderer_close(maker->renderer);
    free(maker);
}

void prompt_free(struct prompt *prompt)
{
    free(prompt->tokens);
    *prompt = (struct prompt){0};
}

/* An array from JSON text; *array stays NULL for an empty text. */
static int parse_array(const char *text, size_t len, const char *name, json_t **array,
                       struct vlmd_error *err)
{
    *array = NULL;
    if (len == 0)
        return 0;
    *array = json_parse_any_text(text, len, name, err);
    if (!*array)
        return -1;
    if (json_is_array(*array))
        return 0;
    json_decref(*array);
    *array = NULL;
    return err_set(err, VLMD_INVALID, name, "%s must be an array", name);
}

/* The rendered text's ids, in new memory; their number or -1. */
static int64_t tokenize(const struct prompt_maker *maker, const struct chat_output *output,
                        int32_t **tokens, struct vlmd_error *err)
{
    int64_t n = -1;
    size_t cap = output->len + 1; /* a token has at least one byte */
    struct vlmd_text_part *parts = calloc(output->n_segments + 1, sizeof *parts);
    *tokens = malloc(cap * sizeof **tokens);
    if (!parts || !*tokens) {
        err_no_memory(err, cap * sizeof **tokens);
        goto out;
    }
    for (size_t i = 0; i < output->n_segments; i++) {
        const struct chat_segment *s = &output->segments[i];
        parts[i] = (struct vlmd_text_part){s->text, s->len, s->trusted};
    }
    n = vlmd_tokenize(maker->engine, parts, output->n_segments, *tokens, cap, err);
    if (n > (int64_t)cap)
        n = err_set(err, VLMD_INTERNAL, "messages", "more tokens than bytes");
out:
    free(parts);
    return n;
}

/* Each placeholder becomes as many as its image has tokens. */
static int expand(const struct prompt_maker *maker, const int32_t *tokens, int64_t n,
                  const int32_t *image_tokens, int32_t n_images, struct prompt *prompt,
                  struct vlmd_error *err)
{
    int32_t placeholder = vlmd_engine_info(maker->engine)->image_token;
    int64_t total = n - n_images, found = 0, at = 0;
    for (int32_t i = 0; i < n_images; i++)
        total += image_tokens[i];
    for (int64_t i = 0; i < n; i++)
        found += tokens[i] == placeholder;
    if (found != n_images)
        return err_set(err, VLMD_INVALID, "messages", "the chat template placed %lld of %d images",
                       (long long)found, n_images);
    if (total > INT32_MAX)
        return err_set(err, VLMD_TOO_LARGE, "messages", "the prompt is too long");
    prompt->n_tokens = (int32_t)total;
    prompt->tokens = malloc(((size_t)total + 1) * sizeof *prompt->tokens);
    if (!prompt->tokens)
        return err_no_memory(err, (size_t)total * sizeof *prompt->tokens);
    for (int64_t i = 0; i < n; i++) {
        int32_t times = tokens[i] == placeholder ? *image_tokens++ : 1;
        for (int32_t j = 0; j < times; j++)
            prompt->tokens[at++] = tokens[i];
    }
    return 0;
}

int prompt_make(const struct prompt_maker *maker, const char *messages, size_t messages_len,
                const char *tools, size_t tools_len, const int32_t *image_tokens, int32_t n_images,
                struct prompt *prompt, struct vlmd_error *err)
{
    json_t *message_array = NULL, *tool_array = NULL;
    struct chat_output output = {0};
    int32_t *tokens = NULL;
    int status = -1;
    *prompt = (struct prompt){0};
    if (parse_array(messages, messages_len, "messages", &message_array, err) < 0 ||
        parse_array(tools, tools_len, "tools", &tool_array, err) < 0)
        goto out;
    if (!message_array) {
        err_set(err, VLMD_INVALID, "messages", "there are no messages");
        goto out;
    }
    if (chat_render(maker->renderer, message_array, tool_array, NULL, true, &output, err) < 0)
        goto out;
    int64_t n = tokenize(maker, &output, &tokens, err);
    if (n >= 0)
        status = expand(maker, tokens, n, image_tokens, n_images, prompt, err);
out:
    json_decref(message_array);
    json_decref(tool_array);
    chat_output_free(&output);
    free(tokens);
    return status;
}
