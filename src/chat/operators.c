#include "chat/operators.h"

#include <math.h>

#include "chat/access.h"
#include "chat/lexer.h"

static int fail_operands(struct workspace *ws, int op, const struct value *a, const struct value *b)
{
    const char *sign = op == OPERATOR_POWER ? "**" : op == OPERATOR_FLOOR ? "//" : NULL;
    const char single[2] = {(char)(op < 256 ? op : '?'), '\0'};
    return workspace_fail(ws, "%s %s %s cannot be computed", value_kind_name(a),
                          sign ? sign : single, value_kind_name(b));
}

static int fail_overflow(struct workspace *ws)
{
    return workspace_fail(ws, "an integer needs more than 64 bits");
}

static int add_texts(struct workspace *ws, const struct text *a, const struct text *b,
                     struct value *out)
{
    struct text_builder builder;
    text_builder_open(&builder, ws);
    text_builder_add(&builder, a);
    text_builder_add(&builder, b);
    const struct text *sum = text_builder_done(&builder);
    *out = value_text(sum);
    return sum && workspace_spend(ws, sum->len) == 0 ? 0 : -1;
}

static int add_lists(struct workspace *ws, const struct list *a, const struct list *b,
                     struct value *out)
{
    struct list *sum = list_new(ws, a->form);
    if (!sum || workspace_spend(ws, (a->n + b->n) * sizeof(struct value)) < 0)
        return -1;
    for (size_t i = 0; i < a->n + b->n; i++) {
        if (list_add(ws, sum, i < a->n ? a->items[i] : b->items[i - a->n]) < 0)
            return -1;
    }
    *out = value_list(sum);
    return 0;
}

static int repeat(struct workspace *ws, const struct value *what, int64_t times, struct value *out)
{
    struct text_builder builder;
    text_builder_open(&builder, ws);
    struct list *list = NULL;
    if (what->kind == VALUE_LIST && !(list = list_new(ws, what->as.list->form)))
        return -1;
    for (int64_t i = 0; i < times; i++) {
        if (workspace_spend(ws, list ? 0 : what->as.text->len) < 0)
            return -1;
        if (!list && text_builder_add(&builder, what->as.text) < 0)
            return -1;
        for (size_t k = 0; list && k < what->as.list->n; k++) {
            if (workspace_spend(ws, 0) < 0 || list_add(ws, list, what->as.list->items[k]) < 0)
                return -1;
        }
    }
    if (list) {
        *out = value_list(list);
        return 0;
    }
    const struct text *text = text_builder_done(&builder);
    *out = value_text(text);
    return text ? 0 : -1;
}

static int int_power(struct workspace *ws, int64_t base, int64_t exponent, int64_t *out)
{
    *out = 1;
    if (base == 0 || base == 1 || exponent == 0) {
        *out = exponent == 0 ? 1 : base;
        return 0;
    }
    if (base == -1) {
        *out = exponent % 2 ? -1 : 1;
        return 0;
    }
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(*out, base, out))
            return fail_overflow(ws);
    }
    return 0;
}

/* Python rounds quotients down and gives remainders the divisor's sign. */
static int int_division(struct workspace *ws, int op, int64_t x, int64_t y, int64_t *out)
{
    if (y == 0)
        return workspace_fail(ws, "division by zero");
    if (y == -1) {
        if (op == '%')
            *out = 0;
        else if (__builtin_sub_overflow((int64_t)0, x, out))
            return fail_overflow(ws);
        return 0;
    }
    int64_t quotient = x / y, rest = x % y;
    bool adjust = rest != 0 && (rest < 0) != (y < 0);
    *out = op == '%' ? rest + (adjust ? y : 0) : quotient - adjust;
    return 0;
}

static int int_arithmetic(struct workspace *ws, int op, int64_t x, int64_t y, int64_t *out)
{
    bool overflow = false;
    switch (op) {
    case '+':
        overflow = __builtin_add_overflow(x, y, out);
        break;
    case '-':
        overflow = __builtin_sub_overflow(x, y, out);
        break;
    case '*':
        overflow = __builtin_mul_overflow(x, y, out);
        break;
    case OPERATOR_POWER:
        return int_power(ws, x, y, out);
    default:
        return int_division(ws, op, x, y, out);
    }
    return overflow ? fail_overflow(ws) : 0;
}

/* Python's: the remainder has the divisor's sign, also when it is zero, and the quotient fits it.
 */
static double real_remainder(double x, double y)
{
    double rest = fmod(x, y);
    if (rest == 0)
        return copysign(0, y);
    return (rest < 0) != (y < 0) ? rest + y : rest;
}

static double real_floor_quotient(double x, double y)
{
    double quotient = (x - fmod(x, y)) / y;
    if (fmod(x, y) != 0 && (fmod(x, y) < 0) != (y < 0))
        quotient -= 1;
    if (quotient == 0)
        return copysign(0, x / y);
    double below = floor(quotient);
    return quotient - below > 0.5 ? below + 1 : below;
}

static int real_arithmetic(struct workspace *ws, int op, double x, double y, double *out)
{
    if (y == 0 && (op == '/' || op == '%' || op == OPERATOR_FLOOR))
        return workspace_fail(ws, "division by zero");
    switch (op) {
    case '+':
        *out = x + y;
        return 0;
    case '-':
        *out = x - y;
        return 0;
    case '*':
        *out = x * y;
        return 0;
    case '/':
        *out = x / y;
        return 0;
    case OPERATOR_FLOOR:
        *out = real_floor_quotient(x, y);
        return 0;
    case '%':
        *out = real_remainder(x, y);
        return 0;
    default:
        *out = pow(x, y);
        return 0;
    }
}

static int numbers(struct workspace *ws, int op, const struct value *a, const struct value *b,
                   struct value *out)
{
    bool trusted = a->trusted && b->trusted;
    int64_t x, y, result = 0;
    double real = 0;
    bool integers = value_as_int(a, &x) && value_as_int(b, &y);
    if (integers && op != '/' && !(op == OPERATOR_POWER && y < 0)) {
        if (int_arithmetic(ws, op, x, y, &result) < 0)
            return -1;
        *out = value_int(result, trusted);
        return 0;
    }
    if (real_arithmetic(ws, op, value_number(a), value_number(b), &real) < 0)
        return -1;
    *out = value_float(real, trusted);
    return 0;
}

static bool is_sequence(const struct value *value)
{
    return value->kind == VALUE_STRING ||
           (value->kind == VALUE_LIST && value->as.list->form <= LIST_TUPLE);
}

int operator_arithmetic(struct workspace *ws, int op, const struct value *a, const struct value *b,
                        struct value *out)
{
    int64_t times;
    if (value_is_number(a) && value_is_number(b))
        return numbers(ws, op, a, b, out);
    if (op == '+' && a->kind == VALUE_STRING && b->kind == VALUE_STRING)
        return add_texts(ws, a->as.text, b->as.text, out);
    if (op == '+' && a->kind == VALUE_LIST && b->kind == VALUE_LIST && is_sequence(a) &&
        a->as.list->form == b->as.list->form)
        return add_lists(ws, a->as.list, b->as.list, out);
    if (op == '*' && is_sequence(a) && value_as_int(b, &times))
        return repeat(ws, a, times, out);
    if (op == '*' && is_sequence(b) && value_as_int(a, &times))
        return repeat(ws, b, times, out);
    return fail_operands(ws, op, a, b);
}

int operator_sign(struct workspace *ws, bool minus, const struct value *a, struct value *out)
{
    if (!value_is_number(a))
        return workspace_fail(ws, "%s has no sign", value_kind_name(a));
    if (a->kind == VALUE_FLOAT) {
        *out = value_float(minus ? -a->as.real : a->as.real, a->trusted);
        return 0;
    }
    int64_t integer;
    value_as_int(a, &integer);
    if (minus && __builtin_sub_overflow((int64_t)0, integer, &integer))
        return fail_overflow(ws);
    *out = value_int(integer, a->trusted);
    return 0;
}

int operator_compare(struct workspace *ws, enum comparison_op op, const struct value *a,
                     const struct value *b)
{
    int order, found;
    switch (op) {
    case COMPARE_EQ:
        return value_equal(ws, a, b);
    case COMPARE_NE:
        found = value_equal(ws, a, b);
        return found < 0 ? -1 : !found;
    case COMPARE_IN:
        return access_contains(ws, b, a);
    case COMPARE_NOT_IN:
        found = access_contains(ws, b, a);
        return found < 0 ? -1 : !found;
    default:
        break;
    }
    if (value_order(ws, a, b, &order) < 0)
        return -1;
    switch (op) {
    case COMPARE_LT:
        return order < 0;
    case COMPARE_LE:
        return order <= 0;
    case COMPARE_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}
