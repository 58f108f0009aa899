/* What linear layers with integer activations make of a row of x (integer.h). */
#pragma once

#include "backend/cpu/integer.h"
#include "backend/cpu/simd.h"

SIMD_INLINE float integer_greatest(const v8 octets[8])
{
    v8u size = v8u_set1(0), no_sign = v8u_set1(0x7fffffff);
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        size = v8u_max(size, v8u_and(v8_bits(octets[i]), no_sign));
    /* As integers NaNs are greater than all numbers. */
    uint32_t bits[8], most = 0;
    float greatest;
    v8u_store(bits, size);
    for (int lane = 0; lane < 8; lane++)
        most = bits[lane] > most ? bits[lane] : most;
    memcpy(&greatest, &most, sizeof greatest);
    return greatest;
}

SIMD_INLINE int32_t integer_lanes(v8u v)
{
    int32_t lanes[8], sum = 0;
    v8u_store(lanes, v);
    for (int lane = 0; lane < 8; lane++)
        sum += lanes[lane];
    return sum;
}

/* The 64 floats times factor become 64 integers; sums[h] of half h. */
SIMD_INLINE void integer_round_unit(int16_t *to, int32_t sums[2], v8 octets[8], float factor)
{
    v8u totals[2] = {v8u_set1(0), v8u_set1(0)};
    if (!(factor > 0.0f)) /* NaN times 0 is no 0 */
        memset(octets, 0, 8 * sizeof *octets);
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        v8u rounded = v8_to_int(v8_mul(octets[i], v8_set1(factor)));
        totals[i / 4] = v8u_add(totals[i / 4], rounded);
        v8u_store_pairs(to + 8 * i, rounded);
    }
    sums[0] = integer_lanes(totals[0]);
    sums[1] = integer_lanes(totals[1]);
}

/* 64 floats become 64 integers; sums[h] of half h. Returns the scale. */
SIMD_INLINE float integer_prepare_unit(int16_t *to, int32_t sums[2], const float *from)
{
    v8 octets[8];
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        octets[i] = v8_load(from + 8 * i);
    float factor, scale = integer_scale(integer_greatest(octets), &factor);
    integer_round_unit(to, sums, octets, factor);
    return scale;
}
