#include "front/chat_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data_uri.h"
#include "base/json.h"
#include "front/chat_content.h"
#include "front/chat_pixels.h"

static const struct params_rule rules[] = {
    {"model", PARAMS_USED},
    {"messages", PARAMS_USED},
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
    {"max_completion_tokens", PARAMS_USED},
    {"n", PARAMS_USED},
    {"response_format", PARAMS_USED},
    {"tool_choice", PARAMS_USED},
    {"function_call", PARAMS_USED},
    {"modalities", PARAMS_USED},
    {"min_pixels", PARAMS_USED},
    {"max_pixels", PARAMS_USED},
    {"mm_processor_kwargs", PARAMS_USED},
    {"coordinates", PARAMS_USED},
    {"coordinates_image", PARAMS_USED},
    {"user", PARAMS_HARMLESS},
    {"metadata", PARAMS_HARMLESS},
    {"store", PARAMS_HARMLESS},
    {"service_tier", PARAMS_HARMLESS},
    {"safety_identifier", PARAMS_HARMLESS},
    {"prompt_cache_key", PARAMS_HARMLESS},
    {"prompt_cache_retention", PARAMS_HARMLESS},
    {"parallel_tool_calls", PARAMS_HARMLESS}, /* there are no tools to call */
    {"tools", PARAMS_IF_EMPTY},
    {"functions", PARAMS_IF_EMPTY},
    {"logit_bias", PARAMS_IF_EMPTY},
    {"logprobs", PARAMS_IF_EMPTY},
    {"top_logprobs", PARAMS_IF_EMPTY},
    {"audio", PARAMS_IF_EMPTY},
    {"prediction", PARAMS_IF_EMPTY},
    {"web_search_options", PARAMS_IF_EMPTY},
    {"reasoning_effort", PARAMS_REFUSED},
    {"verbosity", PARAMS_REFUSED},
};

static int parse_n(const json_t *body, struct vlmd_error *err)
{
    int64_t n = 1;
    if (json_get_int(body, "n", 1, 128, &n, err) < 0)
        return -1;
    return n == 1 ? 0 : err_set(err, VLMD_UNSUPPORTED, "n", "only n = 1 is supported");
}

/* Where there are no tools, "none" and "auto" choose the same. */
static int check_choice(const json_t *body, const char *key, struct vlmd_error *err)
{
    const json_t *choice = json_object_get(body, key);
    const char *text = json_string_value(choice);
    if (!choice || json_is_null(choice) ||
        (text && (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0)))
        return 0;
    return err_set(err, VLMD_UNSUPPORTED, key, "tools are not supported yet (%s)", key);
}

/* ["text"], which is OpenAI's default and what is answered here. */
static int check_modalities(const json_t *body, struct vlmd_error *err)
{
    json_t *list = NULL;
    int got = json_get_array(body, "modalities", &list, err);
    if (got <= 0)
        return got;
    const char *only = json_string_value(json_array_get(list, 0));
    if (json_array_size(list) == 1 && only && strcmp(only, "text") == 0)
        return 0;
    return err_set(err, VLMD_UNSUPPORTED, "modalities",
                   "the only modalities supported are [\"text\"]");
}

/* "coordinates": "model" or "original", the latter of the only image or the one at
 * "coordinates_image". */
static int parse_coordinates(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    const char *which = "model";
    int64_t image = 0;
    if (json_get_string(body, "coordinates", &which, err) < 0)
        return -1;
    out->original_coordinates = strcmp(which, "original") == 0;
    if (!out->original_coordinates && strcmp(which, "model") != 0)
        return err_set(err, VLMD_INVALID, "coordinates", "coordinates must be model or original");
    int named = json_get_int(body, "coordinates_image", 0, INT32_MAX, &image, err);
    if (named < 0)
        return -1;
    if (named == 1 && !out->original_coordinates)
        return err_set(err, VLMD_INVALID, "coordinates_image",
                       "coordinates_image is only allowed when coordinates is original");
    out->coordinates_image = (size_t)image;
    if (!out->original_coordinates)
        return 0;
    if (out->coordinates_image >= out->n_images)
        return err_set(err, VLMD_INVALID, named == 1 ? "coordinates_image" : "coordinates",
                       "there is no image %lld to take coordinates from", (long long)image);
    if (named == 0 && out->n_images > 1)
        return err_set(err, VLMD_INVALID, "coordinates_image",
                       "coordinates_image must say which of the %zu images is meant (from 0)",
                       out->n_images);
    return 0;
}

int chat_request_parse(const char *text, size_t len, const struct chat_limits *limits,
                       struct chat_request *out, struct vlmd_error *err)
{
    int status = -1;
    *out = (struct chat_request){0};
    json_t *body = params_body(text, len, err);
    if (!body)
        return -1;
    if (params_check(body, rules, sizeof rules / sizeof *rules, err) < 0 ||
        params_parse(body, &out->params, err) < 0 || parse_n(body, err) < 0 ||
        params_check_format(body, err) < 0 || check_choice(body, "tool_choice", err) < 0 ||
        check_choice(body, "function_call", err) < 0 || check_modalities(body, err) < 0 ||
        chat_pixels_of_request(body, &out->bounds, err) < 0 ||
        chat_content_parse(body, limits, out, err) < 0 || parse_coordinates(body, out, err) < 0)
        goto out;
    status = 0;
out:
    json_decref(body);
    return status;
}

void chat_request_free(struct chat_request *r)
{
    params_free(&r->params);
    free(r->messages);
    for (size_t i = 0; i < r->n_images; i++)
        chat_content_free_image(&r->images[i]);
    free(r->images);
    *r = (struct chat_request){0};
}
