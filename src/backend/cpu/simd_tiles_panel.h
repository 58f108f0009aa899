/* What layers for many tokens do before and after they multiply a run of weights (tiles.h). */
#pragma once

#include "backend/cpu/simd_blocks.h"
#include "backend/cpu/simd_integer_panel.h"
#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_tiles_dense.h"

static inline void tiles_prefetch_part(struct linear_part part, size_t stride, int32_t row,
                                       int32_t first)
{
    int32_t cols = tiles_min(part.cols - first, TILES_UNITS * INTEGER_UNIT);
    for (int32_t i = 0; row < part.rows && i < 2 * cols; i += 64)
        __builtin_prefetch(part.data + (size_t)row * stride + 2 * (size_t)first + (size_t)i, 0, 2);
}

/* A row's columns from `first` on, as many as a run has. */
static inline void tiles_prefetch_row(const struct linear_job *job, int32_t row, int32_t first)
{
    const struct linear_terms *terms = job->terms;
    for (int32_t i = 0; terms && i < (terms->sign ? 2 : 1); i++)
        tiles_prefetch_part(terms->w[i], terms->stride, row, first);
    if (!terms)
        tiles_prefetch_part(tiles_whole(&job->w), 2 * (size_t)job->w.cols, row, first);
}

/* One of n_parts equal parts of the dense weights that the next run will read. */
static inline void tiles_prefetch(const struct linear_job *job, int32_t row, int32_t n_rows,
                                  int32_t first, int32_t part, int32_t n_parts)
{
    int32_t end = n_rows * (part + 1) / n_parts;
    for (int32_t r = n_rows * part / n_parts; first < job->w.cols && r < end; r++)
        tiles_prefetch_row(job, row + r, first);
}

/* 32 columns of a block become lines. */
typedef void (*tiles_unpack_fn)(uint32_t (*lines)[INTEGER_BLOCK], const unsigned char *packed,
                                int32_t bits);

/* From repacked weights: the columns of a run, of the block that `row` begins, as lines of which
 * `unpack` makes n_lines of 32 columns. */
SIMD_INLINE void tiles_fill_block(uint32_t (*lines)[INTEGER_BLOCK], int32_t n_lines,
                                  float (*scales)[INTEGER_BLOCK], float (*biases)[INTEGER_BLOCK],
                                  const struct linear_job *job, int32_t row, struct integer_run run,
                                  tiles_unpack_fn unpack)
{
    const struct weight_source *w = &job->w;
    int32_t group = run.first / w->group, n = (run.n + w->group - 1) / w->group;
    size_t scales_bytes = integer_scales_bytes(w);
    const unsigned char *at = job->blocks + (size_t)(row / INTEGER_BLOCK) * integer_block_bytes(w) +
                              (size_t)group * integer_group_bytes(w);
    for (int32_t g = 0; g < n; g++) {
        widen(scales[g], at, w->scale_type, 0, INTEGER_BLOCK);
        widen(biases[g], at + scales_bytes, w->scale_type, 0, INTEGER_BLOCK);
        at += 2 * scales_bytes;
        for (int32_t c = 0; c < w->group; c += 32, lines += n_lines) {
            unpack(lines, at, w->bits);
            at += w->bits * INTEGER_LINE;
        }
    }
}

/* y of up to 16 rows of one token from their sums. */
static void tiles_store_y(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                          const float *sums)
{
    float *y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)row;
    const float *bias = job->bias ? job->bias + row : NULL;
    float scale = job->y_scales ? job->y_scales[token] : 1.0f;
    if (n_rows < INTEGER_BLOCK) {
        for (int32_t r = 0; r < n_rows; r++)
            y[r] = sums[r] * scale + (bias ? bias[r] : 0.0f);
        return;
    }
    line_floats added = bias ? line_floats_load(bias) : line_floats_set1(0.0f);
    line_floats scaled = line_floats_mul(line_floats_load(sums), line_floats_set1(scale));
    line_floats_store(y, line_floats_add(scaled, added));
}

/* y of a panel: of each token its sixteen rows. */
typedef float tiles_sums[TILES_TOKENS][INTEGER_BLOCK];

static void tiles_clear(tiles_sums *y, int32_t n_rows, int32_t tokens)
{
    for (int32_t p = 0; p * INTEGER_BLOCK < n_rows; p++)
        memset(y[p], 0, (size_t)tokens * sizeof y[p][0]);
}

/* y of rows [row, row + n_rows) of all tokens; `sums` has 16 rows after another, each of
 * most_tokens tokens. */
static void tiles_store_rows(const struct linear_job *job, int32_t row, int32_t n_rows,
                             const float *sums, int32_t most_tokens)
{
    for (int32_t t = 0; t < job->x.rows; t++)
        for (int32_t r = 0; r < n_rows; r += INTEGER_BLOCK)
            tiles_store_y(job, row + r, tiles_min(n_rows - r, INTEGER_BLOCK), t,
                          sums + (size_t)r * (size_t)most_tokens + (size_t)t * INTEGER_BLOCK);
}
