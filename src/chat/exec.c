#include "chat/filters.h"
#include "chat/interp.h"

static int exec_statement(struct interp *interp, const struct node *node, struct scope *scope,
                          struct text_builder *out, enum flow *flow);

static int exec_output(struct interp *interp, const struct node *node, struct scope *scope,
                       struct text_builder *out)
{
    struct value value;
    if (eval(interp, node->a, scope, &value) < 0)
        return -1;
    const struct text *text = value_to_text(&interp->ws, &value);
    if (!text || workspace_spend(&interp->ws, text->len) < 0)
        return -1;
    return text_builder_add(out, text);
}

static int exec_if(struct interp *interp, const struct node *node, struct scope *scope,
                   struct text_builder *out, enum flow *flow)
{
    for (size_t i = 0; i < node->branches.n; i++) {
        struct value condition;
        if (eval(interp, node->branches.at[i]->a, scope, &condition) < 0)
            return -1;
        if (value_truth(&condition))
            return exec(interp, &node->branches.at[i]->body, scope, out, flow);
    }
    return exec(interp, &node->other, scope, out, flow);
}

static int assign_tuple(struct interp *interp, const struct node *target, struct scope *scope,
                        struct value value)
{
    const struct list *list = value_iterate(&interp->ws, &value);
    if (!list)
        return -1;
    if (list->n != target->items.n)
        return workspace_fail(&interp->ws, "%zu values cannot be assigned to %zu names", list->n,
                              target->items.n);
    for (size_t i = 0; i < list->n; i++) {
        if (exec_assign(interp, target->items.at[i], scope, list->items[i]) < 0)
            return -1;
    }
    return 0;
}

int exec_assign(struct interp *interp, const struct node *target, struct scope *scope,
                struct value value)
{
    if (target->kind == NODE_TUPLE)
        return assign_tuple(interp, target, scope, value);
    if (target->kind == NODE_NAME)
        return scope_set(&interp->ws, scope, target->name, value);
    struct value object;
    if (eval(interp, target->a, scope, &object) < 0)
        return -1;
    if (object.kind != VALUE_NAMESPACE)
        return workspace_fail(&interp->ws, "attributes of %s cannot be set, only a namespace's",
                              value_kind_name(&object));
    return dict_set(&interp->ws, object.as.dict, value_text(target->name), value);
}

static int exec_set(struct interp *interp, const struct node *node, struct scope *scope)
{
    struct value value;
    if (eval(interp, node->b, scope, &value) < 0)
        return -1;
    interp->ws.line = node->line;
    return exec_assign(interp, node->a, scope, value);
}

/* What `body` prints, as a value; names set inside stay inside. */
static int capture(struct interp *interp, const struct node_list *body, struct scope *scope,
                   enum flow *flow, struct value *out)
{
    struct text_builder builder;
    text_builder_open(&builder, &interp->ws);
    struct scope *inner = scope_open(&interp->ws, scope);
    if (!inner || exec(interp, body, inner, &builder, flow) < 0)
        return -1;
    const struct text *text = text_builder_done(&builder);
    *out = value_text(text);
    return text ? 0 : -1;
}

static int exec_captured(struct interp *interp, const struct node *node, struct scope *scope,
                         struct text_builder *out, enum flow *flow)
{
    struct value value;
    if (capture(interp, &node->body, scope, flow, &value) < 0)
        return -1;
    if (*flow != FLOW_ON)
        return 0;
    if (node->b && eval_filter(interp, node->b, scope, value, &value) < 0)
        return -1;
    if (node->kind == NODE_SET_BLOCK)
        return exec_assign(interp, node->a, scope, value);
    const struct text *text = value_to_text(&interp->ws, &value);
    return text ? text_builder_add(out, text) : -1;
}

static int define_macro(struct interp *interp, const struct node *node, struct scope *scope)
{
    struct macro *macro = workspace_alloc(&interp->ws, sizeof *macro);
    if (!macro)
        return -1;
    *macro = (struct macro){node, scope};
    return scope_set(&interp->ws, scope, node->name,
                     (struct value){.kind = VALUE_MACRO, .as.macro = macro});
}

static int exec_with(struct interp *interp, const struct node *node, struct scope *scope,
                     struct text_builder *out, enum flow *flow)
{
    struct scope *inner = scope_open(&interp->ws, scope);
    if (!inner)
        return -1;
    for (size_t i = 0; i < node->items.n; i += 2) {
        struct value value;
        if (eval(interp, node->items.at[i + 1], scope, &value) < 0 ||
            exec_assign(interp, node->items.at[i], inner, value) < 0)
            return -1;
    }
    return exec(interp, &node->body, inner, out, flow);
}

static int exec_scope(struct interp *interp, const struct node *node, struct scope *scope,
                      struct text_builder *out, enum flow *flow)
{
    struct scope *inner = scope_open(&interp->ws, scope);
    return inner ? exec(interp, &node->body, inner, out, flow) : -1;
}

static int exec_statement(struct interp *interp, const struct node *node, struct scope *scope,
                          struct text_builder *out, enum flow *flow)
{
    switch (node->kind) {
    case NODE_DATA:
        if (workspace_spend(&interp->ws, node->name->len) < 0)
            return -1;
        return text_builder_add(out, node->name);
    case NODE_OUTPUT:
        return exec_output(interp, node, scope, out);
    case NODE_IF:
        return exec_if(interp, node, scope, out, flow);
    case NODE_FOR:
        return exec_for(interp, node, scope, out);
    case NODE_SET:
        return exec_set(interp, node, scope);
    case NODE_SET_BLOCK:
    case NODE_FILTER_BLOCK:
        return exec_captured(interp, node, scope, out, flow);
    case NODE_MACRO:
        return define_macro(interp, node, scope);
    case NODE_WITH:
        return exec_with(interp, node, scope, out, flow);
    case NODE_SCOPE:
        return exec_scope(interp, node, scope, out, flow);
    case NODE_BREAK:
        *flow = FLOW_BREAK;
        return 0;
    default:
        *flow = FLOW_CONTINUE;
        return 0;
    }
}

int exec(struct interp *interp, const struct node_list *body, struct scope *scope,
         struct text_builder *out, enum flow *flow)
{
    *flow = FLOW_ON;
    if (workspace_enter(&interp->ws) < 0)
        return -1;
    for (size_t i = 0; i < body->n && *flow == FLOW_ON; i++) {
        interp->ws.line = body->at[i]->line;
        if (workspace_spend(&interp->ws, 0) < 0 ||
            exec_statement(interp, body->at[i], scope, out, flow) < 0)
            return -1;
    }
    workspace_leave(&interp->ws);
    return 0;
}

/* The argument for parameter number `i`, or NULL; *used counts the keywords that were taken. */
static const struct value *macro_argument(const struct arguments *arguments, size_t i,
                                          const struct text *name, size_t *used)
{
    if (i < arguments->n)
        return &arguments->positional[i];
    for (size_t k = 0; k < arguments->n_keywords; k++) {
        if (text_equal(arguments->keywords[k].name, name)) {
            ++*used;
            return &arguments->keywords[k].value;
        }
    }
    return NULL;
}

static int bind_parameters(struct interp *interp, const struct node *macro, struct scope *scope,
                           const struct arguments *arguments)
{
    struct workspace *ws = &interp->ws;
    const struct text *name = macro->name;
    size_t used = 0;
    for (size_t i = 0; i < macro->items.n; i++) {
        const struct node *parameter = macro->items.at[i];
        const struct value *given = macro_argument(arguments, i, parameter->name, &used);
        struct value value = given ? *given : value_undefined(parameter->name);
        if (!given && parameter->b && eval(interp, parameter->b, scope, &value) < 0)
            return -1;
        if (workspace_spend(ws, 0) < 0 || scope_set(ws, scope, parameter->name, value) < 0)
            return -1;
    }
    if (arguments->n > macro->items.n || used < arguments->n_keywords)
        return workspace_fail(ws, "the macro '%.*s' was given an argument that it does not take",
                              (int)(name->len < 60 ? name->len : 60), name->bytes);
    return 0;
}

int macro_call(struct interp *interp, const struct macro *macro, const struct arguments *arguments,
               struct value *out)
{
    struct scope *scope = scope_open(&interp->ws, macro->scope);
    struct text_builder builder;
    enum flow flow;
    text_builder_open(&builder, &interp->ws);
    if (!scope || bind_parameters(interp, macro->node, scope, arguments) < 0 ||
        exec(interp, &macro->node->body, scope, &builder, &flow) < 0)
        return -1;
    const struct text *text = text_builder_done(&builder);
    *out = value_text(text);
    return text ? 0 : -1;
}
