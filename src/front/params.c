#include "front/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define MAX_DEPTH 64

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

static int check_parameter(const char *name, const json_t *value, const struct params_rule *rules,
                           size_t n, struct vlmd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rules[i].name, name) != 0)
            continue;
        enum params_use use = rules[i].use;
        if (use == PARAMS_USED || use == PARAMS_HARMLESS || json_is_null(value))
            return 0;
        if (use == PARAMS_IF_EMPTY && asks_for_nothing(value))
            return 0;
        return err_set(err, VLMD_UNSUPPORTED, name, "%s is not supported yet", name);
    }
    return err_set(err, VLMD_INVALID, name, "unknown parameter: %s", name);
}

int params_check(const json_t *body, const struct params_rule *rules, size_t n,
                 struct vlmd_error *err)
{
    const char *name;
    const json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)body, name, value)
        if (check_parameter(name, value, rules, n, err) < 0)
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

static int parse_sampling(const json_t *body, struct params *out, struct vlmd_error *err)
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

static int parse_max_tokens(const json_t *body, struct params *out, struct vlmd_error *err)
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

static int add_stop(const json_t *value, struct params *out, struct vlmd_error *err)
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

static int parse_stop(const json_t *body, struct params *out, struct vlmd_error *err)
{
    const json_t *stop = json_object_get(body, "stop");
    if (!stop || json_is_null(stop))
        return 0;
    if (!json_is_array(stop))
        return add_stop(stop, out, err);
    if (json_array_size(stop) > PARAMS_MAX_STOPS)
        return err_set(err, VLMD_TOO_LARGE, "stop", "stop has at most %d strings",
                       PARAMS_MAX_STOPS);
    for (size_t i = 0; i < json_array_size(stop); i++)
        if (add_stop(json_array_get(stop, i), out, err) < 0)
            return -1;
    return 0;
}

static int parse_stream(const json_t *body, struct params *out, struct vlmd_error *err)
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

static int parse_model(const json_t *body, struct params *out, struct vlmd_error *err)
{
    const char *model = NULL;
    if (json_require(json_get_string(body, "model", &model, err), "model", err) < 0)
        return -1;
    if (strlen(model) > 1024)
        return err_set(err, VLMD_TOO_LARGE, "model", "model is too long a name");
    out->model = strdup(model);
    return out->model ? 0 : err_no_memory(err, strlen(model));
}

int params_check_format(const json_t *body, struct vlmd_error *err)
{
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

bool params_depth_within(const char *text, size_t len, int depth)
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

json_t *params_body(const char *text, size_t len, struct vlmd_error *err)
{
    if (!params_depth_within(text, len, MAX_DEPTH)) {
        err_set(err, VLMD_FORMAT, NULL, "the body is nested deeper than %d levels", MAX_DEPTH);
        return NULL;
    }
    json_t *body = json_parse_any_text(text, len, "body", err);
    if (!body) {
        err->field[0] = '\0';
        return NULL;
    }
    if (json_is_object(body))
        return body;
    json_decref(body);
    err_set(err, VLMD_INVALID, NULL, "the body must be a JSON object");
    return NULL;
}

int params_parse(const json_t *body, struct params *out, struct vlmd_error *err)
{
    *out = (struct params){0};
    if (parse_model(body, out, err) < 0 || parse_sampling(body, out, err) < 0 ||
        parse_max_tokens(body, out, err) < 0 || parse_stop(body, out, err) < 0 ||
        parse_stream(body, out, err) < 0)
        return -1;
    return 0;
}

void params_free(struct params *params)
{
    free(params->model);
    for (size_t i = 0; i < params->n_stops; i++)
        free(params->stops[i]);
    *params = (struct params){0};
}
