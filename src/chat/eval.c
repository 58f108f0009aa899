#include "chat/access.h"
#include "chat/filters.h"
#include "chat/interp.h"
#include "chat/methods.h"
#include "chat/operators.h"
#include "chat/tests.h"

struct scope *scope_open(struct workspace *ws, struct scope *parent)
{
    struct scope *scope = workspace_alloc(ws, sizeof *scope);
    if (!scope || !(scope->names = dict_new(ws)))
        return NULL;
    scope->parent = parent;
    return scope;
}

int scope_set(struct workspace *ws, struct scope *scope, const struct text *name,
              struct value value)
{
    return dict_set(ws, scope->names, value_text(name), value);
}

static int eval_name(struct interp *interp, const struct text *name, struct scope *scope,
                     struct value *out)
{
    for (; scope; scope = scope->parent) {
        const struct value *found = dict_get_text(&interp->ws, scope->names, name);
        if (found) {
            *out = *found;
            return 0;
        }
    }
    *out = value_undefined(name);
    return 0;
}

static int eval_sequence(struct interp *interp, const struct node *node, struct scope *scope,
                         struct value *out)
{
    struct list *list = list_new(&interp->ws, node->kind == NODE_TUPLE ? LIST_TUPLE : LIST_PLAIN);
    if (!list)
        return -1;
    for (size_t i = 0; i < node->items.n; i++) {
        struct value item;
        if (eval(interp, node->items.at[i], scope, &item) < 0 ||
            list_add(&interp->ws, list, item) < 0)
            return -1;
    }
    *out = value_list(list);
    return 0;
}

static int eval_dict(struct interp *interp, const struct node *node, struct scope *scope,
                     struct value *out)
{
    struct dict *dict = dict_new(&interp->ws);
    if (!dict)
        return -1;
    for (size_t i = 0; i < node->items.n; i += 2) {
        struct value key, value;
        if (eval(interp, node->items.at[i], scope, &key) < 0 ||
            eval(interp, node->items.at[i + 1], scope, &value) < 0)
            return -1;
        if (key.kind != VALUE_STRING && key.kind != VALUE_NONE && !value_is_number(&key))
            return workspace_fail(&interp->ws, "%s cannot be a key", value_kind_name(&key));
        if (dict_set(&interp->ws, dict, key, value) < 0)
            return -1;
    }
    *out = (struct value){.kind = VALUE_DICT, .as.dict = dict};
    return 0;
}

/* Python's `and` and `or` give one of the operands. */
static int eval_and_or(struct interp *interp, const struct node *node, struct scope *scope,
                       struct value *out)
{
    if (eval(interp, node->a, scope, out) < 0)
        return -1;
    if (value_truth(out) != (node->kind == NODE_AND))
        return 0;
    return eval(interp, node->b, scope, out);
}

static int eval_concat(struct interp *interp, const struct node *node, struct scope *scope,
                       struct value *out)
{
    struct text_builder builder;
    text_builder_open(&builder, &interp->ws);
    for (size_t i = 0; i < node->items.n; i++) {
        struct value item;
        if (eval(interp, node->items.at[i], scope, &item) < 0)
            return -1;
        const struct text *text = value_to_text(&interp->ws, &item);
        if (!text || workspace_spend(&interp->ws, text->len) < 0)
            return -1;
        text_builder_add(&builder, text);
    }
    const struct text *text = text_builder_done(&builder);
    *out = value_text(text);
    return text ? 0 : -1;
}

static int eval_compare(struct interp *interp, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value left, right;
    int holds = 1;
    if (eval(interp, node->a, scope, &left) < 0)
        return -1;
    for (size_t i = 0; i < node->n_comparisons && holds; i++) {
        if (eval(interp, node->comparisons[i].right, scope, &right) < 0)
            return -1;
        holds = operator_compare(&interp->ws, node->comparisons[i].op, &left, &right);
        if (holds < 0)
            return -1;
        left = right;
    }
    *out = value_bool(holds);
    return 0;
}

static int eval_condition(struct interp *interp, const struct node *node, struct scope *scope,
                          struct value *out)
{
    struct value condition;
    if (eval(interp, node->b, scope, &condition) < 0)
        return -1;
    if (value_truth(&condition))
        return eval(interp, node->a, scope, out);
    if (node->c)
        return eval(interp, node->c, scope, out);
    const struct text *name = text_new(&interp->ws, "if", 2, true);
    *out = value_undefined(name);
    return name ? 0 : -1;
}

static int eval_slice(struct interp *interp, const struct node *node, struct scope *scope,
                      const struct value *value, struct value *out)
{
    const struct node *parts[] = {node->a, node->b, node->c};
    struct value bounds[3];
    for (int i = 0; i < 3; i++) {
        bounds[i] = value_none();
        if (parts[i] && eval(interp, parts[i], scope, &bounds[i]) < 0)
            return -1;
    }
    return access_slice(&interp->ws, value, &bounds[0], &bounds[1], &bounds[2], out);
}

static int eval_item(struct interp *interp, const struct node *node, struct scope *scope,
                     struct value *out)
{
    struct value value, key;
    if (eval(interp, node->a, scope, &value) < 0)
        return -1;
    if (node->b->kind == NODE_SLICE)
        return eval_slice(interp, node->b, scope, &value, out);
    if (eval(interp, node->b, scope, &key) < 0)
        return -1;
    return access_item(&interp->ws, &value, &key, out);
}

int eval_arguments(struct interp *interp, const struct node *node, struct scope *scope,
                   struct arguments *arguments)
{
    struct workspace *ws = &interp->ws;
    *arguments = (struct arguments){.n = node->items.n, .n_keywords = node->n_keywords};
    if (arguments->n && !(arguments->positional = workspace_alloc_array(
                              ws, arguments->n, sizeof *arguments->positional)))
        return -1;
    if (arguments->n_keywords && !(arguments->keywords = workspace_alloc_array(
                                       ws, arguments->n_keywords, sizeof *arguments->keywords)))
        return -1;
    for (size_t i = 0; i < arguments->n; i++) {
        if (eval(interp, node->items.at[i], scope, &arguments->positional[i]) < 0)
            return -1;
    }
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        arguments->keywords[i].name = node->keywords[i].name;
        if (eval(interp, node->keywords[i].value, scope, &arguments->keywords[i].value) < 0)
            return -1;
    }
    return 0;
}

static int call_value(struct interp *interp, const struct value *callee,
                      const struct arguments *arguments, struct value *out)
{
    const struct text *name = callee->as.text;
    switch (callee->kind) {
    case VALUE_MACRO:
        return macro_call(interp, callee->as.macro, arguments, out);
    case VALUE_FUNCTION:
        return function_call(interp, (enum template_function)callee->as.integer, arguments, out);
    case VALUE_METHOD:
        if (callee->as.method->self.kind == VALUE_LOOP)
            return loop_method(&interp->ws, callee->as.method, arguments, out);
        return method_call(&interp->ws, callee->as.method, arguments, out);
    case VALUE_UNDEFINED:
        return workspace_fail(&interp->ws, "'%.*s' is undefined",
                              (int)(name->len < 60 ? name->len : 60), name->bytes);
    default:
        return workspace_fail(&interp->ws, "%s cannot be called", value_kind_name(callee));
    }
}

static int eval_call(struct interp *interp, const struct node *node, struct scope *scope,
                     struct value *out)
{
    struct value callee;
    struct arguments arguments;
    if (eval(interp, node->a, scope, &callee) < 0 ||
        eval_arguments(interp, node, scope, &arguments) < 0)
        return -1;
    interp->ws.line = node->line;
    return call_value(interp, &callee, &arguments, out);
}

int eval_filter(struct interp *interp, const struct node *node, struct scope *scope,
                struct value input, struct value *out)
{
    struct value value = input;
    struct arguments arguments;
    /* The innermost filter of {% filter a|b %} has no operand of its own: it takes the input. */
    if (node->a && node->a->kind == NODE_FILTER) {
        if (workspace_enter(&interp->ws) < 0)
            return -1;
        int rc = eval_filter(interp, node->a, scope, input, &value);
        workspace_leave(&interp->ws);
        if (rc < 0)
            return -1;
    } else if (node->a && eval(interp, node->a, scope, &value) < 0) {
        return -1;
    }
    if (eval_arguments(interp, node, scope, &arguments) < 0)
        return -1;
    interp->ws.line = node->line;
    return filter_apply(&interp->ws, node->op, value, &arguments, out);
}

static int eval_test(struct interp *interp, const struct node *node, struct scope *scope,
                     struct value *out)
{
    struct value value;
    struct arguments arguments;
    if (eval(interp, node->a, scope, &value) < 0 ||
        eval_arguments(interp, node, scope, &arguments) < 0)
        return -1;
    int holds = test_apply(&interp->ws, node->op, &value, &arguments);
    *out = value_bool(holds == 1);
    return holds < 0 ? -1 : 0;
}

static int eval_operand(struct interp *interp, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value a, b;
    if (eval(interp, node->a, scope, &a) < 0)
        return -1;
    switch (node->kind) {
    case NODE_NOT:
        *out = value_bool(!value_truth(&a));
        return 0;
    case NODE_NEGATE:
    case NODE_PLUS:
        return operator_sign(&interp->ws, node->kind == NODE_NEGATE, &a, out);
    case NODE_ATTRIBUTE:
        return access_attribute(&interp->ws, &a, node->name, out);
    default:
        break;
    }
    if (eval(interp, node->b, scope, &b) < 0)
        return -1;
    return operator_arithmetic(&interp->ws, node->op, &a, &b, out);
}

static int eval_node(struct interp *interp, const struct node *node, struct scope *scope,
                     struct value *out)
{
    switch (node->kind) {
    case NODE_CONST:
        *out = node->constant;
        return 0;
    case NODE_NAME:
        return eval_name(interp, node->name, scope, out);
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_sequence(interp, node, scope, out);
    case NODE_DICT:
        return eval_dict(interp, node, scope, out);
    case NODE_AND:
    case NODE_OR:
        return eval_and_or(interp, node, scope, out);
    case NODE_CONCAT:
        return eval_concat(interp, node, scope, out);
    case NODE_COMPARE:
        return eval_compare(interp, node, scope, out);
    case NODE_CONDITION:
        return eval_condition(interp, node, scope, out);
    case NODE_ITEM:
        return eval_item(interp, node, scope, out);
    case NODE_CALL:
        return eval_call(interp, node, scope, out);
    case NODE_FILTER:
        return eval_filter(interp, node, scope, value_none(), out);
    case NODE_TEST:
        return eval_test(interp, node, scope, out);
    default:
        return eval_operand(interp, node, scope, out);
    }
}

int eval(struct interp *interp, const struct node *node, struct scope *scope, struct value *out)
{
    interp->ws.line = node->line;
    if (workspace_spend(&interp->ws, 0) < 0 || workspace_enter(&interp->ws) < 0)
        return -1;
    int rc = eval_node(interp, node, scope, out);
    workspace_leave(&interp->ws);
    return rc;
}
