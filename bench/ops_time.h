/* How long each op of a backend takes: the backend's table becomes one whose functions call those
 * of the original and add up the time between. For one backend and one thread. */
#pragma once

#include <stdio.h>

#include "ops/ops.h"

/* `be` must live as long as ops are called. */
void ops_time_begin(struct backend *be);

/* A line for each op, linear layers by their shape, the longest first: seconds, calls, and the
 * operations a second of what multiplies. What was counted is forgotten. */
void ops_time_print(FILE *to);
