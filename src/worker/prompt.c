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
    buf_free(&prompt->echo);
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

/* ---- prompts that are taken as they are */

static int tokens_of_text(const struct prompt_maker *maker, const json_t *text,
                          struct prompt *prompt, struct vlmd_error *err)
{
    size_t cap = json_string_length(text) + 1;
    const struct vlmd_text_part part = {json_string_value(text), json_string_length(text), true};
    prompt->tokens = malloc(cap * sizeof *prompt->tokens);
    if (!prompt->tokens)
        return err_no_memory(err, cap * sizeof *prompt->tokens);
    int64_t n = vlmd_tokenize(maker->engine, &part, 1, prompt->tokens, cap, err);
    if (n < 0)
        return -1;
    if (n > (int64_t)cap || n > INT32_MAX)
        return err_set(err, VLMD_INTERNAL, "prompt", "more tokens than bytes");
    prompt->n_tokens = (int32_t)n;
    return 0;
}

static int tokens_of_ids(const struct prompt_maker *maker, const json_t *ids, struct prompt *prompt,
                         struct vlmd_error *err)
{
    int32_t vocab = vlmd_engine_info(maker->engine)->vocab_size;
    size_t n = json_array_size(ids);
    prompt->tokens = calloc(n + 1, sizeof *prompt->tokens);
    if (!prompt->tokens)
        return err_no_memory(err, n * sizeof *prompt->tokens);
    for (size_t i = 0; i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || id >= vocab)
            return err_set(err, VLMD_INVALID, "prompt", "token ids are from 0 to %d", vocab - 1);
        prompt->tokens[i] = (int32_t)id;
    }
    prompt->n_tokens = (int32_t)n;
    return 0;
}

/* Special tokens have no text. */
static int text_of_ids(const struct prompt_maker *maker, struct prompt *prompt,
                       struct vlmd_error *err)
{
    const char *text;
    size_t len;
    int status = -1;
    vlmd_text_stream *stream = vlmd_text_stream_open(maker->engine, NULL, 0, err);
    if (!stream)
        return -1;
    for (int32_t i = 0; i < prompt->n_tokens; i++) {
        if (vlmd_text_stream_push(stream, prompt->tokens[i], &text, &len, err) < 0)
            goto out;
        buf_append(&prompt->echo, text, len);
    }
    if (vlmd_text_stream_finish(stream, &text, &len, err) < 0)
        goto out;
    buf_append(&prompt->echo, text, len);
    status = prompt->echo.failed ? err_no_memory(err, prompt->echo.len) : 0;
out:
    vlmd_text_stream_close(stream);
    return status;
}

static int check_images(const struct prompt_maker *maker, const struct prompt *prompt,
                        struct vlmd_error *err)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(maker->engine);
    for (int32_t i = 0; info->has_vision && i < prompt->n_tokens; i++)
        if (prompt->tokens[i] == info->image_token)
            return err_set(err, VLMD_INVALID, "prompt",
                           "the prompt has the place of an image, and there is no image");
    return 0;
}

int prompt_make_raw(const struct prompt_maker *maker, const char *json, size_t len, bool echo,
                    struct prompt *prompt, struct vlmd_error *err)
{
    int status = -1;
    *prompt = (struct prompt){0};
    json_t *value = json_parse_any_text(json, len, "prompt", err);
    if (!value)
        return -1;
    bool text = json_is_string(value);
    if (text ? tokens_of_text(maker, value, prompt, err) < 0
             : tokens_of_ids(maker, value, prompt, err) < 0)
        goto out;
    if (check_images(maker, prompt, err) < 0)
        goto out;
    if (echo && !text && text_of_ids(maker, prompt, err) < 0)
        goto out;
    if (echo && text &&
        buf_append(&prompt->echo, json_string_value(value), json_string_length(value)) < 0) {
        err_no_memory(err, json_string_length(value));
        goto out;
    }
    status = 0;
out:
    json_decref(value);
    if (status < 0)
        prompt_free(prompt);
    return status;
}
