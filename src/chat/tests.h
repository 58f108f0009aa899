/* Jinja's tests: the words behind `is`. */
#pragma once

#include "chat/arguments.h"

/* The number of a test, -1 when there is none of that name. */
int test_find(const struct text *name);
/* -1 with the error set when the test does not take so many arguments. */
int test_check_arguments(struct workspace *ws, int id, size_t n, size_t n_keywords);
/* 1, 0, or -1 with the error set. */
int test_apply(struct workspace *ws, int id, const struct value *value,
               const struct arguments *arguments);
