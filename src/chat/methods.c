#include "chat/methods.h"

#include <utf8proc.h>

#include "chat/format.h"
#include "chat/split.h"

typedef int (*method_fn)(struct workspace *ws, const struct method *method,
                         struct value *const *arguments, struct value *out);

struct method_entry {
    const char *name;
    enum value_kind kinds[2]; /* VALUE_UNDEFINED: none */
    size_t required;          /* arguments */
    const char *parameters[3];
    method_fn call;
};

static const struct text *self_text(const struct method *method)
{
    return method->self.as.text;
}

static int give_text(const struct text *text, struct value *out)
{
    *out = value_text(text);
    return text ? 0 : -1;
}

static int call_strip(struct workspace *ws, const struct method *method,
                      struct value *const *arguments, struct value *out)
{
    const struct text *chars = NULL;
    if (arguments[0] && arguments[0]->kind != VALUE_NONE &&
        argument_text(ws, "strip", arguments[0], &chars) < 0)
        return -1;
    return give_text(text_strip(ws, self_text(method), chars, method->id != METHOD_RSTRIP,
                                method->id != METHOD_LSTRIP),
                     out);
}

static int call_case(struct workspace *ws, const struct method *method,
                     struct value *const *arguments, struct value *out)
{
    (void)arguments;
    enum text_case how = method->id == METHOD_UPPER   ? TEXT_UPPER
                         : method->id == METHOD_LOWER ? TEXT_LOWER
                         : method->id == METHOD_TITLE ? TEXT_TITLE
                                                      : TEXT_CAPITALIZE;
    return give_text(text_change_case(ws, self_text(method), how), out);
}

static int call_replace(struct workspace *ws, const struct method *method,
                        struct value *const *arguments, struct value *out)
{
    const struct text *old = NULL, *new = NULL;
    int64_t limit = -1;
    if (argument_text(ws, "replace", arguments[0], &old) < 0 ||
        argument_text(ws, "replace", arguments[1], &new) < 0 ||
        argument_int(ws, "replace", arguments[2], &limit) < 0)
        return -1;
    return give_text(text_replace(ws, self_text(method), old, new, limit), out);
}

static bool has_affix(const struct method *method, const struct text *affix)
{
    if (method->id == METHOD_STARTSWITH || method->id == METHOD_REMOVEPREFIX)
        return text_starts_with(self_text(method), affix);
    return text_ends_with(self_text(method), affix);
}

/* startswith and endswith also take a tuple of strings. */
static int call_affix(struct workspace *ws, const struct method *method,
                      struct value *const *arguments, struct value *out)
{
    struct value single = *arguments[0];
    struct list one = {.items = &single, .n = 1};
    const struct list *affixes = &one;
    if (single.kind == VALUE_LIST && single.as.list->form == LIST_TUPLE)
        affixes = single.as.list;
    bool found = false;
    for (size_t i = 0; i < affixes->n && !found; i++) {
        const struct text *affix;
        if (argument_text(ws, "startswith or endswith", &affixes->items[i], &affix) < 0 ||
            workspace_spend(ws, affix->len) < 0)
            return -1;
        found = has_affix(method, affix);
    }
    *out = value_bool(found);
    return 0;
}

static int call_remove(struct workspace *ws, const struct method *method,
                       struct value *const *arguments, struct value *out)
{
    const struct text *affix = NULL, *text = self_text(method);
    if (argument_text(ws, "removeprefix or removesuffix", arguments[0], &affix) < 0)
        return -1;
    if (!has_affix(method, affix))
        return give_text(text, out);
    size_t from = method->id == METHOD_REMOVEPREFIX ? affix->len : 0;
    return give_text(text_slice(ws, text, from, text->len - affix->len), out);
}

static int give_place(struct workspace *ws, const struct method *method, size_t at,
                      struct value *out)
{
    const struct text *text = self_text(method);
    if (at == SIZE_MAX && method->id == METHOD_INDEX)
        return workspace_fail(ws, "index: the string does not occur");
    struct text before = text_view(text->bytes, at == SIZE_MAX ? 0 : at, false);
    *out = value_int(at == SIZE_MAX ? -1 : (int64_t)text_length(&before), false);
    return 0;
}

static int call_find(struct workspace *ws, const struct method *method,
                     struct value *const *arguments, struct value *out)
{
    const struct text *needle = NULL, *text = self_text(method);
    if (argument_text(ws, "find", arguments[0], &needle) < 0 || workspace_spend(ws, text->len) < 0)
        return -1;
    if (method->id == METHOD_RFIND) {
        if (workspace_spend(ws, text->len * needle->len) < 0)
            return -1;
        return give_place(ws, method, text_rfind(text, needle), out);
    }
    return give_place(ws, method, text_find(text, needle, 0), out);
}

static int count_text(struct workspace *ws, const struct text *text, const struct text *needle,
                      struct value *out)
{
    int64_t n = 0;
    if (workspace_spend(ws, text->len) < 0)
        return -1;
    if (needle->len == 0)
        n = (int64_t)text_length(text) + 1;
    else
        for (size_t at = 0; (at = text_find(text, needle, at)) != SIZE_MAX; at += needle->len)
            n++;
    *out = value_int(n, false);
    return 0;
}

static int search_list(struct workspace *ws, const struct method *method, const struct value *what,
                       struct value *out)
{
    const struct list *list = method->self.as.list;
    int64_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        int equal = value_equal(ws, &list->items[i], what);
        if (equal < 0)
            return -1;
        if (equal && method->id == METHOD_INDEX) {
            *out = value_int((int64_t)i, false);
            return 0;
        }
        n += equal;
    }
    if (method->id == METHOD_INDEX)
        return workspace_fail(ws, "index: the item does not occur");
    *out = value_int(n, false);
    return 0;
}

static int call_count_or_index(struct workspace *ws, const struct method *method,
                               struct value *const *arguments, struct value *out)
{
    const struct text *needle = NULL;
    if (method->self.kind == VALUE_LIST)
        return search_list(ws, method, arguments[0], out);
    if (method->id == METHOD_INDEX)
        return call_find(ws, method, arguments, out);
    if (argument_text(ws, "count", arguments[0], &needle) < 0)
        return -1;
    return count_text(ws, self_text(method), needle, out);
}

static bool has_property(int id, uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    bool digit = category == UTF8PROC_CATEGORY_ND;
    switch (id) {
    case METHOD_ISALPHA:
        return letter;
    case METHOD_ISDIGIT:
        return digit;
    case METHOD_ISALNUM:
        return letter || digit || category == UTF8PROC_CATEGORY_NL ||
               category == UTF8PROC_CATEGORY_NO;
    default:
        return text_is_space(c);
    }
}

static int call_property(struct workspace *ws, const struct method *method,
                         struct value *const *arguments, struct value *out)
{
    (void)arguments;
    const struct text *text = self_text(method);
    bool all = text->len > 0;
    size_t len;
    if (workspace_spend(ws, text->len * 8) < 0)
        return -1;
    for (size_t at = 0; at < text->len && all; at += len)
        all = has_property(method->id, text_char(text, at, &len));
    *out = value_bool(all);
    return 0;
}

/* islower and isupper: at least one letter with case, and none of the other case. */
static int call_is_case(struct workspace *ws, const struct method *method,
                        struct value *const *arguments, struct value *out)
{
    (void)arguments;
    const struct text *text = self_text(method);
    bool upper = false, lower = false;
    size_t len;
    if (workspace_spend(ws, text->len * 8) < 0)
        return -1;
    for (size_t at = 0; at < text->len; at += len) {
        utf8proc_category_t category =
            utf8proc_category((utf8proc_int32_t)text_char(text, at, &len));
        upper = upper || category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
        lower = lower || category == UTF8PROC_CATEGORY_LL;
    }
    *out = value_bool(method->id == METHOD_ISUPPER ? upper && !lower : lower && !upper);
    return 0;
}

static int call_split(struct workspace *ws, const struct method *method,
                      struct value *const *arguments, struct value *out)
{
    const struct text *separator = NULL;
    int64_t limit = -1;
    if (arguments[0] && arguments[0]->kind != VALUE_NONE &&
        argument_text(ws, "split", arguments[0], &separator) < 0)
        return -1;
    if (argument_int(ws, "split", arguments[1], &limit) < 0)
        return -1;
    struct list *list =
        split_text(ws, self_text(method), separator, limit, method->id == METHOD_RSPLIT);
    *out = value_list(list);
    return list ? 0 : -1;
}

static int call_splitlines(struct workspace *ws, const struct method *method,
                           struct value *const *arguments, struct value *out)
{
    bool keep = arguments[0] && value_truth(arguments[0]);
    struct list *list = split_lines(ws, self_text(method), keep);
    *out = value_list(list);
    return list ? 0 : -1;
}

const struct text *join_values(struct workspace *ws, const struct text *separator,
                               const struct value *value, bool only_strings)
{
    const struct list *list = value_iterate(ws, value);
    struct text_builder builder;
    text_builder_open(&builder, ws);
    for (size_t i = 0; list && i < list->n; i++) {
        const struct value *item = &list->items[i];
        if (only_strings && item->kind != VALUE_STRING) {
            workspace_fail(ws, "join wants strings, not %s", value_kind_name(item));
            return NULL;
        }
        const struct text *text = value_to_text(ws, item);
        if (!text || workspace_spend(ws, text->len + separator->len) < 0)
            return NULL;
        if (i)
            text_builder_add(&builder, separator);
        text_builder_add(&builder, text);
    }
    return list ? text_builder_done(&builder) : NULL;
}

static int call_join(struct workspace *ws, const struct method *method,
                     struct value *const *arguments, struct value *out)
{
    return give_text(join_values(ws, self_text(method), arguments[0], true), out);
}

static int call_get(struct workspace *ws, const struct method *method,
                    struct value *const *arguments, struct value *out)
{
    const struct value *found = dict_get(ws, method->self.as.dict, *arguments[0]);
    *out = found ? *found : arguments[1] ? *arguments[1] : value_none();
    return 0;
}

struct list *dict_items(struct workspace *ws, const struct dict *dict, enum list_form form)
{
    struct list *items = list_new(ws, form);
    for (size_t i = 0; items && i < dict->n; i++) {
        struct list *pair = list_new(ws, LIST_TUPLE);
        if (!pair || list_add(ws, pair, dict->pairs[i].key) < 0 ||
            list_add(ws, pair, dict->pairs[i].value) < 0 ||
            list_add(ws, items, value_list(pair)) < 0 || workspace_spend(ws, 0) < 0)
            return NULL;
    }
    return items;
}

static int call_view(struct workspace *ws, const struct method *method,
                     struct value *const *arguments, struct value *out)
{
    (void)arguments;
    const struct dict *dict = method->self.as.dict;
    struct list *view = NULL;
    if (method->id == METHOD_ITEMS)
        view = dict_items(ws, dict, LIST_VIEW);
    else
        view = list_new(ws, LIST_VIEW);
    for (size_t i = 0; view && method->id != METHOD_ITEMS && i < dict->n; i++) {
        const struct pair *pair = &dict->pairs[i];
        if (workspace_spend(ws, 0) < 0 ||
            list_add(ws, view, method->id == METHOD_KEYS ? pair->key : pair->value) < 0)
            return -1;
    }
    *out = value_list(view);
    return view ? 0 : -1;
}

/* Values never change, so a copy is the value itself. */
static int call_copy(struct workspace *ws, const struct method *method,
                     struct value *const *arguments, struct value *out)
{
    (void)ws;
    (void)arguments;
    *out = method->self;
    return 0;
}

#define ON_TEXT                                                                                    \
    {                                                                                              \
        VALUE_STRING, VALUE_UNDEFINED                                                              \
    }
#define ON_DICT                                                                                    \
    {                                                                                              \
        VALUE_DICT, VALUE_UNDEFINED                                                                \
    }

static const struct method_entry methods[] = {
    [METHOD_CAPITALIZE] = {"capitalize", ON_TEXT, 0, {NULL}, call_case},
    [METHOD_CHANGED] = {"changed", {VALUE_LOOP, VALUE_UNDEFINED}, 0, {NULL}, NULL},
    [METHOD_COPY] = {"copy", {VALUE_DICT, VALUE_LIST}, 0, {NULL}, call_copy},
    [METHOD_COUNT] = {"count", {VALUE_STRING, VALUE_LIST}, 1, {"value"}, call_count_or_index},
    [METHOD_CYCLE] = {"cycle", {VALUE_LOOP, VALUE_UNDEFINED}, 0, {NULL}, NULL},
    [METHOD_ENDSWITH] = {"endswith", ON_TEXT, 1, {"suffix"}, call_affix},
    [METHOD_FIND] = {"find", ON_TEXT, 1, {"sub"}, call_find},
    [METHOD_FORMAT] = {"format", ON_TEXT, 0, {NULL}, NULL},
    [METHOD_GET] = {"get", ON_DICT, 1, {"key", "default"}, call_get},
    [METHOD_INDEX] = {"index", {VALUE_STRING, VALUE_LIST}, 1, {"value"}, call_count_or_index},
    [METHOD_ISALNUM] = {"isalnum", ON_TEXT, 0, {NULL}, call_property},
    [METHOD_ISALPHA] = {"isalpha", ON_TEXT, 0, {NULL}, call_property},
    [METHOD_ISDIGIT] = {"isdigit", ON_TEXT, 0, {NULL}, call_property},
    [METHOD_ISLOWER] = {"islower", ON_TEXT, 0, {NULL}, call_is_case},
    [METHOD_ISSPACE] = {"isspace", ON_TEXT, 0, {NULL}, call_property},
    [METHOD_ISUPPER] = {"isupper", ON_TEXT, 0, {NULL}, call_is_case},
    [METHOD_ITEMS] = {"items", ON_DICT, 0, {NULL}, call_view},
    [METHOD_JOIN] = {"join", ON_TEXT, 1, {"iterable"}, call_join},
    [METHOD_KEYS] = {"keys", ON_DICT, 0, {NULL}, call_view},
    [METHOD_LOWER] = {"lower", ON_TEXT, 0, {NULL}, call_case},
    [METHOD_LSTRIP] = {"lstrip", ON_TEXT, 0, {"chars"}, call_strip},
    [METHOD_REMOVEPREFIX] = {"removeprefix", ON_TEXT, 1, {"prefix"}, call_remove},
    [METHOD_REMOVESUFFIX] = {"removesuffix", ON_TEXT, 1, {"suffix"}, call_remove},
    [METHOD_REPLACE] = {"replace", ON_TEXT, 2, {"old", "new", "count"}, call_replace},
    [METHOD_RFIND] = {"rfind", ON_TEXT, 1, {"sub"}, call_find},
    [METHOD_RSPLIT] = {"rsplit", ON_TEXT, 0, {"sep", "maxsplit"}, call_split},
    [METHOD_RSTRIP] = {"rstrip", ON_TEXT, 0, {"chars"}, call_strip},
    [METHOD_SPLIT] = {"split", ON_TEXT, 0, {"sep", "maxsplit"}, call_split},
    [METHOD_SPLITLINES] = {"splitlines", ON_TEXT, 0, {"keepends"}, call_splitlines},
    [METHOD_STARTSWITH] = {"startswith", ON_TEXT, 1, {"prefix"}, call_affix},
    [METHOD_STRIP] = {"strip", ON_TEXT, 0, {"chars"}, call_strip},
    [METHOD_TITLE] = {"title", ON_TEXT, 0, {NULL}, call_case},
    [METHOD_UPPER] = {"upper", ON_TEXT, 0, {NULL}, call_case},
    [METHOD_VALUES] = {"values", ON_DICT, 0, {NULL}, call_view},
};

int method_find(const struct text *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (text_is(name, methods[i].name))
            return (int)i;
    }
    return -1;
}

bool method_is_hidden(const struct text *name)
{
    static const char *const names[] = {"append",     "clear",   "extend", "insert",
                                        "pop",        "popitem", "remove", "reverse",
                                        "setdefault", "sort",    "update"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (text_is(name, names[i]))
            return true;
    }
    return false;
}

bool method_exists(int id, enum value_kind kind)
{
    return kind != VALUE_UNDEFINED &&
           (methods[id].kinds[0] == kind || methods[id].kinds[1] == kind);
}

int method_call(struct workspace *ws, const struct method *method,
                const struct arguments *arguments, struct value *out)
{
    const struct method_entry *entry = &methods[method->id];
    struct value *slots[3] = {NULL, NULL, NULL};
    size_t n = 0;
    if (method->id == METHOD_FORMAT) {
        const struct text *text = format_text(ws, self_text(method), arguments);
        return give_text(text, out);
    }
    while (n < 3 && entry->parameters[n])
        n++;
    if (arguments_bind(ws, entry->name, arguments, entry->parameters, n, entry->required, slots) <
        0)
        return -1;
    return entry->call(ws, method, slots, out);
}
