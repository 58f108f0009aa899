/* The functions that every template finds defined. */
#include <time.h>

#include "chat/interp.h"

enum {
    RANGE_MAX = 100000, /* Jinja's own limit */
    TIME_TEXT_MAX = 512,
};

static int call_range(struct workspace *ws, const struct arguments *arguments, struct value *out)
{
    static const char *const names[] = {"start", "stop", "step"};
    struct value *slots[3];
    int64_t bounds[3] = {0, 0, 1};
    if (arguments_bind(ws, "range", arguments, names, 3, 1, slots) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        if (argument_int(ws, "range", slots[i], &bounds[i]) < 0)
            return -1;
    }
    if (!slots[1]) {
        bounds[1] = bounds[0];
        bounds[0] = 0;
    }
    if (bounds[2] == 0)
        return workspace_fail(ws, "the step of a range cannot be 0");
    struct list *list = list_new(ws, LIST_VIEW);
    bool up = bounds[2] > 0;
    for (int64_t i = bounds[0]; list && (up ? i < bounds[1] : i > bounds[1]);) {
        if (list->n == RANGE_MAX)
            return workspace_fail(ws, "a range has more than %d numbers", RANGE_MAX);
        if (workspace_spend(ws, 0) < 0 || list_add(ws, list, value_int(i, true)) < 0)
            return -1;
        if (__builtin_add_overflow(i, bounds[2], &i))
            break;
    }
    *out = value_list(list);
    return list ? 0 : -1;
}

static int add_pairs(struct workspace *ws, struct dict *dict, const struct value *from)
{
    if (from->kind != VALUE_DICT)
        return workspace_fail(ws, "a mapping is wanted, not %s", value_kind_name(from));
    for (size_t i = 0; i < from->as.dict->n; i++) {
        const struct pair *pair = &from->as.dict->pairs[i];
        if (workspace_spend(ws, 0) < 0 || dict_set(ws, dict, pair->key, pair->value) < 0)
            return -1;
    }
    return 0;
}

static int call_dict(struct workspace *ws, enum value_kind kind, const struct arguments *arguments,
                     struct value *out)
{
    struct dict *dict = dict_new(ws);
    if (!dict)
        return -1;
    if (arguments->n > 1)
        return workspace_fail(ws, "dict and namespace take one mapping and keywords");
    if (arguments->n == 1 && add_pairs(ws, dict, &arguments->positional[0]) < 0)
        return -1;
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        const struct named_value *keyword = &arguments->keywords[i];
        if (dict_set(ws, dict, value_text(keyword->name), keyword->value) < 0)
            return -1;
    }
    *out = (struct value){.kind = kind, .as.dict = dict};
    return 0;
}

/* The template's own complaint about the messages: its words are the error. */
static int call_raise(struct workspace *ws, const struct arguments *arguments)
{
    static const char *const names[] = {"message"};
    struct value *message;
    if (arguments_bind(ws, "raise_exception", arguments, names, 1, 1, &message) < 0)
        return -1;
    const struct text *text = value_to_text(ws, message);
    if (!text)
        return -1;
    return workspace_fail(ws, "%.*s", (int)(text->len < 200 ? text->len : 200), text->bytes);
}

static int call_strftime(struct interp *interp, const struct arguments *arguments,
                         struct value *out)
{
    static const char *const names[] = {"format"};
    struct workspace *ws = &interp->ws;
    struct value *format;
    const struct text *text = NULL;
    if (arguments_bind(ws, "strftime_now", arguments, names, 1, 1, &format) < 0 ||
        argument_text(ws, "strftime_now", format, &text) < 0)
        return -1;
    char *pattern = workspace_alloc(ws, text->len + 2);
    char *result = workspace_alloc(ws, TIME_TEXT_MAX);
    struct tm now;
    if (!pattern || !result)
        return -1;
    /* A closing mark tells an empty result from one that does not fit. */
    for (size_t i = 0; i < text->len; i++)
        pattern[i] = text->bytes[i];
    pattern[text->len] = '.';
    if (text->len > TIME_TEXT_MAX || !localtime_r(&interp->now, &now))
        return workspace_fail(ws, "strftime_now: the format is too long");
    size_t len = strftime(result, TIME_TEXT_MAX, pattern, &now);
    if (len == 0)
        return workspace_fail(ws, "strftime_now: the text is too long");
    const struct text *written = text_new(ws, result, len - 1, text_all_trusted(text));
    *out = value_text(written);
    return written ? 0 : -1;
}

int function_call(struct interp *interp, enum template_function function,
                  const struct arguments *arguments, struct value *out)
{
    switch (function) {
    case FUNCTION_RANGE:
        return call_range(&interp->ws, arguments, out);
    case FUNCTION_NAMESPACE:
        return call_dict(&interp->ws, VALUE_NAMESPACE, arguments, out);
    case FUNCTION_DICT:
        return call_dict(&interp->ws, VALUE_DICT, arguments, out);
    case FUNCTION_RAISE:
        return call_raise(&interp->ws, arguments);
    default:
        return call_strftime(interp, arguments, out);
    }
}
