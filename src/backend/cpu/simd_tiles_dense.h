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
SIMD_INLINE float tiles_dense_x(int16_t *to, const float *from)
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

/* A unit of sixteen rows: pairs of bf16, and those that are added times `sign`, or NULL. */
struct tiles_dense_unit {
    uint32_t (*lines)[INTEGER_BLOCK];
    uint32_t (*added)[INTEGER_BLOCK];
    float sign;
};

/* The first and the second numbers of line i. */
SIMD_INLINE void tiles_dense_line(const struct tiles_dense_unit *unit, int32_t i,
                                  line_floats numbers[2], bool adds)
{
    line pairs = line_load(unit->lines[i]);
    numbers[0] = line_even_bf16(pairs);
    numbers[1] = line_odd_bf16(pairs);
    if (adds) {
        line added = line_load(unit->added[i]);
        line_floats sign = line_floats_set1(unit->sign);
        numbers[0] = line_floats_fma(line_even_bf16(added), sign, numbers[0]);
        numbers[1] = line_floats_fma(line_odd_bf16(added), sign, numbers[1]);
    }
}

/* Of one row. */
static __attribute__((noinline)) float tiles_odd_scale(const struct tiles_dense_unit *unit,
                                                       int32_t row, float *factor)
{
    float greatest = 0.0f;
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i++)
        for (int32_t k = 0; k < 2; k++) {
            uint32_t shift = k == 0 ? 16 : 0;
            float size = float_from_bits(unit->lines[i][row] << shift & 0xffff0000);
            if (unit->added)
                size += unit->sign * float_from_bits(unit->added[i][row] << shift & 0xffff0000);
            size = fabsf(size);
            if (!(size <= greatest) && !isnan(greatest)) /* a NaN is greater than all, and stays */
                greatest = size;
        }
    return tiles_odd_weight_scale(greatest, factor);
}

/* The scales of the sixteen rows of a unit, and what they are multiplied by. */
SIMD_INLINE void tiles_dense_scales(float scales[INTEGER_BLOCK], float factors[INTEGER_BLOCK],
                                    const struct tiles_dense_unit *unit, bool adds)
{
    float squares[INTEGER_BLOCK];
    line_floats lanes[4] = {line_floats_set1(0.0f), line_floats_set1(0.0f), line_floats_set1(0.0f),
                            line_floats_set1(0.0f)};
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i += 2) {
        SIMD_UNROLL
        for (int k = 0; k < 2; k++) {
            line_floats numbers[2];
            tiles_dense_line(unit, i + k, numbers, adds);
            lanes[2 * k] = line_floats_fma(numbers[0], numbers[0], lanes[2 * k]);
            lanes[2 * k + 1] = line_floats_fma(numbers[1], numbers[1], lanes[2 * k + 1]);
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
            scales[r] = tiles_odd_scale(unit, r, &factors[r]);
}

/* Pairs of bf16, or their sums, become pairs of integers. A number below 2^22 that is added to 1.5
 * * 2^23 leaves itself, rounded, in the last bits of the sum; the bits of what is not finite, times
 * a factor of 0, end with zeros too. */
SIMD_INLINE void tiles_dense_round(const struct tiles_dense_unit *unit,
                                   const float factors[INTEGER_BLOCK], bool adds)
{
    line_floats factor = line_floats_load(factors), shift = line_floats_set1(0x1.8p23f);
    for (int32_t i = 0; i < INTEGER_UNIT_LINES; i++) {
        line_floats numbers[2];
        tiles_dense_line(unit, i, numbers, adds);
        line_store(unit->lines[i], line_join_halves(line_floats_fma(numbers[0], factor, shift),
                                                    line_floats_fma(numbers[1], factor, shift)));
    }
}

SIMD_INLINE void tiles_dense_integers(float scales[INTEGER_BLOCK],
                                      const struct tiles_dense_unit *unit, bool adds)
{
    float factors[INTEGER_BLOCK];
    tiles_dense_scales(scales, factors, unit, adds);
    tiles_dense_round(unit, factors, adds);
}

static void tiles_fill_dense(struct integer_panel *panel, const struct linear_job *job, int32_t row,
                             int32_t n_rows, struct integer_run run)
{
    const struct linear_terms *terms = job->terms;
    struct linear_part w = terms ? terms->w[0] : tiles_whole(&job->w);
    size_t stride = terms ? terms->stride : 2 * (size_t)job->w.cols;
    uint32_t added[INTEGER_PANEL_UNITS * INTEGER_UNIT_LINES][INTEGER_BLOCK];
    bool adds = terms && terms->sign != 0;
    /* All pairs first: what was just written in halves is slow to read as a whole. */
    tiles_dense_panel(panel->lines, w, stride, row, row + n_rows, run);
    if (adds)
        tiles_dense_panel(added, terms->w[1], stride, row, row + n_rows, run);
    for (int32_t u = 0; u < integer_units(run.n); u++) {
        struct tiles_dense_unit unit = {
            .lines = &panel->lines[u * INTEGER_UNIT_LINES],
            .added = adds ? &added[u * INTEGER_UNIT_LINES] : NULL,
            .sign = adds ? (float)terms->sign : 0.0f,
        };
        if (adds)
            tiles_dense_integers(panel->scales[u], &unit, true);
        else
            tiles_dense_integers(panel->scales[u], &unit, false);
    }
}
