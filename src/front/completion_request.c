#include "front/completion_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define USUAL_TOKENS     16         /* OpenAI's default here */
#define MAX_PROMPT_BYTES (16 << 20) /* as JSON; what GENERATE holds */

static const struct params_rule rules[] = {
    {"model", PARAMS_USED},
    {"prompt", PARAMS_USED},
    {"stream", PARAMS_USED},
    {"stream_options", PARAMS_USED},
    {"temperature", PARAMS_USED},
    {"top_p", PARAMS_USED},
    {"top_k", PARAMS_USED},
    {"min_p", PARAMS_USED},
    {"repetition_penalty", PARAMS_USED},
    {"presence_penalty", PARAMS_USED},
    {"frequency_penalty", PARAMS_USED},
    {"seed", PARAMS_USED},
    {"stop", PARAMS_USED},
    {"max_tokens", PARAMS_USED},
    {"n", PARAMS_USED},
    {"best_of", PARAMS_USED},
    {"echo", PARAMS_USED},
    {"response_format", PARAMS_USED},
    {"user", PARAMS_HARMLESS},
    {"metadata", PARAMS_HARMLESS},
    {"store", PARAMS_HARMLESS},
    {"suffix", PARAMS_IF_EMPTY},
    {"logit_bias", PARAMS_IF_EMPTY},
    {"logprobs", PARAMS_REFUSED}, /* 0 asks for those of the chosen tokens */
};

/* ---- prompts */

static int check_ids(const json_t *ids, const char *field, struct vlmd_error *err)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return err_set(err, VLMD_INVALID, field, "a token id is an integer from 0 on");
    }
    return 0;
}

static int add_prompt(const json_t *prompt, const char *field, struct completion_request *out,
                      struct vlmd_error *err)
{
    bool text = json_is_string(prompt);
    size_t len = text ? json_string_length(prompt) : json_array_size(prompt);
    if (!text && !json_is_array(prompt))
        return err_set(err, VLMD_INVALID, field, "a prompt is a string or a list of token ids");
    if (len == 0)
        return err_set(err, VLMD_INVALID, field, "the prompt is empty");
    if (!text && check_ids(prompt, field, err) < 0)
        return -1;
    char *json = json_dumps(prompt, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!json)
        return err_no_memory(err, len);
    out->prompts[out->n_prompts++] = json;
    if (strlen(json) > MAX_PROMPT_BYTES)
        return err_set(err, VLMD_TOO_LARGE, field, "a prompt has at most %d bytes",
                       MAX_PROMPT_BYTES);
    return 0;
}

/* A list is one of prompts, unless its first item is a number: then it is itself one prompt. */
static int parse_prompts(const json_t *body, struct completion_request *out, struct vlmd_error *err)
{
    const json_t *prompt = json_object_get(body, "prompt");
    if (!prompt || json_is_null(prompt))
        return err_set(err, VLMD_INVALID, "prompt", "prompt is required");
    out->several = json_is_array(prompt) && !json_is_number(json_array_get(prompt, 0));
    size_t n = out->several ? json_array_size(prompt) : 1;
    if (n == 0)
        return err_set(err, VLMD_INVALID, "prompt", "the prompt is empty");
    if (n > COMPLETION_MAX_CHOICES)
        return err_set(err, VLMD_TOO_LARGE, "prompt", "prompt has at most %d items",
                       COMPLETION_MAX_CHOICES);
    out->prompts = calloc(n, sizeof *out->prompts);
    if (!out->prompts)
        return err_no_memory(err, n * sizeof *out->prompts);
    if (!out->several)
        return add_prompt(prompt, "prompt", out, err);
    for (size_t i = 0; i < n; i++) {
        char field[32];
        snprintf(field, sizeof field, "prompt[%zu]", i);
        if (add_prompt(json_array_get(prompt, i), field, out, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the rest */

static int parse_choices(const json_t *body, struct completion_request *out, struct vlmd_error *err)
{
    int32_t best_of = 1;
    out->n = 1;
    if (json_get_int32(body, "n", 1, COMPLETION_MAX_CHOICES, &out->n, err) < 0)
        return -1;
    int given = json_get_int32(body, "best_of", 1, COMPLETION_MAX_CHOICES, &best_of, err);
    if (given < 0)
        return -1;
    if (given == 1 && best_of != out->n)
        return err_set(err, VLMD_UNSUPPORTED, "best_of",
                       "best_of is not supported yet, unless it is n");
    if (out->n_prompts * (size_t)out->n > COMPLETION_MAX_CHOICES)
        return err_set(err, VLMD_TOO_LARGE, "n", "a request has at most %d answers together",
                       COMPLETION_MAX_CHOICES);
    return json_get_bool(body, "echo", &out->echo, err) < 0 ? -1 : 0;
}

int completion_request_parse(const char *text, size_t len, struct completion_request *out,
                             struct vlmd_error *err)
{
    int status = -1;
    *out = (struct completion_request){0};
    json_t *body = params_body(text, len, err);
    if (!body)
        return -1;
    if (params_check(body, rules, sizeof rules / sizeof *rules, err) < 0 ||
        params_parse(body, &out->params, err) < 0 || params_check_format(body, err) < 0 ||
        parse_prompts(body, out, err) < 0 || parse_choices(body, out, err) < 0)
        goto out;
    if (out->params.max_tokens == 0)
        out->params.max_tokens = USUAL_TOKENS;
    status = 0;
out:
    json_decref(body);
    return status;
}

void completion_request_free(struct completion_request *r)
{
    params_free(&r->params);
    for (size_t i = 0; i < r->n_prompts; i++)
        free(r->prompts[i]);
    free(r->prompts);
    *r = (struct completion_request){0};
}
