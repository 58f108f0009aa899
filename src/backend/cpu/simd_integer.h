/* Linear layers with integer activations (integer.h) for few tokens, from repacked weights; all
 * others are simd_tiles.h's. Included by one file per instruction set. */
#pragma once

#include "backend/cpu/simd_integer_few.h"
#include "backend/cpu/simd_integer_x.h"

static void simd_integer_rows(const struct linear_job *job, int32_t first, int32_t n,
                              float *scratch)
{
    (void)scratch;
    integer_few_rows(job, first, n);
}
