/* Dense weights as lines of bf16 pairs, before or instead of being made integers. */
#pragma once

#include "backend/cpu/simd_integer_panel.h"

static inline struct linear_part tiles_whole(const struct weight_source *w)
{
    return (struct linear_part){w->data, w->rows, w->cols};
}

/* A unit of at most 8 rows from `row` on, those before row `end`, becomes half of its lines, pairs
 * of bf16 still, zeros for other rows and beyond the rows' ends. `stride`: bytes. */
static void tiles_dense_pairs(uint32_t *lines, struct linear_part w, size_t stride, int32_t row,
                              int32_t end, int32_t first)
{
    int32_t n_rows = tiles_min(tiles_min(end, w.rows) - row, 8);
    unsigned char padded[8][2 * INTEGER_UNIT];
    int32_t cols = tiles_min(w.cols - first, INTEGER_UNIT);
    const unsigned char *from = w.data;
    if (n_rows > 0 && cols > 0)
        from += (size_t)row * stride + 2 * (size_t)first;
    if (n_rows < 8 || cols < INTEGER_UNIT) {
        memset(padded, 0, sizeof padded);
        for (int32_t r = 0; r < n_rows && cols > 0; r++)
            memcpy(padded[r], from + (size_t)r * stride, 2 * (size_t)cols);
        from = padded[0];
        stride = sizeof padded[0];
    }
    for (int i = 0; i < 4; i++) {
        v8 words[8];
        SIMD_UNROLL
        for (int r = 0; r < 8; r++)
            words[r] = v8_load_f32(from + (size_t)r * stride + 32 * i);
        v8_transpose(words);
        SIMD_UNROLL
        for (int j = 0; j < 8; j++)
            v8u_store(lines + (8 * i + j) * INTEGER_BLOCK, v8_bits(words[j]));
    }
}

/* A panel of rows [row, row + 16), those before row `end`, as pairs of bf16 still. */
static void tiles_dense_panel(uint32_t (*lines)[INTEGER_BLOCK], struct linear_part w, size_t stride,
                              int32_t row, int32_t end, struct integer_run run)
{
    for (int32_t c = 0; c < run.n; c += INTEGER_UNIT, lines += INTEGER_UNIT_LINES) {
        tiles_dense_pairs(lines[0], w, stride, row, end, run.first + c);
        tiles_dense_pairs(lines[0] + 8, w, stride, row + 8, end, run.first + c);
    }
}
