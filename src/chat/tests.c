#include "chat/tests.h"

#include "chat/access.h"
#include "chat/filters.h"
#include "chat/operators.h"

typedef int (*test_fn)(struct workspace *ws, const struct value *value,
                       const struct value *argument);

static int is_defined(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind != VALUE_UNDEFINED;
}

static int is_undefined(struct workspace *ws, const struct value *value,
                        const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_UNDEFINED;
}

static int is_none(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_NONE;
}

static int is_boolean(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_BOOL;
}

static int is_true(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_BOOL && value->as.truth;
}

static int is_false(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_BOOL && !value->as.truth;
}

static int is_integer(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_INT;
}

static int is_float(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_FLOAT;
}

static int is_number(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value_is_number(value);
}

static int is_string(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_STRING;
}

static int is_mapping(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_DICT;
}

static int is_iterable(struct workspace *ws, const struct value *value,
                       const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_STRING || value->kind == VALUE_LIST || value->kind == VALUE_DICT ||
           value->kind == VALUE_UNDEFINED || value->kind == VALUE_LOOP;
}

/* Something with a length and items, so neither views nor generators; undefined values pass. */
static int is_sequence(struct workspace *ws, const struct value *value,
                       const struct value *argument)
{
    (void)ws, (void)argument;
    if (value->kind == VALUE_LIST)
        return value->as.list->form <= LIST_TUPLE;
    return value->kind == VALUE_STRING || value->kind == VALUE_DICT ||
           value->kind == VALUE_UNDEFINED;
}

static int is_callable(struct workspace *ws, const struct value *value,
                       const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_MACRO || value->kind == VALUE_FUNCTION ||
           value->kind == VALUE_METHOD || value->kind == VALUE_UNDEFINED;
}

/* "is lower" and "is upper": whether changing the case would leave the text alone. */
static int keeps_case(struct workspace *ws, const struct value *value, enum text_case how,
                      enum text_case other)
{
    const struct text *text = value_to_text(ws, value);
    const struct text *same = text ? text_change_case(ws, text, how) : NULL;
    const struct text *changed = same ? text_change_case(ws, text, other) : NULL;
    if (!changed)
        return -1;
    return text_equal(text, same) && !text_equal(text, changed);
}

static int is_lower(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)argument;
    return keeps_case(ws, value, TEXT_LOWER, TEXT_UPPER);
}

static int is_upper(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)argument;
    return keeps_case(ws, value, TEXT_UPPER, TEXT_LOWER);
}

static int remainder_is(struct workspace *ws, const struct value *value, int64_t divisor,
                        int64_t wanted)
{
    struct value by = value_int(divisor, true), rest, zero = value_int(wanted, true);
    if (operator_arithmetic(ws, '%', value, &by, &rest) < 0)
        return -1;
    return value_equal(ws, &rest, &zero);
}

static int is_odd(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)argument;
    return remainder_is(ws, value, 2, 1);
}

static int is_even(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)argument;
    return remainder_is(ws, value, 2, 0);
}

static int is_divisible(struct workspace *ws, const struct value *value,
                        const struct value *argument)
{
    int64_t divisor = 1;
    if (argument_int(ws, "divisibleby", argument, &divisor) < 0)
        return -1;
    return remainder_is(ws, value, divisor, 0);
}

static int is_in(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return access_contains(ws, argument, value);
}

static int is_same(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return value->kind == argument->kind ? value_equal(ws, value, argument) : 0;
}

static int is_eq(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_EQ, value, argument);
}

static int is_ne(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_NE, value, argument);
}

static int is_gt(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_GT, value, argument);
}

static int is_ge(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_GE, value, argument);
}

static int is_lt(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_LT, value, argument);
}

static int is_le(struct workspace *ws, const struct value *value, const struct value *argument)
{
    return operator_compare(ws, COMPARE_LE, value, argument);
}

static int is_filter(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_STRING && filter_find(value->as.text) >= 0;
}

static int is_test(struct workspace *ws, const struct value *value, const struct value *argument)
{
    (void)ws, (void)argument;
    return value->kind == VALUE_STRING && test_find(value->as.text) >= 0;
}

static const struct {
    const char *name;
    size_t arguments;
    test_fn holds;
} tests[] = {
    {"!=", 1, is_ne},
    {"<", 1, is_lt},
    {"<=", 1, is_le},
    {"==", 1, is_eq},
    {">", 1, is_gt},
    {">=", 1, is_ge},
    {"boolean", 0, is_boolean},
    {"callable", 0, is_callable},
    {"defined", 0, is_defined},
    {"divisibleby", 1, is_divisible},
    {"eq", 1, is_eq},
    {"equalto", 1, is_eq},
    {"even", 0, is_even},
    {"false", 0, is_false},
    {"filter", 0, is_filter},
    {"float", 0, is_float},
    {"ge", 1, is_ge},
    {"greaterthan", 1, is_gt},
    {"gt", 1, is_gt},
    {"in", 1, is_in},
    {"integer", 0, is_integer},
    {"iterable", 0, is_iterable},
    {"le", 1, is_le},
    {"lessthan", 1, is_lt},
    {"lower", 0, is_lower},
    {"lt", 1, is_lt},
    {"mapping", 0, is_mapping},
    {"ne", 1, is_ne},
    {"none", 0, is_none},
    {"number", 0, is_number},
    {"odd", 0, is_odd},
    {"sameas", 1, is_same},
    {"sequence", 0, is_sequence},
    {"string", 0, is_string},
    {"test", 0, is_test},
    {"true", 0, is_true},
    {"undefined", 0, is_undefined},
    {"upper", 0, is_upper},
};

int test_find(const struct text *name)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (text_is(name, tests[i].name))
            return (int)i;
    }
    return -1;
}

int test_check_arguments(struct workspace *ws, int id, size_t n, size_t n_keywords)
{
    if (n == tests[id].arguments && n_keywords == 0)
        return 0;
    return workspace_fail(ws, "the test '%s' takes %zu arguments", tests[id].name,
                          tests[id].arguments);
}

int test_apply(struct workspace *ws, int id, const struct value *value,
               const struct arguments *arguments)
{
    if (workspace_spend(ws, 0) < 0 ||
        test_check_arguments(ws, id, arguments->n, arguments->n_keywords) < 0)
        return -1;
    return tests[id].holds(ws, value, arguments->n ? &arguments->positional[0] : NULL);
}
