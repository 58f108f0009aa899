/* The methods that templates may call on strings, mappings, lists and `loop`. */
#pragma once

#include "chat/arguments.h"

enum {
    METHOD_CAPITALIZE,
    METHOD_CHANGED,
    METHOD_COPY,
    METHOD_COUNT,
    METHOD_CYCLE,
    METHOD_ENDSWITH,
    METHOD_FIND,
    METHOD_FORMAT,
    METHOD_GET,
    METHOD_INDEX,
    METHOD_ISALNUM,
    METHOD_ISALPHA,
    METHOD_ISDIGIT,
    METHOD_ISLOWER,
    METHOD_ISSPACE,
    METHOD_ISUPPER,
    METHOD_ITEMS,
    METHOD_JOIN,
    METHOD_KEYS,
    METHOD_LOWER,
    METHOD_LSTRIP,
    METHOD_REMOVEPREFIX,
    METHOD_REMOVESUFFIX,
    METHOD_REPLACE,
    METHOD_RFIND,
    METHOD_RSPLIT,
    METHOD_RSTRIP,
    METHOD_SPLIT,
    METHOD_SPLITLINES,
    METHOD_STARTSWITH,
    METHOD_STRIP,
    METHOD_TITLE,
    METHOD_UPPER,
    METHOD_VALUES,
};

/* The number of the method of that name on any kind of value; -1 when there is none. */
int method_find(const struct text *name);
bool method_exists(int id, enum value_kind kind);
/* Methods of Python that change their object. Jinja's sandbox hides them: templates may name them,
 * but calling one is an error. */
bool method_is_hidden(const struct text *name);
/* Calls a method of a string, mapping or list. */
int method_call(struct workspace *ws, const struct method *method,
                const struct arguments *arguments, struct value *out);
/* The pairs of a mapping as (key, value) tuples. */
struct list *dict_items(struct workspace *ws, const struct dict *dict, enum list_form form);
/* Joins what `value` iterates over, each item written as text. */
const struct text *join_values(struct workspace *ws, const struct text *separator,
                               const struct value *value, bool only_strings);
