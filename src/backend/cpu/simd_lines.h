/* A line: 32 bits of each of sixteen rows of weights, and the sums that belong to them. Here as two
 * times the eight lanes of simd.h; simd_avx512.h has the same in one register. What is multiplied
 * are pairs of 16-bit integers: the two halves of a row's 32 bits with two integers of x. */
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#include "backend/cpu/simd_avx512.h"
#else

enum {
/* Of multiplications that it takes to keep the processor busy. */
#ifdef __AVXVNNI__
    LINE_CHAINS = 4, /* five cycles each, two halves in a cycle */
#else
    LINE_CHAINS = 1,
#endif
#ifdef __ARM_NEON
    TILES_WIDTH = 3, /* the same, with a line of both halves at a time */
#else
    TILES_WIDTH = 6,
#endif
    /* Sums of attention in registers: of so many keys, or elements of values. */
    LINE_KEYS = 6,
    LINE_ELEMENTS = 6,
};

typedef struct {
    v8u half[2];
} line;

typedef struct {
    v8sums half[2];
} line_sums;

typedef struct {
    v8 half[2];
} line_floats;

SIMD_INLINE line line_load(const void *p)
{
    const unsigned char *bytes = p;
    return (line){{v8u_load(bytes), v8u_load(bytes + 32)}};
}

SIMD_INLINE void line_store(void *p, line v)
{
    unsigned char *bytes = p;
    v8u_store(bytes, v.half[0]);
    v8u_store(bytes + 32, v.half[1]);
}

SIMD_INLINE line line_and(line a, uint32_t mask)
{
    v8u all = v8u_set1(mask);
    return (line){{v8u_and(a.half[0], all), v8u_and(a.half[1], all)}};
}

SIMD_INLINE line line_or(line a, line b)
{
    return (line){{v8u_or(a.half[0], b.half[0]), v8u_or(a.half[1], b.half[1])}};
}

/* `bits` bits of each half of the 32 bits, from bit `from` moved to bit `to`; the others are 0. */
SIMD_INLINE line line_field(line words, int from, int to, int bits)
{
    return (line){
        {v16_field(words.half[0], from, to, bits), v16_field(words.half[1], from, to, bits)}};
}

SIMD_INLINE line_sums line_sums_zero(void)
{
    return (line_sums){{v8sums_zero(), v8sums_zero()}};
}

/* sums + q times the two integers at `pair`, row by row */
SIMD_INLINE line_sums line_multiply(line q, const int16_t *pair, line_sums sums)
{
    v8u x = v8u_set1_from(pair);
    return (line_sums){
        {v16_mul_add(q.half[0], x, sums.half[0]), v16_mul_add(q.half[1], x, sums.half[1])}};
}

/* The same in place. */
SIMD_INLINE void line_multiply_into(line_sums *sums, line q, const int32_t *pair)
{
    v16_mul_add_into(sums->half, q.half, pair);
}

SIMD_INLINE line_sums line_sums_add(line_sums a, line_sums b)
{
    return (line_sums){{v8sums_add(a.half[0], b.half[0]), v8sums_add(a.half[1], b.half[1])}};
}

SIMD_INLINE line_sums line_sums_shift_right(line_sums a, int n)
{
    return (line_sums){{v8sums_shift_right(a.half[0], n), v8sums_shift_right(a.half[1], n)}};
}

SIMD_INLINE line_floats line_from_sums(line_sums sums)
{
    return (line_floats){{v8_from_sums(sums.half[0]), v8_from_sums(sums.half[1])}};
}

SIMD_INLINE line_floats line_floats_add(line_floats a, line_floats b)
{
    return (line_floats){{v8_add(a.half[0], b.half[0]), v8_add(a.half[1], b.half[1])}};
}

SIMD_INLINE line_floats line_floats_set1(float x)
{
    return (line_floats){{v8_set1(x), v8_set1(x)}};
}

SIMD_INLINE line_floats line_floats_load(const float *p)
{
    return (line_floats){{v8_load(p), v8_load(p + 8)}};
}

SIMD_INLINE void line_floats_store(float *p, line_floats v)
{
    v8_store(p, v.half[0]);
    v8_store(p + 8, v.half[1]);
}

SIMD_INLINE line_floats line_floats_mul(line_floats a, line_floats b)
{
    return (line_floats){{v8_mul(a.half[0], b.half[0]), v8_mul(a.half[1], b.half[1])}};
}

/* a b + c */
SIMD_INLINE line_floats line_floats_fma(line_floats a, line_floats b, line_floats c)
{
    return (line_floats){
        {v8_fma(a.half[0], b.half[0], c.half[0]), v8_fma(a.half[1], b.half[1], c.half[1])}};
}

/* The even and the odd ones of 32 bf16 numbers. */
SIMD_INLINE line_floats line_even_bf16(line v)
{
    return (line_floats){
        {v8_from_bits(v8u_shift_left(v.half[0], 16)), v8_from_bits(v8u_shift_left(v.half[1], 16))}};
}

SIMD_INLINE line_floats line_odd_bf16(line v)
{
    line high = line_and(v, 0xffff0000);
    return (line_floats){{v8_from_bits(high.half[0]), v8_from_bits(high.half[1])}};
}

/* The low halves of each word of `even` and, above them, those of `odd`. */
SIMD_INLINE line line_join_halves(line_floats even, line_floats odd)
{
    return (line){{v8u_join_halves(v8_bits(even.half[0]), v8_bits(odd.half[0])),
                   v8u_join_halves(v8_bits(even.half[1]), v8_bits(odd.half[1]))}};
}

SIMD_INLINE line_floats line_load_bf16(const unsigned char *p)
{
    return (line_floats){{v8_load_bf16(p), v8_load_bf16(p + 16)}};
}

SIMD_INLINE line_floats line_load_f16(const unsigned char *p)
{
    return (line_floats){{v8_load_f16(p), v8_load_f16(p + 16)}};
}

SIMD_INLINE line_floats line_load_f32(const unsigned char *p)
{
    return (line_floats){{v8_load_f32(p), v8_load_f32(p + 32)}};
}

#endif

SIMD_INLINE line_floats line_load_dense(const unsigned char *p, enum weight_type type)
{
    if (type == WEIGHT_BF16)
        return line_load_bf16(p);
    if (type == WEIGHT_F16)
        return line_load_f16(p);
    return line_load_f32(p);
}
