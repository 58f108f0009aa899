#include "chat/interp.h"
#include "chat/methods.h"

/* Whether the {% for ... if %} filter lets an item through. The filter sees the loop's target, but
 * not `loop`. */
static int passes(struct loop *loop, struct value item)
{
    const struct node *node = loop->node;
    if (!node->c)
        return 1;
    struct scope *scope = scope_open(&loop->interp->ws, loop->outer);
    struct value condition;
    if (!scope || exec_assign(loop->interp, node->a, scope, item) < 0 ||
        eval(loop->interp, node->c, scope, &condition) < 0)
        return -1;
    return value_truth(&condition);
}

/* Makes sure that item number `index` is in loop->items, if the loop has that many. */
static int look_ahead(struct loop *loop, size_t index)
{
    struct workspace *ws = &loop->interp->ws;
    while (loop->items->n <= index && loop->source_at < loop->source->n) {
        struct value item = loop->source->items[loop->source_at++];
        int pass = workspace_spend(ws, 0) < 0 ? -1 : passes(loop, item);
        if (pass < 0 || (pass && list_add(ws, loop->items, item) < 0))
            return -1;
    }
    return 0;
}

static int run_body(struct loop *loop, struct text_builder *out, enum flow *flow)
{
    struct interp *interp = loop->interp;
    const struct text *name = text_new(&interp->ws, "loop", 4, true);
    struct scope *scope = scope_open(&interp->ws, loop->outer);
    if (!name || !scope ||
        scope_set(&interp->ws, scope, name, (struct value){.kind = VALUE_LOOP, .as.loop = loop}) <
            0 ||
        exec_assign(interp, loop->node->a, scope, loop->items->items[loop->index]) < 0)
        return -1;
    return exec(interp, &loop->node->body, scope, out, flow);
}

int exec_for(struct interp *interp, const struct node *node, struct scope *scope,
             struct text_builder *out)
{
    struct value iterated;
    enum flow flow = FLOW_ON;
    struct loop *loop = workspace_alloc(&interp->ws, sizeof *loop);
    if (!loop || eval(interp, node->b, scope, &iterated) < 0)
        return -1;
    *loop = (struct loop){.interp = interp, .node = node, .outer = scope};
    loop->source = value_iterate(&interp->ws, &iterated);
    loop->items = list_new(&interp->ws, LIST_PLAIN);
    if (!loop->source || !loop->items)
        return -1;
    for (; flow != FLOW_BREAK; loop->index++) {
        if (look_ahead(loop, loop->index) < 0)
            return -1;
        if (loop->index >= loop->items->n)
            break;
        if (run_body(loop, out, &flow) < 0)
            return -1;
    }
    if (loop->items->n > 0)
        return 0;
    struct scope *inner = scope_open(&interp->ws, scope);
    enum flow ignored;
    return inner ? exec(interp, &node->other, inner, out, &ignored) : -1;
}

static int item_at(struct loop *loop, size_t index, const struct text *name, struct value *out)
{
    *out = index < loop->items->n ? loop->items->items[index] : value_undefined(name);
    return 0;
}

int loop_attribute(struct workspace *ws, struct loop *loop, const struct text *name,
                   struct value *out)
{
    (void)ws;
    int64_t index = (int64_t)loop->index;
    if (text_is(name, "index") || text_is(name, "index0")) {
        *out = value_int(index + text_is(name, "index"), true);
        return 0;
    }
    if (text_is(name, "first")) {
        *out = value_bool(index == 0);
        return 0;
    }
    if (text_is(name, "previtem"))
        return item_at(loop, loop->index == 0 ? SIZE_MAX : loop->index - 1, name, out);
    if (text_is(name, "last") || text_is(name, "nextitem")) {
        if (look_ahead(loop, loop->index + 1) < 0)
            return -1;
        if (text_is(name, "nextitem"))
            return item_at(loop, loop->index + 1, name, out);
        *out = value_bool(loop->index + 1 >= loop->items->n);
        return 0;
    }
    if (text_is(name, "length") || text_is(name, "revindex") || text_is(name, "revindex0")) {
        if (look_ahead(loop, SIZE_MAX) < 0)
            return -1;
        int64_t n = (int64_t)loop->items->n;
        *out = value_int(text_is(name, "length")     ? n
                         : text_is(name, "revindex") ? n - index
                                                     : n - index - 1,
                         true);
        return 0;
    }
    if (text_is(name, "depth") || text_is(name, "depth0")) {
        *out = value_int(text_is(name, "depth"), true); /* counts recursion only */
        return 0;
    }
    *out = value_undefined(name);
    return 0;
}

int loop_method(struct workspace *ws, const struct method *method,
                const struct arguments *arguments, struct value *out)
{
    struct loop *loop = method->self.as.loop;
    if (method->id == METHOD_CYCLE) {
        if (arguments->n == 0)
            return workspace_fail(ws, "loop.cycle lacks its values");
        *out = arguments->positional[loop->index % arguments->n];
        return 0;
    }
    struct list *now = list_new(ws, LIST_TUPLE);
    for (size_t i = 0; now && i < arguments->n; i++) {
        if (list_add(ws, now, arguments->positional[i]) < 0)
            return -1;
    }
    if (!now)
        return -1;
    struct value value = value_list(now);
    int same = loop->has_changed ? value_equal(ws, &loop->changed, &value) : 0;
    loop->changed = value;
    loop->has_changed = true;
    *out = value_bool(!same);
    return same < 0 ? -1 : 0;
}
