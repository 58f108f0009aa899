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

static void simd_integer_prepare(const struct linear_job *job, int32_t token)
{
    struct integer_row to = integer_row(job, token);
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    int32_t cols = job->w.cols, group = job->w.group, groups = cols / group;
    memset(to.sums, 0, (size_t)groups * sizeof *to.sums);
    for (int32_t u = 0; u < integer_units(cols); u++) {
        float padded[INTEGER_UNIT] = {0};
        const float *from = x + (size_t)u * INTEGER_UNIT;
        if ((u + 1) * INTEGER_UNIT > cols) {
            memcpy(padded, from, (size_t)(cols - u * INTEGER_UNIT) * sizeof *from);
            from = padded;
        }
        int32_t sums[2];
        float scale = integer_prepare_unit(to.x + (size_t)u * INTEGER_UNIT, sums, from);
        to.scales[u] = scale;
        if (group != 32) {
            to.sums[u * INTEGER_UNIT / group] += scale * (float)(sums[0] + sums[1]);
            continue;
        }
        to.sums[2 * u] += scale * (float)sums[0];
        if (2 * u + 1 < groups)
            to.sums[2 * u + 1] += scale * (float)sums[1];
    }
}
