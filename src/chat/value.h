/* The values of a chat template: Python's, as far as templates see them.
 *
 * Values are small and passed by value; what they point to lives in the workspace and is shared.
 * Numbers carry the same provenance mark as text, so that a digit from a message never becomes
 * part of a special token. */
#pragma once

#include <jansson.h>

#include "chat/text.h"

enum value_kind {
    VALUE_UNDEFINED, /* text: the name that was asked for */
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE, /* dict */
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION, /* integer: enum template_function */
    VALUE_METHOD,
};

enum list_form {
    LIST_PLAIN,
    LIST_TUPLE,
    LIST_VIEW,      /* dict.items() and range(): has a length */
    LIST_GENERATOR, /* what filters like map give: true, without length, readable once */
};

struct value {
    enum value_kind kind;
    bool trusted; /* of VALUE_BOOL, VALUE_INT, VALUE_FLOAT */
    union {
        bool truth;
        int64_t integer;
        double real;
        const struct text *text;
        struct list *list;
        struct dict *dict;
        struct loop *loop;
        struct macro *macro;
        struct method *method;
    } as;
};

struct list {
    struct value *items;
    size_t n, cap;
    enum list_form form;
};

struct pair {
    struct value key, value;
};

/* In the order of insertion. */
struct dict {
    struct pair *pairs;
    size_t n, cap;
};

/* A method found but not yet called: "text".strip */
struct method {
    struct value self;
    int id; /* methods.h */
};

struct value value_undefined(const struct text *name);
struct value value_none(void);
struct value value_bool(bool truth);
struct value value_int(int64_t integer, bool trusted);
struct value value_float(double real, bool trusted);
struct value value_text(const struct text *text);
struct value value_list(struct list *list);

struct list *list_new(struct workspace *ws, enum list_form form);
int list_add(struct workspace *ws, struct list *list, struct value item);
struct dict *dict_new(struct workspace *ws);
int dict_set(struct workspace *ws, struct dict *dict, struct value key, struct value value);
/* The value under `key`, or NULL. When the budget ends, NULL too: the next step reports that. */
struct value *dict_get(struct workspace *ws, const struct dict *dict, struct value key);
struct value *dict_get_text(struct workspace *ws, const struct dict *dict, const struct text *key);

/* A copy of a JSON value in which every string and number is untrusted. Strings are borrowed from
 * `json`. -1 when it is nested too deeply or too large. */
int value_from_json(struct workspace *ws, const json_t *json, struct value *out);

/* Python's idea of a kind, for messages: "str", "int", "dict" ... */
const char *value_kind_name(const struct value *value);
bool value_truth(const struct value *value);
bool value_is_number(const struct value *value); /* int, float or bool */
double value_number(const struct value *value);
/* Integers and booleans as an integer. */
bool value_as_int(const struct value *value, int64_t *out);
bool value_is_hashable(const struct value *value); /* may be a key of a mapping */
bool value_is_trusted(const struct value *value);

/* Python's ==. 1, 0, or -1 with the error set when the values are nested too deeply. */
int value_equal(struct workspace *ws, const struct value *a, const struct value *b);
/* Python's <, for numbers, strings and lists; *order is <0, 0 or >0. */
int value_order(struct workspace *ws, const struct value *a, const struct value *b, int *order);
/* Number of items, pairs or characters; -1 with the error set for values that have none. */
int64_t value_length(struct workspace *ws, const struct value *value);
/* A list of what a `for` over the value would visit; NULL with the error set. Reading a generator
 * empties it. The list may be the value's own: do not change it. */
const struct list *value_iterate(struct workspace *ws, const struct value *value);

/* str(value). NULL with the error set for values that have no stable text (macros, loops). */
const struct text *value_to_text(struct workspace *ws, const struct value *value);
/* repr of a float, as Python and JSON write it. */
enum {
    REAL_TEXT_MAX = 40,
};
void real_to_text(double real, char out[REAL_TEXT_MAX]);

struct json_style {
    bool ensure_ascii, sort_keys;
    const struct text *indent;         /* NULL: one line */
    const struct text *item_separator; /* NULL: ", " (or "," with indent) */
    const struct text *key_separator;  /* NULL: ": " */
};
/* json.dumps(value). Bytes of strings keep their marks; punctuation and numbers are untrusted. */
const struct text *value_to_json(struct workspace *ws, const struct value *value,
                                 const struct json_style *style);
