/* Dense weights and what they meet as integers (tiles.h). */
#pragma once

#include "backend/cpu/simd_integer_panel.h"
#include "backend/cpu/simd_integer_x.h"
#include "backend/cpu/tiles.h"

SIMD_INLINE v8 tiles_squares(const v8 octets[8])
{
    v8 squares = v8_zero();
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        squares = v8_fma(octets[i], octets[i], squares);
    return squares;
}

/* 64 floats become 64 integers. Returns the scale. */
static float tiles_dense_x(int16_t *to, const float *from)
{
    v8 octets[8];
    int32_t sums[2];
    float factor;
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        octets[i] = v8_load(from + 8 * i);
    float squares = v8_sum(tiles_squares(octets));
    float scale = tiles_x_scale(squares, integer_greatest(octets), &factor);
    integer_round_unit(to, sums, octets, factor);
    return scale;
}

/* 64 weights, zeros beyond the row's end. */
SIMD_INLINE void tiles_load_weights(v8 octets[8], const struct weight_source *w, int32_t row,
                                    int32_t first)
{
    size_t at = (size_t)row * (size_t)w->cols + (size_t)first;
    int32_t left = w->cols - first;
    const unsigned char *from = (const unsigned char *)w->data + 2 * at;
    unsigned char padded[2 * INTEGER_UNIT] = {0};
    if (left < INTEGER_UNIT) {
        memcpy(padded, from, 2 * (size_t)left);
        from = padded;
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        octets[i] = v8_load_bf16(from + 16 * i);
}

static __attribute__((noinline)) float tiles_odd_scale(const v8 octets[8], float *factor)
{
    return tiles_odd_weight_scale(integer_greatest(octets), factor);
}

/* A unit of a row becomes words of pairs: eight pairs of each of eight rows lie together. Returns
 * the scale. */
SIMD_INLINE float tiles_dense_row(int16_t (*words)[8][16], const struct weight_source *w,
                                  int32_t row, int32_t first, int32_t r)
{
    v8 octets[8];
    float factor, scale;
    tiles_load_weights(octets, w, row, first);
    float squares = v8_sum(tiles_squares(octets));
    if (tiles_in_range(squares))
        scale = tiles_weight_scale(squares, &factor);
    else
        scale = tiles_odd_scale(octets, &factor);
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        v8 value = factor > 0.0f ? v8_mul(octets[i], v8_set1(factor)) : v8_zero();
        v8u_store_pairs(words[i / 2][r] + i % 2 * 8, v8_to_int(value));
    }
    return scale;
}

/* A unit of n_rows <= 8 rows from `row` on becomes half of its lines and scales. */
static void tiles_fill_dense_unit(uint32_t *lines, float *scales, const struct weight_source *w,
                                  int32_t row, int32_t n_rows, int32_t first)
{
    int16_t words[4][8][16];
    if (n_rows < 8)
        memset(words, 0, sizeof words);
    for (int32_t r = 0; r < 8; r++)
        scales[r] = r < n_rows ? tiles_dense_row(words, w, row + r, first, r) : 0.0f;
    for (int32_t i = 0; i < 4; i++) {
        float floats[8][8];
        v8 pairs[8];
        memcpy(floats, words[i], sizeof floats);
        v8_transpose64(pairs, floats[0]);
        SIMD_UNROLL
        for (int j = 0; j < 8; j++)
            v8u_store(lines + (8 * i + j) * INTEGER_BLOCK, v8_bits(pairs[j]));
    }
}

static void tiles_fill_dense(struct integer_panel *panel, const struct weight_source *w,
                             int32_t row, int32_t n_rows, struct integer_run run)
{
    int32_t low = n_rows < 8 ? n_rows : 8;
    for (int32_t u = 0; u * INTEGER_UNIT < run.n; u++) {
        uint32_t *lines = panel->lines[u * INTEGER_UNIT_LINES];
        int32_t first = run.first + u * INTEGER_UNIT;
        tiles_fill_dense_unit(lines, panel->scales[u], w, row, low, first);
        tiles_fill_dense_unit(lines + 8, panel->scales[u] + 8, w, row + low, n_rows - low, first);
    }
}
