/* Dense weights as lines of bf16 pairs, before or instead of being made integers. */
#pragma once

#include "backend/cpu/simd_integer_panel.h"

/* A unit of n_rows <= 8 rows from `row` on becomes half of its lines, pairs of bf16 still, zeros
 * for other rows and beyond the rows' ends. */
static void tiles_dense_pairs(uint32_t *lines, const struct weight_source *w, int32_t row,
                              int32_t n_rows, int32_t first)
{
    const unsigned char *from = w->data;
    unsigned char padded[8][2 * INTEGER_UNIT];
    size_t stride = 2 * (size_t)w->cols, left = 2 * (size_t)(w->cols - first);
    if (n_rows > 0)
        from += (size_t)row * stride + 2 * (size_t)first;
    if (n_rows < 8 || left < sizeof padded[0]) {
        memset(padded, 0, sizeof padded);
        for (int32_t r = 0; r < n_rows; r++)
            memcpy(padded[r], from + (size_t)r * stride,
                   left < sizeof padded[r] ? left : sizeof padded[r]);
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
