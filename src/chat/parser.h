/* Turns a template's text into its syntax tree, by Jinja's grammar. What the interpreter does not
 * know (tags, filters, tests, methods) is refused here, by name and line, before anything is
 * rendered. */
#pragma once

#include "chat/ast.h"

/* The statements of `source` in *body. -1 with the error set. */
int parser_run(struct workspace *ws, const char *source, size_t len, struct node_list *body);
