/* Dense weights and what they meet as integers (tiles.h): pairs are neighbouring columns, as bf16
 * weights lie in words of 32 bits. */
#pragma once

#include "backend/cpu/simd_integer_panel.h"
#include "backend/cpu/simd_integer_x.h"
#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_tiles_pairs.h"
#include "backend/cpu/tiles.h"

/* ---- x */

/* 64 floats become 64 integers. Returns the scale. */
static float tiles_dense_x(int16_t *to, const float *from)
{
    v8 octets[8], squares = v8_zero();
    float factor;
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        octets[i] = v8_load(from + 8 * i);
        squares = v8_fma(octets[i], octets[i], squares);
    }
    float scale = tiles_x_scale(v8_sum(squares), integer_greatest(octets), &factor);
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        v8 value = factor > 0.0f ? v8_mul(octets[i], v8_set1(factor)) : v8_zero();
        v8u_store_low_halves(to + 8 * i, v8_to_int(value));
    }
    return scale;
}

/* ---- weights */

/* Of one row of lines that are pairs of bf16 still. */
static __attribute__((noinline)) float tiles_odd_scale(uint32_t (*lines)[INTEGER_BLOCK],
                                                       int32_t row, float *factor)
{
    float greatest = 0.0f;
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i++) {
        float pair[2] = {fabsf(float_from_bits(lines[i][row] << 16)),
                         fabsf(float_from_bits(lines[i][row] & 0xffff0000))};
        for (int32_t k = 0; k < 2; k++) /* a NaN is greater than all, and stays */
            if (!(pair[k] <= greatest) && !isnan(greatest))
                greatest = pair[k];
    }
    return tiles_odd_weight_scale(greatest, factor);
}

/* The scales of the sixteen rows of a unit, and what they are multiplied by. */
static void tiles_dense_scales(float scales[INTEGER_BLOCK], float factors[INTEGER_BLOCK],
                               uint32_t (*lines)[INTEGER_BLOCK])
{
    float squares[INTEGER_BLOCK];
    line_floats lanes[4] = {line_floats_set1(0.0f), line_floats_set1(0.0f), line_floats_set1(0.0f),
                            line_floats_set1(0.0f)};
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i += 2) {
        SIMD_UNROLL
        for (int k = 0; k < 2; k++) {
            line pairs = line_load(lines[i + k]);
            line_floats even = line_even_bf16(pairs), odd = line_odd_bf16(pairs);
            lanes[2 * k] = line_floats_fma(even, even, lanes[2 * k]);
            lanes[2 * k + 1] = line_floats_fma(odd, odd, lanes[2 * k + 1]);
        }
    }
    line_floats_store(squares, line_floats_add(line_floats_add(lanes[0], lanes[1]),
                                               line_floats_add(lanes[2], lanes[3])));
    bool odd_ones = false;
    for (int32_t r = 0; r < INTEGER_BLOCK; r++) {
        scales[r] = tiles_weight_scale(squares[r], &factors[r]);
        odd_ones |= !tiles_in_range(squares[r]);
    }
    for (int32_t r = 0; odd_ones && r < INTEGER_BLOCK; r++)
        if (!tiles_in_range(squares[r]))
            scales[r] = tiles_odd_scale(lines, r, &factors[r]);
}

/* Pairs of bf16 become pairs of integers. A number below 2^22 that is added to 1.5 * 2^23 leaves
 * itself, rounded, in the last bits of the sum; the bits of what is not finite, times a factor of
 * 0, end with zeros too. */
static void tiles_dense_round(uint32_t (*lines)[INTEGER_BLOCK], const float factors[INTEGER_BLOCK])
{
    line_floats factor = line_floats_load(factors), shift = line_floats_set1(0x1.8p23f);
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i++) {
        line pairs = line_load(lines[i]);
        line_floats even = line_floats_fma(line_even_bf16(pairs), factor, shift);
        line_floats odd = line_floats_fma(line_odd_bf16(pairs), factor, shift);
        line_store(lines[i], line_join_halves(even, odd));
    }
}

static void tiles_fill_dense(struct integer_panel *panel, const struct weight_source *w,
                             int32_t row, int32_t n_rows, struct integer_run run)
{
    int32_t low = n_rows < 8 ? n_rows : 8, units = (run.n - 1) / INTEGER_UNIT + 1;
    /* All pairs first: what was just written in halves is slow to read as a whole. */
    for (int32_t u = 0; u < units; u++) {
        uint32_t *lines = panel->lines[u * INTEGER_UNIT_LINES];
        int32_t first = run.first + u * INTEGER_UNIT;
        tiles_dense_pairs(lines, w, row, low, first);
        tiles_dense_pairs(lines + 8, w, row + low, n_rows - low, first);
    }
    for (int32_t u = 0; u < units; u++) {
        uint32_t(*lines)[INTEGER_BLOCK] = &panel->lines[u * INTEGER_UNIT_LINES];
        float factors[INTEGER_BLOCK];
        tiles_dense_scales(panel->scales[u], factors, lines);
        tiles_dense_round(lines, factors);
    }
}
