#include <string.h>

#include "chat/filters.h"
#include "chat/methods.h"
#include "chat/parser_internal.h"
#include "chat/tests.h"

static struct node *parse_or(struct parser *parser);
static struct node *parse_unary(struct parser *parser, bool with_filter);

static struct node *pair_node(struct parser *parser, enum node_kind kind, int line, struct node *a,
                              struct node *b)
{
    struct node *node = a && b ? parser_node(parser, kind, line) : NULL;
    if (!node)
        return NULL;
    node->a = a;
    node->b = b;
    return parser_finish(parser, node);
}

static struct node *parse_list(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_LIST, parser->token->line);
    parser_next(parser);
    while (node && !parser_is_op(parser, ']')) {
        if (node->items.n && parser_expect_op(parser, ',') < 0)
            return NULL;
        if (parser_is_op(parser, ']'))
            break;
        if (parser_append(parser, &node->items, parser_expression(parser)) < 0)
            return NULL;
    }
    if (!node || parser_expect_op(parser, ']') < 0)
        return NULL;
    return parser_finish(parser, node);
}

static struct node *parse_dict(struct parser *parser)
{
    struct node *node = parser_node(parser, NODE_DICT, parser->token->line);
    parser_next(parser);
    while (node && !parser_is_op(parser, '}')) {
        if (node->items.n && parser_expect_op(parser, ',') < 0)
            return NULL;
        if (parser_is_op(parser, '}'))
            break;
        if (parser_append(parser, &node->items, parser_expression(parser)) < 0 ||
            parser_expect_op(parser, ':') < 0 ||
            parser_append(parser, &node->items, parser_expression(parser)) < 0)
            return NULL;
    }
    if (!node || parser_expect_op(parser, '}') < 0)
        return NULL;
    return parser_finish(parser, node);
}

static struct node *constant(struct parser *parser, int line, struct value value)
{
    struct node *node = parser_node(parser, NODE_CONST, line);
    if (node)
        node->constant = value;
    return node;
}

/* Literals that stand next to each other are one. */
static struct node *parse_string(struct parser *parser)
{
    int line = parser->token->line;
    struct text_builder builder;
    text_builder_open(&builder, parser->ws);
    for (; parser->token->kind == TOKEN_STRING; parser_next(parser))
        text_builder_add(&builder, parser->token->text);
    const struct text *text = text_builder_done(&builder);
    return text ? constant(parser, line, value_text(text)) : NULL;
}

static struct node *parse_name(struct parser *parser)
{
    const struct text *name = parser->token->text;
    int line = parser->token->line;
    static const char *const unsupported[] = {"cycler", "joiner", "lipsum",
                                              "caller", "self",   "super"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        const struct token *next = parser->token + 1;
        if (text_is(name, unsupported[i]) && next->kind == TOKEN_OPERATOR && next->op == '(') {
            parser_unsupported(parser, "the function", name);
            return NULL;
        }
    }
    if (parser->in_macro && (text_is(name, "varargs") || text_is(name, "kwargs"))) {
        parser_unsupported(parser, "the variable", name);
        return NULL;
    }
    parser_next(parser);
    if (text_is(name, "true") || text_is(name, "True"))
        return constant(parser, line, value_bool(true));
    if (text_is(name, "false") || text_is(name, "False"))
        return constant(parser, line, value_bool(false));
    if (text_is(name, "none") || text_is(name, "None"))
        return constant(parser, line, value_none());
    struct node *node = parser_node(parser, NODE_NAME, line);
    if (node)
        node->name = name;
    return node;
}

static struct node *parse_number(struct parser *parser)
{
    const struct token *token = parser->token;
    parser_next(parser);
    return constant(parser, token->line,
                    token->kind == TOKEN_FLOAT ? value_float(token->real, true)
                                               : value_int(token->integer, true));
}

static struct node *parse_primary(struct parser *parser)
{
    switch (parser->token->kind) {
    case TOKEN_NAME:
        return parse_name(parser);
    case TOKEN_STRING:
        return parse_string(parser);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
        return parse_number(parser);
    case TOKEN_OPERATOR:
        break;
    default:
        parser_unexpected(parser, "an expression");
        return NULL;
    }
    if (parser_skip_op(parser, '(')) {
        struct node *node = parser_tuple(parser, true, true);
        return node && parser_expect_op(parser, ')') == 0 ? node : NULL;
    }
    if (parser_is_op(parser, '['))
        return parse_list(parser);
    if (parser_is_op(parser, '{'))
        return parse_dict(parser);
    parser_unexpected(parser, "an expression");
    return NULL;
}

static bool ends_subscript(const struct parser *parser)
{
    return parser_is_op(parser, ']') || parser_is_op(parser, ',');
}

/* One of from, to, step; absent when the next sign already closes it. */
static int parse_slice_part(struct parser *parser, struct node **part)
{
    *part = NULL;
    if (parser_is_op(parser, ':') || ends_subscript(parser))
        return 0;
    *part = parser_expression(parser);
    return *part ? 0 : -1;
}

static struct node *parse_subscript(struct parser *parser)
{
    int line = parser->token->line;
    struct node *parts[3] = {NULL, NULL, NULL};
    if (parse_slice_part(parser, &parts[0]) < 0)
        return NULL;
    if (!parser_is_op(parser, ':')) {
        if (!parts[0])
            parser_unexpected(parser, "an index");
        return parts[0];
    }
    for (int i = 1; i < 3 && parser_skip_op(parser, ':'); i++) {
        if (parse_slice_part(parser, &parts[i]) < 0)
            return NULL;
    }
    struct node *slice = parser_node(parser, NODE_SLICE, line);
    for (int i = 0; slice && i < 3; i++) {
        struct node **place = i == 0 ? &slice->a : i == 1 ? &slice->b : &slice->c;
        *place = parts[i];
    }
    return slice ? parser_finish(parser, slice) : NULL;
}

static struct node *parse_item(struct parser *parser, struct node *node)
{
    int line = parser->token->line;
    parser_next(parser);
    struct node *index = parse_subscript(parser);
    if (index && parser_is_op(parser, ',')) {
        parser_unexpected(parser, "]");
        return NULL;
    }
    if (!index || parser_expect_op(parser, ']') < 0)
        return NULL;
    return pair_node(parser, NODE_ITEM, line, node, index);
}

static struct node *parse_attribute(struct parser *parser, struct node *node)
{
    int line = parser->token->line;
    parser_next(parser);
    const struct token *name = parser->token;
    parser_next(parser);
    if (name->kind == TOKEN_INTEGER)
        return pair_node(parser, NODE_ITEM, line, node,
                         constant(parser, line, value_int(name->integer, true)));
    if (name->kind != TOKEN_NAME) {
        workspace_fail_as(parser->ws, VLMD_FORMAT, "expected a name or a number behind '.'");
        return NULL;
    }
    if (parser_is_op(parser, '(') && method_find(name->text) < 0 && !method_is_hidden(name->text)) {
        parser_unsupported(parser, "the method", name->text);
        return NULL;
    }
    struct node *attribute = parser_node(parser, NODE_ATTRIBUTE, line);
    if (!attribute)
        return NULL;
    attribute->a = node;
    attribute->name = name->text;
    return parser_finish(parser, attribute);
}

static int add_keyword(struct parser *parser, struct node *call)
{
    if (call->n_keywords == call->keywords_cap) {
        size_t cap = call->keywords_cap ? call->keywords_cap * 2 : 4;
        struct keyword *grown = workspace_alloc_array(parser->ws, cap, sizeof *grown);
        if (!grown)
            return -1;
        if (call->n_keywords)
            memcpy(grown, call->keywords, call->n_keywords * sizeof *grown);
        call->keywords = grown;
        call->keywords_cap = cap;
    }
    const struct text *name = parser->token->text;
    parser_next(parser);
    parser_next(parser);
    struct node *value = parser_expression(parser);
    call->keywords[call->n_keywords++] = (struct keyword){name, value};
    return value ? 0 : -1;
}

static int parse_argument(struct parser *parser, struct node *call)
{
    if (parser_is_op(parser, '*') || parser_is_op(parser, OPERATOR_POWER))
        return workspace_fail_as(parser->ws, VLMD_UNSUPPORTED,
                                 "arguments with * or ** are not supported");
    const struct token *next = parser->token + (parser->token->kind != TOKEN_END);
    if (parser->token->kind == TOKEN_NAME && next->kind == TOKEN_OPERATOR && next->op == '=')
        return add_keyword(parser, call);
    if (call->n_keywords)
        return parser_unexpected(parser, "a keyword argument");
    return parser_append(parser, &call->items, parser_expression(parser));
}

/* "(a, b, key=c)" into call->items and call->keywords. */
static int parse_arguments(struct parser *parser, struct node *call)
{
    parser_next(parser);
    bool first = true;
    while (!parser_is_op(parser, ')')) {
        if (!first && parser_expect_op(parser, ',') < 0)
            return -1;
        if (parser_is_op(parser, ')'))
            break;
        if (parse_argument(parser, call) < 0)
            return -1;
        first = false;
    }
    return parser_expect_op(parser, ')');
}

static struct node *parse_call(struct parser *parser, struct node *node)
{
    struct node *call = parser_node(parser, NODE_CALL, parser->token->line);
    if (!call || parse_arguments(parser, call) < 0)
        return NULL;
    call->a = node;
    return parser_finish(parser, call);
}

static struct node *parse_postfix(struct parser *parser, struct node *node)
{
    while (node) {
        if (parser_is_op(parser, '.'))
            node = parse_attribute(parser, node);
        else if (parser_is_op(parser, '['))
            node = parse_item(parser, node);
        else if (parser_is_op(parser, '('))
            node = parse_call(parser, node);
        else
            break;
    }
    return node;
}

static struct node *parse_filter(struct parser *parser, struct node *node)
{
    const struct token *name = parser->token;
    if (name->kind != TOKEN_NAME) {
        parser_unexpected(parser, "the name of a filter");
        return NULL;
    }
    int id = filter_find(name->text);
    if (id < 0) {
        parser_unsupported(parser, "the filter", name->text);
        return NULL;
    }
    parser_next(parser);
    struct node *filter = parser_node(parser, NODE_FILTER, name->line);
    if (!filter)
        return NULL;
    filter->a = node;
    filter->op = id;
    filter->name = name->text;
    if (parser_is_op(parser, '(') && parse_arguments(parser, filter) < 0)
        return NULL;
    /* map, select and their kin name a filter or test in an argument: known ones only. */
    if (filter_check_names(parser->ws, filter) < 0)
        return NULL;
    return parser_finish(parser, filter);
}

struct node *parser_filters(struct parser *parser, struct node *node, bool first)
{
    if (first)
        node = parse_filter(parser, node);
    while ((node || !first) && parser_skip_op(parser, '|')) {
        node = parse_filter(parser, node);
        first = true;
    }
    return node;
}

static bool begins_test_argument(const struct parser *parser)
{
    switch (parser->token->kind) {
    case TOKEN_NAME:
        return !parser_is_name(parser, "else") && !parser_is_name(parser, "or") &&
               !parser_is_name(parser, "and");
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
        return true;
    default:
        return parser_is_op(parser, '[') || parser_is_op(parser, '{');
    }
}

/* "is divisibleby 3": one argument may stand without parentheses. */
static int parse_test_arguments(struct parser *parser, struct node *test)
{
    if (parser_is_op(parser, '('))
        return parse_arguments(parser, test);
    if (!begins_test_argument(parser))
        return 0;
    if (parser_is_name(parser, "is"))
        return workspace_fail_as(parser->ws, VLMD_FORMAT, "tests cannot be chained with 'is'");
    struct node *argument = parse_postfix(parser, parse_primary(parser));
    return parser_append(parser, &test->items, argument);
}

static struct node *parse_test(struct parser *parser, struct node *node)
{
    int line = parser->token->line;
    parser_next(parser);
    bool negated = parser_skip_name(parser, "not");
    const struct token *name = parser->token;
    if (name->kind != TOKEN_NAME) {
        parser_unexpected(parser, "the name of a test");
        return NULL;
    }
    int id = test_find(name->text);
    if (id < 0) {
        parser_unsupported(parser, "the test", name->text);
        return NULL;
    }
    parser_next(parser);
    struct node *test = parser_node(parser, NODE_TEST, line);
    if (!test || parse_test_arguments(parser, test) < 0)
        return NULL;
    test->a = node;
    test->op = id;
    test->name = name->text;
    if (test_check_arguments(parser->ws, id, test->items.n, test->n_keywords) < 0)
        return NULL;
    test = parser_finish(parser, test);
    if (!test || !negated)
        return test;
    struct node *not_node = parser_node(parser, NODE_NOT, line);
    if (!not_node)
        return NULL;
    not_node->a = test;
    return parser_finish(parser, not_node);
}

static struct node *parse_filters_and_tests(struct parser *parser, struct node *node)
{
    while (node) {
        if (parser_is_op(parser, '|'))
            node = parser_filters(parser, node, false);
        else if (parser_is_name(parser, "is"))
            node = parse_test(parser, node);
        else if (parser_is_op(parser, '('))
            node = parse_call(parser, node);
        else
            break;
    }
    return node;
}

static struct node *parse_sign(struct parser *parser)
{
    bool minus = parser_is_op(parser, '-');
    if (!minus && !parser_is_op(parser, '+'))
        return parse_primary(parser);
    struct node *node = parser_node(parser, minus ? NODE_NEGATE : NODE_PLUS, parser->token->line);
    parser_next(parser);
    if (!node || !(node->a = parse_unary(parser, false)))
        return NULL;
    return parser_finish(parser, node);
}

static struct node *parse_unary(struct parser *parser, bool with_filter)
{
    if (parser_enter(parser) < 0)
        return NULL;
    struct node *node = parse_postfix(parser, parse_sign(parser));
    if (with_filter)
        node = parse_filters_and_tests(parser, node);
    parser_leave(parser);
    return node;
}

/* Operators of one level, which group to the left. */
static struct node *parse_chain(struct parser *parser, const int *ops, size_t n_ops,
                                struct node *(*operand)(struct parser *))
{
    int line = parser->token->line;
    struct node *left = operand(parser);
    while (left) {
        size_t i = 0;
        while (i < n_ops && !parser_is_op(parser, ops[i]))
            i++;
        if (i == n_ops)
            break;
        parser_next(parser);
        left = pair_node(parser, NODE_ARITHMETIC, line, left, operand(parser));
        if (left)
            left->op = ops[i];
        line = parser->token->line;
    }
    return left;
}

static struct node *parse_operand(struct parser *parser)
{
    return parse_unary(parser, true);
}

static struct node *parse_power(struct parser *parser)
{
    static const int ops[] = {OPERATOR_POWER};
    return parse_chain(parser, ops, 1, parse_operand);
}

static struct node *parse_product(struct parser *parser)
{
    static const int ops[] = {'*', '/', '%', OPERATOR_FLOOR};
    return parse_chain(parser, ops, 4, parse_power);
}

static struct node *parse_concat(struct parser *parser)
{
    int line = parser->token->line;
    struct node *first = parse_product(parser);
    if (!first || !parser_is_op(parser, '~'))
        return first;
    struct node *node = parser_node(parser, NODE_CONCAT, line);
    if (!node || parser_append(parser, &node->items, first) < 0)
        return NULL;
    while (parser_skip_op(parser, '~')) {
        if (parser_append(parser, &node->items, parse_product(parser)) < 0)
            return NULL;
    }
    return parser_finish(parser, node);
}

static struct node *parse_sum(struct parser *parser)
{
    static const int ops[] = {'+', '-'};
    return parse_chain(parser, ops, 2, parse_concat);
}

/* The comparison that stands here, which is then read; -1 when there is none. */
static int comparison_here(struct parser *parser)
{
    static const struct {
        int op, comparison;
    } signs[] = {{OPERATOR_EQ, COMPARE_EQ}, {OPERATOR_NE, COMPARE_NE}, {'<', COMPARE_LT},
                 {OPERATOR_LE, COMPARE_LE}, {'>', COMPARE_GT},         {OPERATOR_GE, COMPARE_GE}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (parser_skip_op(parser, signs[i].op))
            return signs[i].comparison;
    }
    if (parser_skip_name(parser, "in"))
        return COMPARE_IN;
    const struct token *next = parser->token + (parser->token->kind != TOKEN_END);
    if (parser_is_name(parser, "not") && next->kind == TOKEN_NAME && text_is(next->text, "in")) {
        parser_next(parser);
        parser_next(parser);
        return COMPARE_NOT_IN;
    }
    return -1;
}

static int add_comparison(struct parser *parser, struct node *node, enum comparison_op op)
{
    if (node->n_comparisons == node->comparisons_cap) {
        size_t cap = node->comparisons_cap ? node->comparisons_cap * 2 : 2;
        struct comparison *grown = workspace_alloc_array(parser->ws, cap, sizeof *grown);
        if (!grown)
            return -1;
        if (node->n_comparisons)
            memcpy(grown, node->comparisons, node->n_comparisons * sizeof *grown);
        node->comparisons = grown;
        node->comparisons_cap = cap;
    }
    struct node *right = parse_sum(parser);
    node->comparisons[node->n_comparisons++] = (struct comparison){op, right};
    return right ? 0 : -1;
}

static struct node *parse_compare(struct parser *parser)
{
    int line = parser->token->line;
    struct node *left = parse_sum(parser);
    int op = left ? comparison_here(parser) : -1;
    if (op < 0)
        return left;
    struct node *node = parser_node(parser, NODE_COMPARE, line);
    if (!node)
        return NULL;
    node->a = left;
    for (; op >= 0; op = comparison_here(parser)) {
        if (add_comparison(parser, node, (enum comparison_op)op) < 0)
            return NULL;
    }
    return parser_finish(parser, node);
}

static struct node *parse_not(struct parser *parser)
{
    if (!parser_is_name(parser, "not"))
        return parse_compare(parser);
    struct node *node = parser_node(parser, NODE_NOT, parser->token->line);
    parser_next(parser);
    if (!node || parser_enter(parser) < 0)
        return NULL;
    node->a = parse_not(parser);
    parser_leave(parser);
    return node->a ? parser_finish(parser, node) : NULL;
}

static struct node *parse_and(struct parser *parser)
{
    int line = parser->token->line;
    struct node *left = parse_not(parser);
    while (left && parser_skip_name(parser, "and"))
        left = pair_node(parser, NODE_AND, line, left, parse_not(parser));
    return left;
}

static struct node *parse_or(struct parser *parser)
{
    int line = parser->token->line;
    struct node *left = parse_and(parser);
    while (left && parser_skip_name(parser, "or"))
        left = pair_node(parser, NODE_OR, line, left, parse_and(parser));
    return left;
}

static struct node *parse_condition(struct parser *parser)
{
    int line = parser->token->line;
    struct node *node = parse_or(parser);
    while (node && parser_skip_name(parser, "if")) {
        struct node *condition = pair_node(parser, NODE_CONDITION, line, node, parse_or(parser));
        if (!condition)
            return NULL;
        if (parser_skip_name(parser, "else")) {
            condition->c = parser_expression(parser);
            if (!condition->c)
                return NULL;
        }
        node = parser_finish(parser, condition);
    }
    return node;
}

struct node *parser_expression(struct parser *parser)
{
    if (parser_enter(parser) < 0)
        return NULL;
    struct node *node = parse_condition(parser);
    parser_leave(parser);
    return node;
}

static bool ends_tuple(const struct parser *parser)
{
    return parser->token->kind == TOKEN_VARIABLE_END || parser->token->kind == TOKEN_BLOCK_END ||
           parser_is_op(parser, ')');
}

struct node *parser_tuple(struct parser *parser, bool condition, bool parentheses)
{
    int line = parser->token->line;
    if (ends_tuple(parser) && !parentheses) {
        parser_unexpected(parser, "an expression");
        return NULL;
    }
    struct node *first = NULL;
    if (!ends_tuple(parser)) {
        first = condition ? parser_expression(parser) : parse_or(parser);
        if (!first || !parser_is_op(parser, ','))
            return first;
    }
    struct node *tuple = parser_node(parser, NODE_TUPLE, line);
    if (!tuple || (first && parser_append(parser, &tuple->items, first) < 0))
        return NULL;
    while (parser_skip_op(parser, ',') && !ends_tuple(parser)) {
        struct node *item = condition ? parser_expression(parser) : parse_or(parser);
        if (parser_append(parser, &tuple->items, item) < 0)
            return NULL;
    }
    return parser_finish(parser, tuple);
}

static struct node *parse_one_target(struct parser *parser, bool with_namespace)
{
    if (parser->token->kind != TOKEN_NAME) {
        parser_unexpected(parser, "a name");
        return NULL;
    }
    struct node *name = parse_name(parser);
    if (!name)
        return NULL;
    if (name->kind != NODE_NAME) {
        workspace_fail_as(parser->ws, VLMD_FORMAT, "a constant cannot be assigned to");
        return NULL;
    }
    if (!with_namespace || !parser_skip_op(parser, '.'))
        return name;
    struct node *node = parser_node(parser, NODE_ATTRIBUTE, name->line);
    if (!node)
        return NULL;
    if (parser->token->kind != TOKEN_NAME) {
        parser_unexpected(parser, "the name of an attribute");
        return NULL;
    }
    node->a = name;
    node->name = parser->token->text;
    parser_next(parser);
    return node;
}

/* Names with commas, in parentheses or not: "k, v" and "(k, v)". Parentheses are not nested. */
struct node *parser_target(struct parser *parser, bool with_namespace)
{
    int line = parser->token->line;
    bool parentheses = parser_skip_op(parser, '(');
    struct node *first = parse_one_target(parser, with_namespace);
    struct node *target = first;
    if (first && parser_is_op(parser, ',')) {
        target = parser_node(parser, NODE_TUPLE, line);
        if (!target || parser_append(parser, &target->items, first) < 0)
            return NULL;
        while (parser_skip_op(parser, ',') && parser->token->kind == TOKEN_NAME &&
               !parser_is_name(parser, "in")) {
            if (parser_append(parser, &target->items, parse_one_target(parser, with_namespace)) < 0)
                return NULL;
        }
    }
    if (target && parentheses && parser_expect_op(parser, ')') < 0)
        return NULL;
    return target;
}
