/* Shared by the two halves of the parser: statements (parser.c) and expressions (parser_expr.c). */
#pragma once

#include "chat/ast.h"
#include "chat/lexer.h"

enum {
    PARSER_DEPTH = 150,  /* nested brackets, tags and signs */
    PARSER_HEIGHT = 400, /* levels of one expression, long chains of operators included */
};

struct parser {
    struct workspace *ws;
    const struct token *token; /* the current one */
    int depth;
    int loops; /* for-loops around the current place that {% break %} may leave */
    bool in_macro;
};

struct node *parser_node(struct parser *parser, enum node_kind kind, int line);
/* Sets the node's height from its children; NULL with the error set when it is too high. */
struct node *parser_finish(struct parser *parser, struct node *node);
int parser_enter(struct parser *parser);
void parser_leave(struct parser *parser);
int parser_append(struct parser *parser, struct node_list *list, struct node *node);

void parser_next(struct parser *parser);
bool parser_is_op(const struct parser *parser, int op);
bool parser_is_name(const struct parser *parser, const char *name);
bool parser_skip_op(struct parser *parser, int op);
bool parser_skip_name(struct parser *parser, const char *name);
int parser_expect_op(struct parser *parser, char op);
int parser_unexpected(struct parser *parser, const char *wanted);
int parser_unsupported(struct parser *parser, const char *what, const struct text *name);

struct node *parser_expression(struct parser *parser);
/* Expressions with commas between them make a tuple. `condition`: "a if b" may be part of it;
 * `parentheses`: it may be empty. */
struct node *parser_tuple(struct parser *parser, bool condition, bool parentheses);
/* What stands left of "=" or "in": a name, names with commas, or (with_namespace) name.attribute.
 */
struct node *parser_target(struct parser *parser, bool with_namespace);
/* The filters behind an expression, or (first) those of a {% filter %} tag. */
struct node *parser_filters(struct parser *parser, struct node *node, bool first);
