/* Cuts a template into tokens, with Jinja's whitespace rules (trim_blocks, lstrip_blocks, the
 * signs - and + inside tags) applied to the text between tags. */
#pragma once

#include "chat/text.h"

enum token_kind {
    TOKEN_END, /* of the template */
    TOKEN_DATA,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_OPERATOR,
};

enum {
    /* Operators of two characters; those of one are their own number. */
    OPERATOR_EQ = 256,
    OPERATOR_NE,
    OPERATOR_LE,
    OPERATOR_GE,
    OPERATOR_POWER,
    OPERATOR_FLOOR,
};

struct token {
    enum token_kind kind;
    int line;
    int op;                  /* TOKEN_OPERATOR */
    const struct text *text; /* TOKEN_DATA, TOKEN_NAME, and TOKEN_STRING with escapes resolved */
    int64_t integer;
    double real;
};

/* Tokens of `source` (valid UTF-8) in the workspace, closed by TOKEN_END. NULL with the error set.
 */
struct token *lexer_run(struct workspace *ws, const char *source, size_t len);
