/* Both ends of what layers for many tokens do with a run of weights (tiles.h): panels are filled,
 * and sums become y. */
#pragma once

#include "backend/cpu/simd_blocks.h"
#include "backend/cpu/simd_integer_panel.h"
#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_tiles_dense.h"

static int32_t tiles_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* From repacked weights: the columns of a run, of the block that `row` begins. */
static void tiles_fill_block(struct integer_panel *panel, const struct linear_job *job, int32_t row,
                             struct integer_run run)
{
    const struct weight_source *w = &job->w;
    int32_t group = run.first / w->group, n = (run.n + w->group - 1) / w->group;
    const unsigned char *at = job->blocks + (size_t)(row / INTEGER_BLOCK) * integer_block_bytes(w) +
                              (size_t)group * integer_group_bytes(w);
    uint32_t(*lines)[INTEGER_BLOCK] = panel->lines;
    for (int32_t g = 0; g < n; g++) {
        size_t scales_bytes = integer_scales_bytes(w);
        widen(panel->scales[g], at, w->scale_type, 0, INTEGER_BLOCK);
        widen(panel->biases[g], at + scales_bytes, w->scale_type, 0, INTEGER_BLOCK);
        at += 2 * scales_bytes;
        for (int32_t c = 0; c < w->group; c += 32, lines += BLOCK_PAIRS) {
            block_unpack(lines, at, w->bits);
            at += w->bits * INTEGER_LINE;
        }
    }
}

/* One of n_parts equal parts of the dense weights that the next run will read. */
static void tiles_prefetch(const struct weight_source *w, int32_t row, int32_t n_rows,
                           int32_t first, int32_t part, int32_t n_parts)
{
    int32_t cols = tiles_min(w->cols - first, TILES_UNITS * INTEGER_UNIT);
    int32_t end = n_rows * (part + 1) / n_parts;
    for (int32_t r = n_rows * part / n_parts; cols > 0 && r < end; r++) {
        const unsigned char *at = w->data;
        at += 2 * ((size_t)(row + r) * (size_t)w->cols + (size_t)first);
        for (int32_t i = 0; i < 2 * cols; i += 64)
            __builtin_prefetch(at + i, 0, 2);
    }
}

/* Panels of n_rows rows from `row` on. */
static void tiles_fill(struct integer_panel *panels, const struct linear_job *job, int32_t row,
                       int32_t n_rows, struct integer_run run)
{
    const struct weight_source *w = &job->w;
    for (int32_t p = 0; p * INTEGER_BLOCK < n_rows; p++) {
        int32_t first = row + p * INTEGER_BLOCK;
        int32_t n = tiles_min(n_rows - p * INTEGER_BLOCK, INTEGER_BLOCK);
        if (job->blocks)
            tiles_fill_block(&panels[p], job, first, run);
        else
            tiles_fill_dense(&panels[p], w, first, n, run);
    }
}

/* y of up to 16 rows of one token from their sums. */
static void tiles_store_y(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                          const float *sums)
{
    float *y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)row;
    const float *bias = job->bias ? job->bias + row : NULL;
    if (n_rows < INTEGER_BLOCK) {
        for (int32_t r = 0; r < n_rows; r++)
            y[r] = sums[r] + (bias ? bias[r] : 0.0f);
        return;
    }
    line_floats added = bias ? line_floats_load(bias) : line_floats_set1(0.0f);
    line_floats_store(y, line_floats_add(line_floats_load(sums), added));
}
