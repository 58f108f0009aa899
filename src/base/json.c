#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static json_t *parse(const char *text, size_t len, size_t flags, const char *name,
                     struct vlmd_error *err)
{
    json_error_t why;
    if (len == 0) {
        err_set(err, VLMD_FORMAT, name, "%s is empty", name);
        return NULL;
    }
    if (memchr(text, '\0', len)) { /* jansson takes it for an end behind a number */
        err_set(err, VLMD_FORMAT, name, "%s is not valid JSON: it holds a NUL byte", name);
        return NULL;
    }
    json_t *value = json_loadb(text, len, flags | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value)
        err_set(err, VLMD_FORMAT, name, "%s is not valid JSON (line %d, column %d): %s", name,
                why.line, why.column, why.text);
    return value;
}

json_t *json_parse(const char *text, size_t len, const char *name, struct vlmd_error *err)
{
    return parse(text, len, 0, name, err);
}

json_t *json_parse_any_text(const char *text, size_t len, const char *name, struct vlmd_error *err)
{
    return parse(text, len, JSON_ALLOW_NUL, name, err);
}

json_t *json_parse_file(const char *path, size_t limit, struct vlmd_error *err)
{
    size_t size;
    char *text = file_read(path, limit, &size, err);
    if (!text)
        return NULL;
    json_t *value = json_parse(text, size, path, err);
    free(text);
    return value;
}

static int wrong_type(struct vlmd_error *err, const char *key, const char *wanted)
{
    return err_set(err, VLMD_INVALID, key, "%s must be %s", key, wanted);
}

static json_t *present(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

int json_get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                 struct vlmd_error *err)
{
    const json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_integer(value))
        return wrong_type(err, key, "an integer");
    json_int_t number = json_integer_value(value);
    if (number < min || number > max)
        return err_set(err, VLMD_INVALID, key, "%s must be between %lld and %lld, not %lld", key,
                       (long long)min, (long long)max, (long long)number);
    *out = number;
    return 1;
}

int json_get_int32(const json_t *object, const char *key, int32_t min, int32_t max, int32_t *out,
                   struct vlmd_error *err)
{
    int64_t wide;
    int got = json_get_int(object, key, min, max, &wide, err);
    if (got == 1)
        *out = (int32_t)wide;
    return got;
}

int json_get_double(const json_t *object, const char *key, double *out, struct vlmd_error *err)
{
    const json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_number(value))
        return wrong_type(err, key, "a number");
    double number = json_number_value(value);
    if (!isfinite(number))
        return wrong_type(err, key, "a finite number");
    *out = number;
    return 1;
}

int json_get_float(const json_t *object, const char *key, float *out, struct vlmd_error *err)
{
    double wide;
    int got = json_get_double(object, key, &wide, err);
    if (got != 1)
        return got;
    if (fabs(wide) > FLT_MAX)
        return wrong_type(err, key, "a number that single precision can hold");
    *out = (float)wide;
    return 1;
}

int json_get_bool(const json_t *object, const char *key, bool *out, struct vlmd_error *err)
{
    const json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return wrong_type(err, key, "true or false");
    *out = json_boolean_value(value);
    return 1;
}

int json_get_string(const json_t *object, const char *key, const char **out, struct vlmd_error *err)
{
    const json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return wrong_type(err, key, "a string without NUL characters");
    *out = json_string_value(value);
    return 1;
}

int json_get_object(const json_t *object, const char *key, json_t **out, struct vlmd_error *err)
{
    json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_object(value))
        return wrong_type(err, key, "an object");
    *out = value;
    return 1;
}

int json_get_array(const json_t *object, const char *key, json_t **out, struct vlmd_error *err)
{
    json_t *value = present(object, key);
    if (!value)
        return 0;
    if (!json_is_array(value))
        return wrong_type(err, key, "an array");
    *out = value;
    return 1;
}

int json_require(int got, const char *key, struct vlmd_error *err)
{
    if (got == 0)
        return err_set(err, VLMD_INVALID, key, "%s is missing", key);
    return got;
}

const char *json_unknown_key(const json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return key;
    }
    return NULL;
}
