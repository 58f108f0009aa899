/* The interpreter's own state, shared by the files that evaluate: eval.c (expressions), exec.c
 * (statements), loop.c, access.c (attributes, items, slices) and operators.c.
 *
 * Recursion is bounded by the workspace's depth; names live in chains of scopes as Jinja has them:
 * loops and macros open one, conditions do not. */
#pragma once

#include <time.h>

#include "chat/arguments.h"
#include "chat/ast.h"

struct scope {
    struct scope *parent;
    struct dict *names;
};

struct interp {
    struct workspace ws;
    struct scope *top;
    time_t now;
};

struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

/* One run of {% for %}. With a filter the next items are only looked for when they are needed,
 * because the filter may read what the body sets. */
struct loop {
    struct interp *interp;
    const struct node *node;
    struct scope *outer;
    const struct list *source;
    size_t source_at;   /* the next item of the source to look at */
    struct list *items; /* those that passed so far */
    size_t index;       /* of the current item */
    bool has_changed;
    struct value changed; /* what loop.changed() saw last */
};

enum template_function {
    FUNCTION_RANGE,
    FUNCTION_NAMESPACE,
    FUNCTION_DICT,
    FUNCTION_RAISE,
    FUNCTION_STRFTIME,
};

enum flow {
    FLOW_ON,
    FLOW_BREAK,
    FLOW_CONTINUE,
};

struct scope *scope_open(struct workspace *ws, struct scope *parent);
int scope_set(struct workspace *ws, struct scope *scope, const struct text *name,
              struct value value);

/* Evaluates an expression. -1 with the error set. */
int eval(struct interp *interp, const struct node *node, struct scope *scope, struct value *out);
/* Evaluates the arguments of a call, filter or test. */
int eval_arguments(struct interp *interp, const struct node *node, struct scope *scope,
                   struct arguments *arguments);
/* Applies a filter node to a value that is already there. */
int eval_filter(struct interp *interp, const struct node *node, struct scope *scope,
                struct value input, struct value *out);

/* Runs statements and appends what they print to `out`. */
int exec(struct interp *interp, const struct node_list *body, struct scope *scope,
         struct text_builder *out, enum flow *flow);
/* Assigns to the target of a set or for. */
int exec_assign(struct interp *interp, const struct node *target, struct scope *scope,
                struct value value);
int exec_for(struct interp *interp, const struct node *node, struct scope *scope,
             struct text_builder *out);
int macro_call(struct interp *interp, const struct macro *macro, const struct arguments *arguments,
               struct value *out);
int function_call(struct interp *interp, enum template_function function,
                  const struct arguments *arguments, struct value *out);

int loop_attribute(struct workspace *ws, struct loop *loop, const struct text *name,
                   struct value *out);
int loop_method(struct workspace *ws, const struct method *method,
                const struct arguments *arguments, struct value *out);
