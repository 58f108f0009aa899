#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/access.h"
#include "chat/ast.h"
#include "chat/filters_internal.h"
#include "chat/operators.h"
#include "chat/split.h"
#include "chat/tests.h"

static int give_text(const struct text *text, struct value *out)
{
    *out = value_text(text);
    return text ? 0 : -1;
}

static int change_case(struct workspace *ws, const struct value *input, enum text_case how,
                       struct value *out)
{
    const struct text *text = value_to_text(ws, input);
    return give_text(text ? text_change_case(ws, text, how) : NULL, out);
}

static int filter_upper(struct workspace *ws, const struct value *input, struct value *const *slots,
                        struct value *out)
{
    (void)slots;
    return change_case(ws, input, TEXT_UPPER, out);
}

static int filter_lower(struct workspace *ws, const struct value *input, struct value *const *slots,
                        struct value *out)
{
    (void)slots;
    return change_case(ws, input, TEXT_LOWER, out);
}

static int filter_capitalize(struct workspace *ws, const struct value *input,
                             struct value *const *slots, struct value *out)
{
    (void)slots;
    return change_case(ws, input, TEXT_CAPITALIZE, out);
}

static int filter_title(struct workspace *ws, const struct value *input, struct value *const *slots,
                        struct value *out)
{
    (void)slots;
    return change_case(ws, input, TEXT_TITLE_FILTER, out);
}

static int filter_string(struct workspace *ws, const struct value *input,
                         struct value *const *slots, struct value *out)
{
    (void)slots;
    return give_text(value_to_text(ws, input), out);
}

static int filter_trim(struct workspace *ws, const struct value *input, struct value *const *slots,
                       struct value *out)
{
    const struct text *chars = NULL, *text = value_to_text(ws, input);
    if (!text)
        return -1;
    if (slots[0] && slots[0]->kind != VALUE_NONE && argument_text(ws, "trim", slots[0], &chars) < 0)
        return -1;
    return give_text(text_strip(ws, text, chars, true, true), out);
}

static int filter_replace(struct workspace *ws, const struct value *input,
                          struct value *const *slots, struct value *out)
{
    const struct text *text = value_to_text(ws, input);
    const struct text *old = text ? value_to_text(ws, slots[0]) : NULL;
    const struct text *new = old ? value_to_text(ws, slots[1]) : NULL;
    int64_t limit = -1;
    if (!new || (slots[2] && slots[2]->kind != VALUE_NONE &&
                 argument_int(ws, "replace", slots[2], &limit) < 0))
        return -1;
    return give_text(text_replace(ws, text, old, new, limit), out);
}

static int filter_length(struct workspace *ws, const struct value *input,
                         struct value *const *slots, struct value *out)
{
    (void)slots;
    int64_t n = value_length(ws, input);
    *out = value_int(n, false);
    return n < 0 ? -1 : 0;
}

/* default_value, boolean */
static int filter_default(struct workspace *ws, const struct value *input,
                          struct value *const *slots, struct value *out)
{
    bool absent = input->kind == VALUE_UNDEFINED ||
                  (slots[1] && value_truth(slots[1]) && !value_truth(input));
    if (!absent) {
        *out = *input;
        return 0;
    }
    if (slots[0]) {
        *out = *slots[0];
        return 0;
    }
    return give_text(text_new(ws, "", 0, true), out);
}

static int filter_safe(struct workspace *ws, const struct value *input, struct value *const *slots,
                       struct value *out)
{
    return filter_string(ws, input, slots, out);
}

static int filter_abs(struct workspace *ws, const struct value *input, struct value *const *slots,
                      struct value *out)
{
    (void)slots;
    return operator_sign(ws, value_is_number(input) && value_number(input) < 0, input, out);
}

static int filter_attr(struct workspace *ws, const struct value *input, struct value *const *slots,
                       struct value *out)
{
    const struct text *name = NULL;
    if (argument_text(ws, "attr", slots[0], &name) < 0)
        return -1;
    /* Keys are no attributes: only namespaces and loops have any that templates use. */
    if (input->kind == VALUE_NAMESPACE || input->kind == VALUE_LOOP)
        return access_attribute(ws, input, name, out);
    *out = value_undefined(name);
    return 0;
}

/* The text without surrounding whitespace and underscores, for strtod; NULL when it is too long. */
static const char *number_text(struct workspace *ws, const struct text *text)
{
    const struct text *bare = text_strip(ws, text, NULL, true, true);
    char *copy = bare && bare->len < 400 ? workspace_alloc(ws, bare->len + 1) : NULL;
    if (copy)
        memcpy(copy, bare->bytes, bare->len);
    return copy;
}

static bool text_to_real(struct workspace *ws, const struct text *text, double *out)
{
    const char *digits = number_text(ws, text);
    char *end;
    if (!digits || !*digits || strpbrk(digits, "xXpP()"))
        return false;
    *out = strtod(digits, &end);
    return *end == '\0';
}

static bool text_to_int(struct workspace *ws, const struct text *text, int base, int64_t *out)
{
    const char *digits = number_text(ws, text);
    char *end;
    if (!digits || !*digits)
        return false;
    errno = 0;
    *out = strtoll(digits, &end, base);
    return errno == 0 && *end == '\0';
}

static bool real_to_int(double real, int64_t *out)
{
    if (!(real > -9.2e18 && real < 9.2e18))
        return false;
    *out = (int64_t)real;
    return true;
}

/* default, base */
static int filter_int(struct workspace *ws, const struct value *input, struct value *const *slots,
                      struct value *out)
{
    int64_t base = 10, integer;
    double real;
    bool trusted = value_is_trusted(input);
    if (input->kind == VALUE_UNDEFINED)
        return workspace_fail(ws, "int wants a value, not an undefined one");
    if (argument_int(ws, "int", slots[1], &base) < 0)
        return -1;
    if (base < 2 || base > 36)
        return workspace_fail(ws, "int: the base must be between 2 and 36");
    bool good = value_as_int(input, &integer);
    if (input->kind == VALUE_FLOAT)
        good = real_to_int(input->as.real, &integer);
    if (input->kind == VALUE_STRING)
        good = text_to_int(ws, input->as.text, (int)base, &integer) ||
               (text_to_real(ws, input->as.text, &real) && real_to_int(real, &integer));
    *out = good ? value_int(integer, trusted) : slots[0] ? *slots[0] : value_int(0, true);
    return 0;
}

/* default */
static int filter_float(struct workspace *ws, const struct value *input, struct value *const *slots,
                        struct value *out)
{
    double real = 0;
    bool good = value_is_number(input);
    if (input->kind == VALUE_UNDEFINED)
        return workspace_fail(ws, "float wants a value, not an undefined one");
    if (good)
        real = value_number(input);
    else if (input->kind == VALUE_STRING)
        good = text_to_real(ws, input->as.text, &real);
    if (good || !slots[0])
        *out = value_float(good ? real : 0, value_is_trusted(input));
    else
        *out = *slots[0];
    return 0;
}

/* precision, method */
static int filter_round(struct workspace *ws, const struct value *input, struct value *const *slots,
                        struct value *out)
{
    int64_t precision = 0;
    const struct text *method = NULL;
    if (argument_int(ws, "round", slots[0], &precision) < 0 ||
        argument_text(ws, "round", slots[1], &method) < 0)
        return -1;
    if (!value_is_number(input) || precision < 0 || precision > 15)
        return workspace_fail(ws, "round wants a number and 0 to 15 digits");
    bool common = !method || text_is(method, "common");
    if (!common && !text_is(method, "ceil") && !text_is(method, "floor"))
        return workspace_fail(ws, "round: the method is 'common', 'ceil' or 'floor'");
    if (common && input->kind != VALUE_FLOAT) {
        return operator_sign(ws, false, input, out);
    }
    double real = value_number(input), factor = pow(10, (double)precision);
    if (common) {
        char digits[400];
        snprintf(digits, sizeof digits, "%.*f", (int)precision, real);
        real = strtod(digits, NULL);
    } else {
        real = (text_is(method, "ceil") ? ceil(real * factor) : floor(real * factor)) / factor;
    }
    *out = value_float(real, input->trusted);
    return 0;
}

/* width, first, blank */
static int filter_indent(struct workspace *ws, const struct value *input,
                         struct value *const *slots, struct value *out)
{
    const struct text *width = NULL;
    int64_t spaces = 4;
    if (input->kind != VALUE_STRING)
        return workspace_fail(ws, "indent wants a string, not %s", value_kind_name(input));
    if (slots[0] && slots[0]->kind == VALUE_STRING)
        width = slots[0]->as.text;
    else if (argument_int(ws, "indent", slots[0], &spaces) < 0)
        return -1;
    struct text_builder builder;
    text_builder_open(&builder, ws);
    for (int64_t i = 0; !width && i < spaces && !builder.failed; i++)
        text_builder_add_bytes(&builder, " ", 1, true);
    if (!width && !(width = text_builder_done(&builder)))
        return -1;
    bool first = slots[1] && value_truth(slots[1]), blank = slots[2] && value_truth(slots[2]);
    const struct list *lines = split_lines(ws, input->as.text, false);
    const struct text *text = input->as.text;
    bool open_end = text->len == 0 || text->bytes[text->len - 1] == '\n';
    text_builder_open(&builder, ws);
    for (size_t i = 0; lines && i < lines->n + open_end; i++) {
        const struct text *line = i < lines->n ? lines->items[i].as.text : NULL;
        if (i)
            text_builder_add_bytes(&builder, "\n", 1, true);
        if (i == 0 ? first : blank || (line && line->len))
            text_builder_add(&builder, width);
        if (line)
            text_builder_add(&builder, line);
        if (workspace_spend(ws, width->len) < 0)
            return -1;
    }
    return give_text(lines ? text_builder_done(&builder) : NULL, out);
}

static int indent_text(struct workspace *ws, const struct value *slot, const struct text **indent)
{
    int64_t n = 0;
    if (!slot || slot->kind == VALUE_NONE)
        return 0;
    if (slot->kind == VALUE_STRING) {
        *indent = slot->as.text;
        return 0;
    }
    if (argument_int(ws, "tojson", slot, &n) < 0)
        return -1;
    static const char spaces[] = "                                ";
    if (n < 0)
        n = 0;
    if (n >= (int64_t)sizeof spaces)
        return workspace_fail(ws, "tojson: indent must be below %zu", sizeof spaces);
    *indent = text_new(ws, spaces, (size_t)n, false);
    return *indent ? 0 : -1;
}

/* ensure_ascii, indent, separators, sort_keys: the parameters of transformers' tojson */
static int filter_tojson(struct workspace *ws, const struct value *input,
                         struct value *const *slots, struct value *out)
{
    struct json_style style = {.ensure_ascii = slots[0] && value_truth(slots[0]),
                               .sort_keys = slots[3] && value_truth(slots[3])};
    const struct value *separators = slots[2];
    if (indent_text(ws, slots[1], &style.indent) < 0)
        return -1;
    if (separators && separators->kind != VALUE_NONE) {
        const struct list *pair = separators->kind == VALUE_LIST ? separators->as.list : NULL;
        if (!pair || pair->n != 2)
            return workspace_fail(ws, "tojson: separators are two strings");
        if (argument_text(ws, "tojson", &pair->items[0], &style.item_separator) < 0 ||
            argument_text(ws, "tojson", &pair->items[1], &style.key_separator) < 0)
            return -1;
    }
    return give_text(value_to_json(ws, input, &style), out);
}

enum names_what {
    NAMES_NOTHING,
    NAMES_FILTER,   /* the first argument is a filter's name */
    NAMES_TEST,     /* the first argument is a test's name */
    NAMES_ATTR_TEST /* the second one is */
};

static const struct {
    const char *name;
    filter_fn apply;
    size_t required;
    const char *parameters[4];
    open_filter_fn apply_open;
    enum names_what names;
} filters[] = {
    {"abs", filter_abs, 0, {NULL}, NULL, NAMES_NOTHING},
    {"attr", filter_attr, 1, {"name"}, NULL, NAMES_NOTHING},
    {"capitalize", filter_capitalize, 0, {NULL}, NULL, NAMES_NOTHING},
    {"count", filter_length, 0, {NULL}, NULL, NAMES_NOTHING},
    {"d", filter_default, 0, {"default_value", "boolean"}, NULL, NAMES_NOTHING},
    {"default", filter_default, 0, {"default_value", "boolean"}, NULL, NAMES_NOTHING},
    {"dictsort", filter_dictsort, 0, {"case_sensitive", "by", "reverse"}, NULL, NAMES_NOTHING},
    {"first", filter_first, 0, {NULL}, NULL, NAMES_NOTHING},
    {"float", filter_float, 0, {"default"}, NULL, NAMES_NOTHING},
    {"indent", filter_indent, 0, {"width", "first", "blank"}, NULL, NAMES_NOTHING},
    {"int", filter_int, 0, {"default", "base"}, NULL, NAMES_NOTHING},
    {"items", filter_items, 0, {NULL}, NULL, NAMES_NOTHING},
    {"join", filter_join, 0, {"d", "attribute"}, NULL, NAMES_NOTHING},
    {"last", filter_last, 0, {NULL}, NULL, NAMES_NOTHING},
    {"length", filter_length, 0, {NULL}, NULL, NAMES_NOTHING},
    {"list", filter_list, 0, {NULL}, NULL, NAMES_NOTHING},
    {"lower", filter_lower, 0, {NULL}, NULL, NAMES_NOTHING},
    {"map", NULL, 0, {NULL}, filter_map, NAMES_FILTER},
    {"max", filter_max, 0, {"case_sensitive", "attribute"}, NULL, NAMES_NOTHING},
    {"min", filter_min, 0, {"case_sensitive", "attribute"}, NULL, NAMES_NOTHING},
    {"reject", NULL, 0, {NULL}, filter_reject, NAMES_TEST},
    {"rejectattr", NULL, 0, {NULL}, filter_rejectattr, NAMES_ATTR_TEST},
    {"replace", filter_replace, 2, {"old", "new", "count"}, NULL, NAMES_NOTHING},
    {"reverse", filter_reverse, 0, {NULL}, NULL, NAMES_NOTHING},
    {"round", filter_round, 0, {"precision", "method"}, NULL, NAMES_NOTHING},
    {"safe", filter_safe, 0, {NULL}, NULL, NAMES_NOTHING},
    {"select", NULL, 0, {NULL}, filter_select, NAMES_TEST},
    {"selectattr", NULL, 0, {NULL}, filter_selectattr, NAMES_ATTR_TEST},
    {"sort", filter_sort, 0, {"reverse", "case_sensitive", "attribute"}, NULL, NAMES_NOTHING},
    {"string", filter_string, 0, {NULL}, NULL, NAMES_NOTHING},
    {"sum", filter_sum, 0, {"attribute", "start"}, NULL, NAMES_NOTHING},
    {"title", filter_title, 0, {NULL}, NULL, NAMES_NOTHING},
    {"tojson",
     filter_tojson,
     0,
     {"ensure_ascii", "indent", "separators", "sort_keys"},
     NULL,
     NAMES_NOTHING},
    {"trim", filter_trim, 0, {"chars"}, NULL, NAMES_NOTHING},
    {"unique", filter_unique, 0, {"case_sensitive", "attribute"}, NULL, NAMES_NOTHING},
    {"upper", filter_upper, 0, {NULL}, NULL, NAMES_NOTHING},
};

int filter_find(const struct text *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (text_is(name, filters[i].name))
            return (int)i;
    }
    return -1;
}

int filter_check_names(struct workspace *ws, const struct node *filter)
{
    enum names_what names = filters[filter->op].names;
    size_t at = names == NAMES_ATTR_TEST;
    if (names == NAMES_NOTHING || filter->items.n <= at)
        return 0;
    const struct node *argument = filter->items.at[at];
    if (argument->kind != NODE_CONST || argument->constant.kind != VALUE_STRING)
        return 0;
    const struct text *name = argument->constant.as.text;
    if ((names == NAMES_FILTER ? filter_find(name) : test_find(name)) >= 0)
        return 0;
    return workspace_fail_as(ws, VLMD_UNSUPPORTED, "the %s '%.*s' is not supported",
                             names == NAMES_FILTER ? "filter" : "test",
                             (int)(name->len < 60 ? name->len : 60), name->bytes);
}

static int apply(struct workspace *ws, int id, const struct value *input,
                 const struct arguments *arguments, struct value *out)
{
    if (filters[id].apply_open)
        return filters[id].apply_open(ws, input, arguments, out);
    struct value *slots[4] = {NULL, NULL, NULL, NULL};
    size_t n = 0;
    while (n < 4 && filters[id].parameters[n])
        n++;
    if (arguments_bind(ws, filters[id].name, arguments, filters[id].parameters, n,
                       filters[id].required, slots) < 0)
        return -1;
    return filters[id].apply(ws, input, slots, out);
}

int filter_apply(struct workspace *ws, int id, struct value input,
                 const struct arguments *arguments, struct value *out)
{
    if (workspace_spend(ws, 0) < 0 || workspace_enter(ws) < 0)
        return -1;
    int rc = apply(ws, id, &input, arguments, out);
    workspace_leave(ws);
    return rc;
}
