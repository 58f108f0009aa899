#include <string.h>

#include "chat/access.h"
#include "chat/filters_internal.h"
#include "chat/methods.h"
#include "chat/operators.h"
#include "chat/split.h"
#include "chat/tests.h"

static int give_list(struct list *list, struct value *out)
{
    *out = value_list(list);
    return list ? 0 : -1;
}

static int give_undefined(struct workspace *ws, const char *name, struct value *out)
{
    const struct text *text = text_new(ws, name, strlen(name), true);
    *out = value_undefined(text);
    return text ? 0 : -1;
}

static struct list *copy_list(struct workspace *ws, const struct value *input, enum list_form form)
{
    const struct list *items = value_iterate(ws, input);
    struct list *copy = items ? list_new(ws, form) : NULL;
    for (size_t i = 0; copy && i < items->n; i++) {
        if (workspace_spend(ws, 0) < 0 || list_add(ws, copy, items->items[i]) < 0)
            return NULL;
    }
    return copy;
}

static bool is_set(const struct value *slot)
{
    return slot && value_truth(slot);
}

/* What items are compared by: an attribute or the item, without case unless asked for. */
static int sort_key(struct workspace *ws, const struct value *item, const struct value *attribute,
                    bool case_sensitive, struct value *key)
{
    *key = *item;
    if (attribute && attribute->kind != VALUE_NONE && access_path(ws, item, attribute, key) < 0)
        return -1;
    if (case_sensitive || key->kind != VALUE_STRING)
        return 0;
    const struct text *lower = text_change_case(ws, key->as.text, TEXT_LOWER);
    *key = value_text(lower);
    return lower ? 0 : -1;
}

struct keyed {
    struct value key, item;
};

static struct keyed *keyed_items(struct workspace *ws, const struct list *items,
                                 const struct value *attribute, bool case_sensitive)
{
    struct keyed *keyed = workspace_alloc_array(ws, items->n, sizeof *keyed);
    for (size_t i = 0; keyed && i < items->n; i++) {
        keyed[i].item = items->items[i];
        if (workspace_spend(ws, 0) < 0 ||
            sort_key(ws, &keyed[i].item, attribute, case_sensitive, &keyed[i].key) < 0)
            return NULL;
    }
    return keyed;
}

static int merge(struct workspace *ws, const struct keyed *from, size_t low, size_t middle,
                 size_t high, bool reverse, struct keyed *to)
{
    size_t a = low, b = middle;
    for (size_t i = low; i < high; i++) {
        int order = 0;
        if (a < middle && b < high && value_order(ws, &from[b].key, &from[a].key, &order) < 0)
            return -1;
        bool take_b = a == middle || (b < high && (reverse ? order > 0 : order < 0));
        to[i] = from[take_b ? b++ : a++];
    }
    return 0;
}

/* Stable, and by merging, so that no input makes it slow. */
static struct keyed *sort_keyed(struct workspace *ws, struct keyed *keyed, size_t n, bool reverse)
{
    struct keyed *other = workspace_alloc_array(ws, n, sizeof *other);
    if (!keyed || !other)
        return NULL;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n;
            size_t high = middle + width < n ? middle + width : n;
            if (merge(ws, keyed, low, middle, high, reverse, other) < 0)
                return NULL;
        }
        struct keyed *swapped = keyed;
        keyed = other;
        other = swapped;
    }
    return keyed;
}

static int give_sorted(struct workspace *ws, struct keyed *keyed, size_t n, bool reverse,
                       struct value *out)
{
    keyed = keyed ? sort_keyed(ws, keyed, n, reverse) : NULL;
    struct list *sorted = keyed ? list_new(ws, LIST_PLAIN) : NULL;
    for (size_t i = 0; sorted && i < n; i++) {
        if (list_add(ws, sorted, keyed[i].item) < 0)
            return -1;
    }
    return give_list(sorted, out);
}

/* The list of keys that `sort` compares items by: one for each name in "a,b". */
static int multiple_keys(struct workspace *ws, const struct value *item,
                         const struct value *attribute, bool case_sensitive, struct value *out)
{
    struct text comma = text_view(",", 1, true);
    struct list *keys = list_new(ws, LIST_PLAIN), *names = NULL;
    if (attribute && attribute->kind == VALUE_STRING)
        names = split_text(ws, attribute->as.text, &comma, -1, false);
    for (size_t i = 0; keys && i < (names ? names->n : 1); i++) {
        struct value key;
        if (sort_key(ws, item, names ? &names->items[i] : attribute, case_sensitive, &key) < 0 ||
            list_add(ws, keys, key) < 0)
            return -1;
    }
    return give_list(keys, out);
}

/* reverse, case_sensitive, attribute */
int filter_sort(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out)
{
    const struct list *items = value_iterate(ws, input);
    struct keyed *keyed = items ? workspace_alloc_array(ws, items->n, sizeof *keyed) : NULL;
    for (size_t i = 0; keyed && i < items->n; i++) {
        keyed[i].item = items->items[i];
        if (multiple_keys(ws, &keyed[i].item, slots[2], is_set(slots[1]), &keyed[i].key) < 0)
            return -1;
    }
    return keyed ? give_sorted(ws, keyed, items->n, is_set(slots[0]), out) : -1;
}

/* case_sensitive, by, reverse */
int filter_dictsort(struct workspace *ws, const struct value *input, struct value *const *slots,
                    struct value *out)
{
    const struct text *by = NULL;
    if (input->kind != VALUE_DICT)
        return workspace_fail(ws, "dictsort wants a mapping, not %s", value_kind_name(input));
    if (argument_text(ws, "dictsort", slots[1], &by) < 0)
        return -1;
    if (by && !text_is(by, "key") && !text_is(by, "value"))
        return workspace_fail(ws, "dictsort sorts by 'key' or by 'value'");
    struct value index = value_int(by && text_is(by, "value"), true);
    const struct list *items = dict_items(ws, input->as.dict, LIST_PLAIN);
    if (!items)
        return -1;
    struct keyed *keyed = keyed_items(ws, items, &index, is_set(slots[0]));
    return keyed ? give_sorted(ws, keyed, items->n, is_set(slots[2]), out) : -1;
}

static int best(struct workspace *ws, const struct value *input, struct value *const *slots,
                int sign, struct value *out)
{
    const struct list *items = value_iterate(ws, input);
    if (!items)
        return -1;
    if (items->n == 0)
        return give_undefined(ws, "item", out);
    struct keyed *keyed = keyed_items(ws, items, slots[1], is_set(slots[0]));
    size_t at = 0;
    for (size_t i = 1; keyed && i < items->n; i++) {
        int order;
        if (value_order(ws, &keyed[i].key, &keyed[at].key, &order) < 0)
            return -1;
        if (sign > 0 ? order > 0 : order < 0)
            at = i;
    }
    if (!keyed)
        return -1;
    *out = keyed[at].item;
    return 0;
}

/* case_sensitive, attribute */
int filter_max(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out)
{
    return best(ws, input, slots, 1, out);
}

int filter_min(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out)
{
    return best(ws, input, slots, -1, out);
}

/* case_sensitive, attribute */
int filter_unique(struct workspace *ws, const struct value *input, struct value *const *slots,
                  struct value *out)
{
    const struct list *items = value_iterate(ws, input);
    struct dict *seen = dict_new(ws);
    struct list *unique = list_new(ws, LIST_GENERATOR);
    if (!items || !seen || !unique)
        return -1;
    for (size_t i = 0; i < items->n; i++) {
        struct value key;
        if (workspace_spend(ws, 0) < 0 ||
            sort_key(ws, &items->items[i], slots[1], is_set(slots[0]), &key) < 0)
            return -1;
        if (!value_is_hashable(&key))
            return workspace_fail(ws, "unique cannot compare %s", value_kind_name(&key));
        if (dict_get(ws, seen, key))
            continue;
        if (dict_set(ws, seen, key, value_none()) < 0 || list_add(ws, unique, items->items[i]) < 0)
            return -1;
    }
    return give_list(unique, out);
}

int filter_first(struct workspace *ws, const struct value *input, struct value *const *slots,
                 struct value *out)
{
    (void)slots;
    const struct list *items = value_iterate(ws, input);
    if (!items)
        return -1;
    if (items->n == 0)
        return give_undefined(ws, "first", out);
    *out = items->items[0];
    return 0;
}

int filter_last(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out)
{
    (void)slots;
    if (input->kind == VALUE_LIST && input->as.list->form == LIST_GENERATOR)
        return workspace_fail(ws, "a generator has no last item; make it a list first");
    const struct list *items = value_iterate(ws, input);
    if (!items)
        return -1;
    if (items->n == 0)
        return give_undefined(ws, "last", out);
    *out = items->items[items->n - 1];
    return 0;
}

/* d, attribute */
int filter_join(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out)
{
    const struct text *separator = slots[0] ? value_to_text(ws, slots[0]) : text_new(ws, "", 0, 1);
    struct value items = *input;
    if (!separator)
        return -1;
    if (slots[1] && slots[1]->kind != VALUE_NONE) {
        struct list *picked = copy_list(ws, input, LIST_PLAIN);
        for (size_t i = 0; picked && i < picked->n; i++) {
            struct value item = picked->items[i];
            if (access_path(ws, &item, slots[1], &picked->items[i]) < 0)
                return -1;
        }
        if (give_list(picked, &items) < 0)
            return -1;
    }
    const struct text *text = join_values(ws, separator, &items, false);
    *out = value_text(text);
    return text ? 0 : -1;
}

int filter_items(struct workspace *ws, const struct value *input, struct value *const *slots,
                 struct value *out)
{
    (void)slots;
    if (input->kind == VALUE_UNDEFINED)
        return give_list(list_new(ws, LIST_GENERATOR), out);
    if (input->kind != VALUE_DICT)
        return workspace_fail(ws, "items wants a mapping, not %s", value_kind_name(input));
    return give_list(dict_items(ws, input->as.dict, LIST_GENERATOR), out);
}

int filter_list(struct workspace *ws, const struct value *input, struct value *const *slots,
                struct value *out)
{
    (void)slots;
    return give_list(copy_list(ws, input, LIST_PLAIN), out);
}

int filter_reverse(struct workspace *ws, const struct value *input, struct value *const *slots,
                   struct value *out)
{
    (void)slots;
    if (input->kind == VALUE_STRING) {
        struct value step = value_int(-1, true);
        return access_slice(ws, input, NULL, NULL, &step, out);
    }
    struct list *list = copy_list(ws, input, LIST_GENERATOR);
    for (size_t i = 0, k = list ? list->n : 0; i + 1 < k; i++) {
        struct value swapped = list->items[i];
        list->items[i] = list->items[--k];
        list->items[k] = swapped;
    }
    return give_list(list, out);
}

/* attribute, start */
int filter_sum(struct workspace *ws, const struct value *input, struct value *const *slots,
               struct value *out)
{
    const struct list *items = value_iterate(ws, input);
    if (!items)
        return -1;
    struct value total = slots[1] ? *slots[1] : value_int(0, true);
    if (total.kind == VALUE_STRING)
        return workspace_fail(ws, "sum cannot add strings");
    for (size_t i = 0; i < items->n; i++) {
        struct value item = items->items[i], next;
        if (slots[0] && slots[0]->kind != VALUE_NONE &&
            access_path(ws, &items->items[i], slots[0], &item) < 0)
            return -1;
        if (workspace_spend(ws, 0) < 0 || operator_arithmetic(ws, '+', &total, &item, &next) < 0)
            return -1;
        total = next;
    }
    *out = total;
    return 0;
}

static struct arguments without_first(const struct arguments *arguments, size_t n)
{
    struct arguments rest = *arguments;
    if (n > 0) /* without arguments there is no array to step in */
        rest.positional += n;
    rest.n -= n;
    return rest;
}

static int map_attribute(struct workspace *ws, const struct list *items,
                         const struct arguments *arguments, struct value *out)
{
    static const char *const names[] = {"attribute", "default"};
    struct value *slots[2];
    struct list *mapped = list_new(ws, LIST_GENERATOR);
    if (!mapped || arguments_bind(ws, "map", arguments, names, 2, 1, slots) < 0)
        return -1;
    for (size_t i = 0; i < items->n; i++) {
        struct value item;
        if (workspace_spend(ws, 0) < 0 || access_path(ws, &items->items[i], slots[0], &item) < 0)
            return -1;
        if (item.kind == VALUE_UNDEFINED && slots[1])
            item = *slots[1];
        if (list_add(ws, mapped, item) < 0)
            return -1;
    }
    return give_list(mapped, out);
}

int filter_map(struct workspace *ws, const struct value *input, const struct arguments *arguments,
               struct value *out)
{
    if (!value_truth(input))
        return give_list(list_new(ws, LIST_GENERATOR), out);
    const struct list *items = value_iterate(ws, input);
    if (!items)
        return -1;
    if (arguments->n == 0)
        return map_attribute(ws, items, arguments, out);
    const struct text *name = NULL;
    if (argument_text(ws, "map", &arguments->positional[0], &name) < 0)
        return -1;
    int id = filter_find(name);
    if (id < 0)
        return workspace_fail(ws, "map: unknown filter '%.*s'",
                              (int)(name->len < 60 ? name->len : 60), name->bytes);
    struct arguments rest = without_first(arguments, 1);
    struct list *mapped = list_new(ws, LIST_GENERATOR);
    for (size_t i = 0; mapped && i < items->n; i++) {
        struct value item;
        if (filter_apply(ws, id, items->items[i], &rest, &item) < 0 ||
            list_add(ws, mapped, item) < 0)
            return -1;
    }
    return give_list(mapped, out);
}

/* The four filters that keep items for which a test holds (or not), on the item or an attribute. */
static int choose(struct workspace *ws, const struct value *input,
                  const struct arguments *arguments, bool by_attribute, bool wanted,
                  struct value *out)
{
    struct list *chosen = list_new(ws, LIST_GENERATOR);
    if (!value_truth(input))
        return give_list(chosen, out);
    const struct list *items = value_iterate(ws, input);
    if (!items || !chosen)
        return -1;
    if (by_attribute && arguments->n == 0)
        return workspace_fail(ws, "selectattr and rejectattr want the name of an attribute");
    struct arguments rest = without_first(arguments, by_attribute);
    const struct text *name = NULL;
    int id = -1;
    if (rest.n > 0) {
        if (argument_text(ws, "select", &rest.positional[0], &name) < 0)
            return -1;
        if ((id = test_find(name)) < 0)
            return workspace_fail(ws, "unknown test '%.*s'", (int)(name->len < 60 ? name->len : 60),
                                  name->bytes);
        rest = without_first(&rest, 1);
    }
    for (size_t i = 0; i < items->n; i++) {
        struct value item = items->items[i];
        if (workspace_spend(ws, 0) < 0 ||
            (by_attribute &&
             access_path(ws, &items->items[i], &arguments->positional[0], &item) < 0))
            return -1;
        int holds = id < 0 ? value_truth(&item) : test_apply(ws, id, &item, &rest);
        if (holds < 0 || (holds == wanted && list_add(ws, chosen, items->items[i]) < 0))
            return -1;
    }
    return give_list(chosen, out);
}

int filter_select(struct workspace *ws, const struct value *input,
                  const struct arguments *arguments, struct value *out)
{
    return choose(ws, input, arguments, false, true, out);
}

int filter_reject(struct workspace *ws, const struct value *input,
                  const struct arguments *arguments, struct value *out)
{
    return choose(ws, input, arguments, false, false, out);
}

int filter_selectattr(struct workspace *ws, const struct value *input,
                      const struct arguments *arguments, struct value *out)
{
    return choose(ws, input, arguments, true, true, out);
}

int filter_rejectattr(struct workspace *ws, const struct value *input,
                      const struct arguments *arguments, struct value *out)
{
    return choose(ws, input, arguments, true, false, out);
}
