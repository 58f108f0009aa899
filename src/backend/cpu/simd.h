/* Eight float32 lanes, written once for the kernels that are compiled for several instruction sets:
 * one register of AVX2, two of NEON. Only for files compiled for one of these. Sums across lanes
 * always add in the same order. */
#pragma once

#include <stdint.h>
#include <string.h>

#define SIMD_INLINE static inline __attribute__((always_inline))
/* Before loops over registers: arrays stay in memory unless their indices are constants, and gcc
 * -O2 does not unroll by itself. */
#ifdef __clang__
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "backend/cpu/simd_avx2.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include "backend/cpu/simd_neon.h"
#else
#error "simd.h knows AVX2 and NEON"
#endif

/* The first n of 8 floats; the others are 0. */
SIMD_INLINE v8 v8_load_partial(const float *p, int32_t n)
{
    float lanes[8] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v8_load(lanes);
}

SIMD_INLINE void v8_store_partial(float *p, v8 v, int32_t n)
{
    float lanes[8];
    v8_store(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

/* The 8 x 8 floats at `from` with rows and columns exchanged. */
SIMD_INLINE void v8_transpose64(v8 to[8], const float *from)
{
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        to[i] = v8_load(from + 8 * i);
    v8_transpose(to);
}

/* 64 integers of `bits` bits at p become floats, out[8 j + lane] the j-th of the lane's eight.
 * Reads up to 8 - bits bytes beyond them. */
SIMD_INLINE void v8_unpack64(float *out, const unsigned char *p, int bits)
{
    v8u integers[8];
    v8u_unpack64(integers, p, bits);
    SIMD_UNROLL
    for (int j = 0; j < 8; j++)
        v8_store(out + 8 * j, v8_from_v8u(integers[j]));
}

/* e^x to about one unit in the last place. x = n ln 2 + r, |r| <= ln 2 / 2, and e^r is its Taylor
 * sum up to r^7, whose error there is below 6e-9. Arguments beyond what float32 can show are moved
 * to its ends; NaN stays. */
SIMD_INLINE v8 v8_exp(v8 x)
{
    const float taylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    x = v8_min(v8_set1(88.0f), v8_max(v8_set1(-87.0f), x));
    v8 n = v8_round(v8_mul(x, v8_set1(1.44269504f)));
    v8 r = v8_fma(n, v8_set1(-0x1.62e4p-1f), x); /* ln 2 in two parts; the first is exact times n */
    r = v8_fma(n, v8_set1(-0x1.7f7d1cp-20f), r);
    v8 sum = v8_set1(1.0f / 5040);
    SIMD_UNROLL
    for (int i = 0; i < 7; i++)
        sum = v8_fma(sum, r, v8_set1(taylor[i]));
    return v8_mul(sum, v8_power_of_two(n));
}
