#include "front/chat_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data_uri.h"
#include "base/json.h"
#include "front/chat_content.h"
#include "front/chat_pixels.h"

#define MAX_DEPTH 64

/* What is done with a parameter. */
enum use {
    USED,     /* read below */
    HARMLESS, /* does not change the answer: accepted with any value */
    REFUSED,  /* would change the answer: not supported yet */
    IF_EMPTY, /* refused unless null, false, "" or empty: then it asks for nothing */
};

static const struct parameter {
    const char *name;
    enum use use;
} parameters[] = {
    {"model", USED},
    {"messages", USED},
    {"stream", USED},
    {"stream_options", USED},
    {"temperature", USED},
    {"top_p", USED},
    {"top_k", USED},
    {"min_p", USED},
    {"repetition_penalty", USED},
    {"presence_penalty", USED},
    {"frequency_penalty", USED},
    {"seed", USED},
    {"stop", USED},
    {"max_tokens", USED},
    {"max_completion_tokens", USED},
    {"n", USED},
    {"response_format", USED},
    {"tool_choice", USED},
    {"function_call", USED},
    {"modalities", USED},
    {"min_pixels", USED},
    {"max_pixels", USED},
    {"mm_processor_kwargs", USED},
    {"coordinates", USED},
    {"coordinates_image", USED},
    {"user", HARMLESS},
    {"metadata", HARMLESS},
    {"store", HARMLESS},
    {"service_tier", HARMLESS},
    {"safety_identifier", HARMLESS},
    {"prompt_cache_key", HARMLESS},
    {"prompt_cache_retention", HARMLESS},
    {"parallel_tool_calls", HARMLESS}, /* there are no tools to call */
    {"tools", IF_EMPTY},
    {"functions", IF_EMPTY},
    {"logit_bias", IF_EMPTY},
    {"logprobs", IF_EMPTY},
    {"top_logprobs", IF_EMPTY},
    {"audio", IF_EMPTY},
    {"prediction", IF_EMPTY},
    {"web_search_options", IF_EMPTY},
    {"reasoning_effort", REFUSED},
    {"verbosity", REFUSED},
};

static bool asks_for_nothing(const json_t *value)
{
    if (json_is_null(value) || json_is_false(value))
        return true;
    if (json_is_integer(value))
        return json_integer_value(value) == 0;
    if (json_is_string(value))
        return json_string_length(value) == 0;
    return json_is_array(value) ? json_array_size(value) == 0
                                : json_is_object(value) && json_object_size(value) == 0;
}

static int check_parameter(const char *name, const json_t *value, struct vlmd_error *err)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (strcmp(parameters[i].name, name) != 0)
            continue;
        enum use use = parameters[i].use;
        if (use == USED || use == HARMLESS || json_is_null(value))
            return 0;
        if (use == IF_EMPTY && asks_for_nothing(value))
            return 0;
        return err_set(err, VLMD_UNSUPPORTED, name, "%s is not supported yet", name);
    }
    return err_set(err, VLMD_INVALID, name, "unknown parameter: %s", name);
}

static int check_parameters(const json_t *body, struct vlmd_error *err)
{
    const char *name;
    const json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)body, name, value)
        if (check_parameter(name, value, err) < 0)
            return -1;
    return 0;
}

static int get_bounded(const json_t *body, const char *key, double min, double max, float *out,
                       struct vlmd_error *err)
{
    double value = (double)*out;
    int got = json_get_double(body, key, &value, err);
    if (got == 1 && (value < min || value > max))
        return err_set(err, VLMD_INVALID, key, "%s must be between %g and %g", key, min, max);
    *out = (float)value;
    return got;
}

static int parse_sampling(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    out->temperature = out->top_p = out->repetition_penalty = 1;
    if (get_bounded(body, "temperature", 0, 2, &out->temperature, err) < 0 ||
        get_bounded(body, "top_p", 0, 1, &out->top_p, err) < 0 ||
        get_bounded(body, "min_p", 0, 1, &out->min_p, err) < 0 ||
        get_bounded(body, "repetition_penalty", 0, 10, &out->repetition_penalty, err) < 0 ||
        get_bounded(body, "presence_penalty", -2, 2, &out->presence_penalty, err) < 0 ||
        get_bounded(body, "frequency_penalty", -2, 2, &out->frequency_penalty, err) < 0 ||
        json_get_int32(body, "top_k", 0, INT32_MAX, &out->top_k, err) < 0)
        return -1;
    if (out->top_p == 0)
        return err_set(err, VLMD_INVALID, "top_p", "top_p must be greater than 0");
    if (out->min_p == 1)
        return err_set(err, VLMD_INVALID, "min_p", "min_p must be less than 1");
    if (out->repetition_penalty == 0)
        return err_set(err, VLMD_INVALID, "repetition_penalty",
                       "repetition_penalty must be greater than 0");
    int64_t seed;
    int got = json_get_int(body, "seed", INT64_MIN, INT64_MAX, &seed, err);
    if (got < 0)
        return -1;
    out->has_seed = got == 1;
    out->seed = got == 1 ? (uint64_t)seed : 0;
    return 0;
}

static int parse_max_tokens(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    int32_t completion = 0;
    int old = json_get_int32(body, "max_tokens", 1, INT32_MAX, &out->max_tokens, err);
    if (old < 0)
        return -1;
    int current = json_get_int32(body, "max_completion_tokens", 1, INT32_MAX, &completion, err);
    if (current < 0)
        return -1;
    if (old == 1 && current == 1 && completion != out->max_tokens)
        return err_set(err, VLMD_INVALID, "max_tokens",
                       "max_tokens and max_completion_tokens contradict each other");
    if (current == 1)
        out->max_tokens = completion;
    return 0;
}

static int add_stop(const json_t *value, struct chat_request *out, struct vlmd_error *err)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return err_set(err, VLMD_INVALID, "stop",
                       "stop must be a string or a list of strings, none empty");
    if (json_string_length(value) > 256)
        return err_set(err, VLMD_TOO_LARGE, "stop", "a stop string has at most 256 bytes");
    if (strlen(json_string_value(value)) != json_string_length(value))
        return err_set(err, VLMD_UNSUPPORTED, "stop", "a stop string must not contain U+0000");
    char *copy = strdup(json_string_value(value));
    if (!copy)
        return err_no_memory(err, json_string_length(value));
    out->stops[out->n_stops++] = copy;
    return 0;
}

static int parse_stop(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    const json_t *stop = json_object_get(body, "stop");
    if (!stop || json_is_null(stop))
        return 0;
    if (!json_is_array(stop))
        return add_stop(stop, out, err);
    if (json_array_size(stop) > CHAT_MAX_STOPS)
        return err_set(err, VLMD_TOO_LARGE, "stop", "stop has at most %d strings", CHAT_MAX_STOPS);
    for (size_t i = 0; i < json_array_size(stop); i++)
        if (add_stop(json_array_get(stop, i), out, err) < 0)
            return -1;
    return 0;
}

static int parse_stream(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    json_t *options = NULL;
    if (json_get_bool(body, "stream", &out->stream, err) < 0 ||
        json_get_object(body, "stream_options", &options, err) < 0)
        return -1;
    if (!options)
        return 0;
    if (!out->stream)
        return err_set(err, VLMD_INVALID, "stream_options",
                       "stream_options is only allowed when stream is true");
    static const char *const known[] = {"include_usage", "include_obfuscation", NULL};
    const char *name = json_unknown_key(options, known);
    if (name) {
        err_set(err, VLMD_INVALID, name, "unknown parameter: stream_options.%s", name);
        err_prefix_field(err, "stream_options");
        return -1;
    }
    if (json_get_bool(options, "include_usage", &out->include_usage, err) < 0) {
        err_prefix_field(err, "stream_options");
        return -1;
    }
    return 0;
}

static int parse_single_values(const json_t *body, struct vlmd_error *err)
{
    int64_t n = 1;
    if (json_get_int(body, "n", 1, 128, &n, err) < 0)
        return -1;
    if (n != 1)
        return err_set(err, VLMD_UNSUPPORTED, "n", "only n = 1 is supported");
    const char *type = "text";
    json_t *format = NULL;
    if (json_get_object(body, "response_format", &format, err) < 0)
        return -1;
    if (format && json_require(json_get_string(format, "type", &type, err), "type", err) < 0) {
        err_prefix_field(err, "response_format");
        return -1;
    }
    if (strcmp(type, "text") != 0)
        return err_set(err, VLMD_UNSUPPORTED, "response_format.type",
                       "the only response_format supported yet is text");
    return 0;
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

static int parse_model(const json_t *body, struct chat_request *out, struct vlmd_error *err)
{
    const char *model = NULL;
    if (json_require(json_get_string(body, "model", &model, err), "model", err) < 0)
        return -1;
    if (strlen(model) > 1024)
        return err_set(err, VLMD_TOO_LARGE, "model", "model is too long a name");
    out->model = strdup(model);
    return out->model ? 0 : err_no_memory(err, strlen(model));
}

bool chat_json_depth_within(const char *text, size_t len, int depth)
{
    int level = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '[' || c == '{')
            level++;
        else if (c == ']' || c == '}')
            level--;
        if (level > depth)
            return false;
    }
    return true;
}

int chat_request_parse(const char *text, size_t len, const struct chat_limits *limits,
                       struct chat_request *out, struct vlmd_error *err)
{
    *out = (struct chat_request){0};
    if (!chat_json_depth_within(text, len, MAX_DEPTH))
        return err_set(err, VLMD_FORMAT, NULL, "the body is nested deeper than %d levels",
                       MAX_DEPTH);
    json_t *body = json_parse_any_text(text, len, "body", err);
    if (!body) {
        err->field[0] = '\0';
        return -1;
    }
    int status = -1;
    if (!json_is_object(body)) {
        err_set(err, VLMD_INVALID, NULL, "the body must be a JSON object");
        goto out;
    }
    if (check_parameters(body, err) < 0 || parse_model(body, out, err) < 0 ||
        parse_sampling(body, out, err) < 0 || parse_max_tokens(body, out, err) < 0 ||
        parse_stop(body, out, err) < 0 || parse_stream(body, out, err) < 0 ||
        parse_single_values(body, err) < 0 || check_choice(body, "tool_choice", err) < 0 ||
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
    free(r->model);
    free(r->messages);
    for (size_t i = 0; i < r->n_images; i++)
        chat_content_free_image(&r->images[i]);
    free(r->images);
    for (size_t i = 0; i < r->n_stops; i++)
        free(r->stops[i]);
    *r = (struct chat_request){0};
}
