/* A run of backend memory from which one forward pass takes its tensors, in order, and which the
 * next pass takes anew. With no memory behind it a scratch only measures: the same code that lays
 * out the tensors thus says how much they need. */
#pragma once

#include <stdbool.h>

#include "ops/ops.h"

struct scratch {
    char *memory; /* NULL: measuring */
    size_t size;
    size_t used;
};

/* Takes `bytes` of backend memory. -1 with VLMD_NO_MEMORY. */
int scratch_open(struct scratch *s, struct backend *be, size_t bytes, struct vlmd_error *err);
void scratch_close(struct scratch *s, struct backend *be);
void scratch_reset(struct scratch *s);

/* The next rows x cols tensor, 64-byte aligned. Asking for more than was measured is the caller's
 * defect and gives a tensor without data. */
struct tensor scratch_tensor(struct scratch *s, int32_t rows, int32_t cols);
