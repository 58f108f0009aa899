#include "chat/access.h"

#include <string.h>

#include "chat/interp.h"
#include "chat/methods.h"

static int fail_undefined(struct workspace *ws, const struct value *value)
{
    const struct text *name = value->as.text;
    return workspace_fail(ws, "'%.*s' is undefined", (int)(name->len < 60 ? name->len : 60),
                          name->bytes);
}

static int method_of(struct workspace *ws, const struct value *value, int id, struct value *out)
{
    struct method *method = workspace_alloc(ws, sizeof *method);
    if (!method)
        return -1;
    method->self = *value;
    method->id = id;
    *out = (struct value){.kind = VALUE_METHOD, .as.method = method};
    return 0;
}

/* Python has these on every dict, and Jinja's sandbox hides them, keys of that name included. */
static bool hides_key(const struct text *name)
{
    return text_is(name, "clear") || text_is(name, "pop") || text_is(name, "popitem") ||
           text_is(name, "setdefault") || text_is(name, "update");
}

static int get_key(struct workspace *ws, const struct dict *dict, const struct text *name,
                   struct value *out)
{
    const struct value *found = dict_get_text(ws, dict, name);
    *out = found ? *found : value_undefined(name);
    return 0;
}

int access_attribute(struct workspace *ws, const struct value *value, const struct text *name,
                     struct value *out)
{
    if (value->kind == VALUE_UNDEFINED)
        return fail_undefined(ws, value);
    if (value->kind == VALUE_NAMESPACE)
        return get_key(ws, value->as.dict, name, out);
    int id = method_find(name);
    if (id >= 0 && method_exists(id, value->kind))
        return method_of(ws, value, id, out);
    if (value->kind == VALUE_LOOP)
        return loop_attribute(ws, value->as.loop, name, out);
    if (value->kind == VALUE_DICT && !hides_key(name))
        return get_key(ws, value->as.dict, name, out);
    *out = value_undefined(name);
    return 0;
}

static bool is_subscriptable(const struct value *value)
{
    return value->kind == VALUE_LIST && value->as.list->form != LIST_GENERATOR;
}

static int text_item(struct workspace *ws, const struct text *text, int64_t index,
                     struct value *out)
{
    if (workspace_spend(ws, text->len) < 0)
        return -1;
    int64_t n = (int64_t)text_length(text);
    index += index < 0 ? n : 0;
    if (index < 0 || index >= n)
        return 1;
    size_t at = text_offset(text, (size_t)index), len;
    text_char(text, at, &len);
    const struct text *one = text_slice(ws, text, at, len);
    *out = value_text(one);
    return one ? 0 : -1;
}

static int list_item(const struct list *list, int64_t index, struct value *out)
{
    index += index < 0 ? (int64_t)list->n : 0;
    if (index < 0 || index >= (int64_t)list->n)
        return 1;
    *out = list->items[index];
    return 0;
}

/* 1 when there is no such item. */
static int find_item(struct workspace *ws, const struct value *value, const struct value *key,
                     struct value *out)
{
    int64_t index;
    bool has_index = value_as_int(key, &index);
    if (value->kind == VALUE_STRING && has_index)
        return text_item(ws, value->as.text, index, out);
    if (is_subscriptable(value) && has_index)
        return list_item(value->as.list, index, out);
    if (value->kind == VALUE_DICT) {
        const struct value *found = dict_get(ws, value->as.dict, *key);
        if (found)
            *out = *found;
        return found ? 0 : 1;
    }
    return 1;
}

int access_item(struct workspace *ws, const struct value *value, const struct value *key,
                struct value *out)
{
    if (value->kind == VALUE_UNDEFINED)
        return fail_undefined(ws, value);
    int rc = find_item(ws, value, key, out);
    if (rc <= 0)
        return rc;
    if (key->kind == VALUE_STRING)
        return access_attribute(ws, value, key->as.text, out);
    const struct text *name = value_to_text(ws, key);
    *out = value_undefined(name);
    return name ? 0 : -1;
}

struct range {
    int64_t from, to, step;
};

static int slice_bound(struct workspace *ws, const struct value *value, int64_t *out, bool *given)
{
    *given = value && value->kind != VALUE_NONE;
    if (*given && !value_as_int(value, out))
        return workspace_fail(ws, "a slice wants integers, not %s", value_kind_name(value));
    return 0;
}

static int64_t clamp(int64_t bound, int64_t n, int64_t low, int64_t high)
{
    if (bound < 0)
        bound = bound < -n ? -1 : bound + n;
    return bound < low ? low : bound > high ? high : bound;
}

/* Python's slice.indices. */
static int slice_range(struct workspace *ws, const struct value *from, const struct value *to,
                       const struct value *step, int64_t n, struct range *range)
{
    bool has_from, has_to, has_step;
    range->step = 1;
    if (slice_bound(ws, from, &range->from, &has_from) < 0 ||
        slice_bound(ws, to, &range->to, &has_to) < 0 ||
        slice_bound(ws, step, &range->step, &has_step) < 0)
        return -1;
    if (range->step == 0)
        return workspace_fail(ws, "the step of a slice cannot be 0");
    bool up = range->step > 0;
    int64_t low = up ? 0 : -1, high = up ? n : n - 1;
    range->from = has_from ? clamp(range->from, n, low, high) : up ? low : high;
    range->to = has_to ? clamp(range->to, n, low, high) : up ? high : low;
    if (range->step > n)
        range->step = n + 1; /* the same items, and sums that cannot overflow */
    if (range->step < -n)
        range->step = -n - 1;
    return 0;
}

static bool in_range(const struct range *range, int64_t at)
{
    return range->step > 0 ? at < range->to : at > range->to;
}

static int slice_list(struct workspace *ws, const struct list *list, const struct range *range,
                      struct value *out)
{
    struct list *part = list_new(ws, list->form);
    if (!part)
        return -1;
    for (int64_t at = range->from; in_range(range, at); at += range->step) {
        if (workspace_spend(ws, 0) < 0 || list_add(ws, part, list->items[at]) < 0)
            return -1;
    }
    *out = value_list(part);
    return 0;
}

static int slice_text(struct workspace *ws, const struct text *text, const struct range *range,
                      struct value *out)
{
    const struct text *part;
    if (range->step == 1) {
        size_t from = text_offset(text, (size_t)range->from);
        size_t to = range->to > range->from ? text_offset(text, (size_t)range->to) : from;
        part = text_slice(ws, text, from, to - from);
        *out = value_text(part);
        return part ? 0 : -1;
    }
    struct value whole = value_text(text);
    const struct list *chars = value_iterate(ws, &whole);
    struct value picked;
    if (!chars || slice_list(ws, chars, range, &picked) < 0)
        return -1;
    struct text_builder builder;
    text_builder_open(&builder, ws);
    for (size_t i = 0; i < picked.as.list->n; i++)
        text_builder_add(&builder, picked.as.list->items[i].as.text);
    part = text_builder_done(&builder);
    *out = value_text(part);
    return part ? 0 : -1;
}

int access_slice(struct workspace *ws, const struct value *value, const struct value *from,
                 const struct value *to, const struct value *step, struct value *out)
{
    if (value->kind == VALUE_UNDEFINED)
        return fail_undefined(ws, value);
    if (value->kind != VALUE_STRING && !is_subscriptable(value))
        return workspace_fail(ws, "%s cannot be sliced", value_kind_name(value));
    struct range range;
    int64_t n = value_length(ws, value);
    if (n < 0 || slice_range(ws, from, to, step, n, &range) < 0)
        return -1;
    if (value->kind == VALUE_STRING)
        return slice_text(ws, value->as.text, &range, out);
    return slice_list(ws, value->as.list, &range, out);
}

/* Digits are an index, anything else a key. */
static int path_key(struct workspace *ws, const struct text *part, struct value *key)
{
    int64_t index = 0;
    bool digits = part->len > 0 && part->len < 10;
    for (size_t i = 0; i < part->len && digits; i++) {
        digits = part->bytes[i] >= '0' && part->bytes[i] <= '9';
        index = index * 10 + (part->bytes[i] - '0');
    }
    *key = digits ? value_int(index, true) : value_text(part);
    return workspace_spend(ws, part->len);
}

int access_path(struct workspace *ws, const struct value *value, const struct value *path,
                struct value *out)
{
    if (path->kind != VALUE_STRING)
        return access_item(ws, value, path, out);
    const struct text *text = path->as.text;
    struct value current = *value;
    for (size_t at = 0; at <= text->len;) {
        const char *dot = memchr(text->bytes + at, '.', text->len - at);
        size_t end = dot ? (size_t)(dot - text->bytes) : text->len;
        const struct text *part = text_slice(ws, text, at, end - at);
        struct value key;
        if (!part || path_key(ws, part, &key) < 0 || access_item(ws, &current, &key, out) < 0)
            return -1;
        current = *out;
        at = end + 1;
    }
    return 0;
}

int access_contains(struct workspace *ws, const struct value *container, const struct value *item)
{
    if (container->kind == VALUE_STRING) {
        if (item->kind != VALUE_STRING)
            return workspace_fail(ws, "%s cannot be looked for in a string", value_kind_name(item));
        if (workspace_spend(ws, container->as.text->len) < 0)
            return -1;
        return text_find(container->as.text, item->as.text, 0) != SIZE_MAX;
    }
    if (container->kind == VALUE_DICT) {
        if (!value_is_hashable(item))
            return workspace_fail(ws, "%s cannot be a key", value_kind_name(item));
        return dict_get(ws, container->as.dict, *item) != NULL;
    }
    const struct list *list = value_iterate(ws, container);
    if (!list)
        return -1;
    for (size_t i = 0; i < list->n; i++) {
        int equal = value_equal(ws, &list->items[i], item);
        if (equal != 0)
            return equal;
    }
    return 0;
}
