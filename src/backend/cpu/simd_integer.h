/* Linear layers with integer activations (integer.h): which way a layer takes. Included by one file
 * per instruction set. */
#pragma once

#include "backend/cpu/simd_integer_few.h"
#include "backend/cpu/simd_integer_panel.h"
#include "backend/cpu/simd_integer_x.h"

static void simd_integer_rows(const struct linear_job *job, int32_t first, int32_t n,
                              float *scratch)
{
    if (job->blocks) {
        integer_few_rows(job, first, n);
        return;
    }
    struct integer_panel *panel = (struct integer_panel *)scratch;
    for (int32_t row = first; row < first + n; row += INTEGER_BLOCK) {
        int32_t left = first + n - row;
        integer_panel_rows(job, panel, row, left < INTEGER_BLOCK ? left : INTEGER_BLOCK);
    }
}
