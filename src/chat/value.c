#include "chat/value.h"

#include <math.h>
#include <string.h>

struct value value_undefined(const struct text *name)
{
    return (struct value){.kind = VALUE_UNDEFINED, .as.text = name};
}

struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}

struct value value_bool(bool truth)
{
    return (struct value){.kind = VALUE_BOOL, .trusted = true, .as.truth = truth};
}

struct value value_int(int64_t integer, bool trusted)
{
    return (struct value){.kind = VALUE_INT, .trusted = trusted, .as.integer = integer};
}

struct value value_float(double real, bool trusted)
{
    return (struct value){.kind = VALUE_FLOAT, .trusted = trusted, .as.real = real};
}

struct value value_text(const struct text *text)
{
    return (struct value){.kind = VALUE_STRING, .as.text = text};
}

struct value value_list(struct list *list)
{
    return (struct value){.kind = VALUE_LIST, .as.list = list};
}

struct list *list_new(struct workspace *ws, enum list_form form)
{
    struct list *list = workspace_alloc(ws, sizeof *list);
    if (list)
        list->form = form;
    return list;
}

int list_add(struct workspace *ws, struct list *list, struct value item)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct value *items = workspace_alloc_array(ws, cap, sizeof *items);
        if (!items)
            return -1;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = item;
    return 0;
}

struct dict *dict_new(struct workspace *ws)
{
    return workspace_alloc(ws, sizeof(struct dict));
}

struct value *dict_get(struct workspace *ws, const struct dict *dict, struct value key)
{
    for (size_t i = 0; i < dict->n; i++) {
        if (value_equal(ws, &dict->pairs[i].key, &key) == 1)
            return &dict->pairs[i].value;
    }
    return NULL;
}

struct value *dict_get_text(struct workspace *ws, const struct dict *dict, const struct text *key)
{
    return dict_get(ws, dict, value_text(key));
}

int dict_set(struct workspace *ws, struct dict *dict, struct value key, struct value value)
{
    struct value *known = dict_get(ws, dict, key);
    if (known) {
        *known = value;
        return 0;
    }
    if (dict->n == dict->cap) {
        size_t cap = dict->cap ? dict->cap * 2 : 4;
        struct pair *pairs = workspace_alloc_array(ws, cap, sizeof *pairs);
        if (!pairs)
            return -1;
        if (dict->n)
            memcpy(pairs, dict->pairs, dict->n * sizeof *pairs);
        dict->pairs = pairs;
        dict->cap = cap;
    }
    dict->pairs[dict->n++] = (struct pair){key, value};
    return 0;
}

static int array_from_json(struct workspace *ws, const json_t *json, struct value *out)
{
    size_t n = json_array_size(json);
    struct list *list = list_new(ws, LIST_PLAIN);
    if (!list || !(list->items = workspace_alloc_array(ws, n, sizeof *list->items)))
        return -1;
    list->n = list->cap = n;
    for (size_t i = 0; i < n; i++) {
        if (value_from_json(ws, json_array_get(json, i), &list->items[i]) < 0)
            return -1;
    }
    *out = value_list(list);
    return 0;
}

static int object_from_json(struct workspace *ws, const json_t *json, struct value *out)
{
    size_t n = json_object_size(json);
    struct dict *dict = dict_new(ws);
    if (!dict || !(dict->pairs = workspace_alloc_array(ws, n, sizeof *dict->pairs)))
        return -1;
    dict->cap = n;
    json_t *object = (json_t *)json; /* jansson's iterator wants it so and changes nothing */
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        const struct text *name = text_new(ws, key, strlen(key), false);
        struct pair *pair = &dict->pairs[dict->n];
        if (!name || value_from_json(ws, json_object_iter_value(at), &pair->value) < 0)
            return -1;
        pair->key = value_text(name);
        dict->n++;
    }
    *out = (struct value){.kind = VALUE_DICT, .as.dict = dict};
    return 0;
}

static int container_from_json(struct workspace *ws, const json_t *json, struct value *out)
{
    if (workspace_enter(ws) < 0)
        return -1;
    int rc = json_is_array(json) ? array_from_json(ws, json, out) : object_from_json(ws, json, out);
    workspace_leave(ws);
    return rc;
}

int value_from_json(struct workspace *ws, const json_t *json, struct value *out)
{
    if (workspace_spend(ws, 0) < 0)
        return -1;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return container_from_json(ws, json, out);
    case JSON_STRING: {
        const struct text *text =
            text_new(ws, json_string_value(json), json_string_length(json), false);
        *out = value_text(text);
        return text ? 0 : -1;
    }
    case JSON_INTEGER:
        *out = value_int(json_integer_value(json), false);
        return 0;
    case JSON_REAL:
        *out = value_float(json_real_value(json), false);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(json));
        out->trusted = false;
        return 0;
    default:
        *out = value_none();
        return 0;
    }
}

const char *value_kind_name(const struct value *value)
{
    switch (value->kind) {
    case VALUE_UNDEFINED:
        return "an undefined value";
    case VALUE_NONE:
        return "none";
    case VALUE_BOOL:
        return "a boolean";
    case VALUE_INT:
        return "an integer";
    case VALUE_FLOAT:
        return "a float";
    case VALUE_STRING:
        return "a string";
    case VALUE_LIST:
        return value->as.list->form == LIST_GENERATOR ? "a generator" : "a list";
    case VALUE_DICT:
        return "a mapping";
    case VALUE_NAMESPACE:
        return "a namespace";
    case VALUE_LOOP:
        return "the loop";
    case VALUE_MACRO:
        return "a macro";
    case VALUE_FUNCTION:
        return "a function";
    case VALUE_METHOD:
        return "a method";
    }
    return "a value";
}

bool value_truth(const struct value *value)
{
    switch (value->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return value->as.truth;
    case VALUE_INT:
        return value->as.integer != 0;
    case VALUE_FLOAT:
        return value->as.real != 0;
    case VALUE_STRING:
        return value->as.text->len != 0;
    case VALUE_LIST:
        return value->as.list->form == LIST_GENERATOR || value->as.list->n != 0;
    case VALUE_DICT:
        return value->as.dict->n != 0;
    default:
        return true;
    }
}

bool value_is_number(const struct value *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_FLOAT || value->kind == VALUE_BOOL;
}

double value_number(const struct value *value)
{
    if (value->kind == VALUE_FLOAT)
        return value->as.real;
    return value->kind == VALUE_BOOL ? value->as.truth : (double)value->as.integer;
}

bool value_as_int(const struct value *value, int64_t *out)
{
    if (value->kind == VALUE_BOOL)
        *out = value->as.truth;
    else if (value->kind == VALUE_INT)
        *out = value->as.integer;
    else
        return false;
    return true;
}

bool value_is_hashable(const struct value *value)
{
    return value->kind != VALUE_DICT &&
           !(value->kind == VALUE_LIST && value->as.list->form == LIST_PLAIN);
}

bool value_is_trusted(const struct value *value)
{
    if (value->kind == VALUE_STRING)
        return text_all_trusted(value->as.text);
    return value->trusted;
}

static int compare_reals(double a, double b)
{
    return a < b ? -1 : a > b;
}

static int number_order(const struct value *a, const struct value *b)
{
    int64_t x, y;
    if (value_as_int(a, &x) && value_as_int(b, &y))
        return x < y ? -1 : x > y;
    return compare_reals(value_number(a), value_number(b));
}

static int lists_equal(struct workspace *ws, const struct list *a, const struct list *b)
{
    if (a == b)
        return 1;
    if (a->form != b->form || a->form > LIST_TUPLE || a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++) {
        int equal = value_equal(ws, &a->items[i], &b->items[i]);
        if (equal != 1)
            return equal;
    }
    return 1;
}

static int dicts_equal(struct workspace *ws, const struct dict *a, const struct dict *b)
{
    if (a == b)
        return 1;
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct value *other = dict_get(ws, b, a->pairs[i].key);
        int equal = other ? value_equal(ws, &a->pairs[i].value, other) : 0;
        if (equal != 1)
            return equal;
    }
    return 1;
}

static int same_kind_equal(struct workspace *ws, const struct value *a, const struct value *b)
{
    switch (a->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return 1;
    case VALUE_STRING:
        return text_equal(a->as.text, b->as.text);
    case VALUE_LIST:
        return lists_equal(ws, a->as.list, b->as.list);
    case VALUE_DICT:
        return dicts_equal(ws, a->as.dict, b->as.dict);
    case VALUE_FUNCTION:
        return a->as.integer == b->as.integer;
    case VALUE_METHOD:
        return 0;
    default:
        return a->as.dict == b->as.dict; /* namespaces, loops, macros: the same object */
    }
}

int value_equal(struct workspace *ws, const struct value *a, const struct value *b)
{
    if (workspace_spend(ws, a->kind == VALUE_STRING ? a->as.text->len : 0) < 0)
        return -1;
    if (value_is_number(a) && value_is_number(b))
        return (value_as_int(a, &(int64_t){0}) && value_as_int(b, &(int64_t){0}))
                   ? number_order(a, b) == 0
                   : value_number(a) == value_number(b);
    if (a->kind != b->kind)
        return 0;
    if (workspace_enter(ws) < 0)
        return -1;
    int equal = same_kind_equal(ws, a, b);
    workspace_leave(ws);
    return equal;
}

static int lists_order(struct workspace *ws, const struct list *a, const struct list *b, int *order)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        int equal = value_equal(ws, &a->items[i], &b->items[i]);
        if (equal < 0)
            return -1;
        if (!equal)
            return value_order(ws, &a->items[i], &b->items[i], order);
    }
    *order = a->n < b->n ? -1 : a->n > b->n;
    return 0;
}

int value_order(struct workspace *ws, const struct value *a, const struct value *b, int *order)
{
    if (workspace_spend(ws, a->kind == VALUE_STRING ? a->as.text->len : 0) < 0)
        return -1;
    if (value_is_number(a) && value_is_number(b)) {
        *order = number_order(a, b);
        return 0;
    }
    if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
        *order = text_compare(a->as.text, b->as.text);
        return 0;
    }
    if (a->kind == VALUE_LIST && b->kind == VALUE_LIST && a->as.list->form == b->as.list->form &&
        a->as.list->form <= LIST_TUPLE) {
        if (workspace_enter(ws) < 0)
            return -1;
        int rc = lists_order(ws, a->as.list, b->as.list, order);
        workspace_leave(ws);
        return rc;
    }
    return workspace_fail(ws, "%s and %s have no order", value_kind_name(a), value_kind_name(b));
}

int64_t value_length(struct workspace *ws, const struct value *value)
{
    switch (value->kind) {
    case VALUE_UNDEFINED:
        return 0;
    case VALUE_STRING:
        if (workspace_spend(ws, value->as.text->len) < 0)
            return -1;
        return (int64_t)text_length(value->as.text);
    case VALUE_LIST:
        if (value->as.list->form != LIST_GENERATOR)
            return (int64_t)value->as.list->n;
        break;
    case VALUE_DICT:
        return (int64_t)value->as.dict->n;
    default:
        break;
    }
    return workspace_fail(ws, "%s has no length", value_kind_name(value));
}

static const struct list *iterate_text(struct workspace *ws, const struct text *text)
{
    struct list *list = list_new(ws, LIST_PLAIN);
    size_t len;
    for (size_t at = 0; list && at < text->len; at += len) {
        text_char(text, at, &len);
        const struct text *one = text_slice(ws, text, at, len);
        if (!one || workspace_spend(ws, 0) < 0 || list_add(ws, list, value_text(one)) < 0)
            return NULL;
    }
    return list;
}

static const struct list *iterate_dict(struct workspace *ws, const struct dict *dict)
{
    struct list *list = list_new(ws, LIST_PLAIN);
    for (size_t i = 0; list && i < dict->n; i++) {
        if (workspace_spend(ws, 0) < 0 || list_add(ws, list, dict->pairs[i].key) < 0)
            return NULL;
    }
    return list;
}

static const struct list *iterate_generator(struct workspace *ws, struct list *generator)
{
    struct list *list = list_new(ws, LIST_PLAIN);
    if (!list)
        return NULL;
    list->items = generator->items;
    list->n = list->cap = generator->n;
    generator->n = 0;
    return list;
}

const struct list *value_iterate(struct workspace *ws, const struct value *value)
{
    switch (value->kind) {
    case VALUE_UNDEFINED:
        return list_new(ws, LIST_PLAIN);
    case VALUE_STRING:
        return iterate_text(ws, value->as.text);
    case VALUE_LIST:
        if (value->as.list->form == LIST_GENERATOR)
            return iterate_generator(ws, value->as.list);
        return value->as.list;
    case VALUE_DICT:
        return iterate_dict(ws, value->as.dict);
    default:
        workspace_fail(ws, "%s cannot be iterated over", value_kind_name(value));
        return NULL;
    }
}
