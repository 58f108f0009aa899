/* Arithmetic and comparison on values, by Python's rules; integers that leave 64 bits are an
 * error. */
#pragma once

#include "chat/ast.h"

/* `op` as in NODE_ARITHMETIC. */
int operator_arithmetic(struct workspace *ws, int op, const struct value *a, const struct value *b,
                        struct value *out);
int operator_sign(struct workspace *ws, bool minus, const struct value *a, struct value *out);
/* 1, 0, or -1 with the error set. */
int operator_compare(struct workspace *ws, enum comparison_op op, const struct value *a,
                     const struct value *b);
