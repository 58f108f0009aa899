/* Typed reading of JSON objects (jansson) with errors that name the field's path. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Parses a whole text as strict JSON: duplicate keys, bad UTF-8, trailing bytes and deep nesting
 * are refused. `name` stands in errors (a file name or "body"). The caller releases the result with
 * json_decref. */
json_t *json_parse(const char *text, size_t len, const char *name, struct vlmd_error *err);
/* The same, but strings may hold U+0000: whoever takes one without json_get_string looks at its
 * length. */
json_t *json_parse_any_text(const char *text, size_t len, const char *name, struct vlmd_error *err);
/* Reads and parses a file of at most `limit` bytes. */
json_t *json_parse_file(const char *path, size_t limit, struct vlmd_error *err);

/* Getters: when the key is absent (or null) *out keeps its value and 0 is returned; a value of the
 * wrong type or out of range is VLMD_INVALID with `key` as the field. 1 means that *out was set.
 * Integers accept no fractions. */
int json_get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                 struct vlmd_error *err);
int json_get_int32(const json_t *object, const char *key, int32_t min, int32_t max, int32_t *out,
                   struct vlmd_error *err);
int json_get_double(const json_t *object, const char *key, double *out, struct vlmd_error *err);
int json_get_float(const json_t *object, const char *key, float *out, struct vlmd_error *err);
int json_get_bool(const json_t *object, const char *key, bool *out, struct vlmd_error *err);
/* *out is borrowed from the object. Strings with NUL characters are refused. */
int json_get_string(const json_t *object, const char *key, const char **out,
                    struct vlmd_error *err);
int json_get_object(const json_t *object, const char *key, json_t **out, struct vlmd_error *err);
int json_get_array(const json_t *object, const char *key, json_t **out, struct vlmd_error *err);
/* Turns "0 = absent" into an error: `return json_require(json_get_...(...), key, err)`. */
int json_require(int got, const char *key, struct vlmd_error *err);
/* The first key of an object that is not in the NULL-terminated list, or NULL. */
const char *json_unknown_key(const json_t *object, const char *const *known);
