/* simd_lines.h in AVX-512 with VNNI: a line is one register. */
#pragma once

typedef __m512i line;
typedef __m512i line_sums;
typedef __m512 line_floats;

enum {
    TILES_WIDTH = 12, /* more would be more registers than gcc fills without spilling */
    LINE_CHAINS = 4,  /* a multiplication takes four or five cycles, and one begins in each */
    LINE_KEYS = 8,    /* each is at an address of its own, which takes registers too */
    LINE_ELEMENTS = 16,
};

SIMD_INLINE line line_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

SIMD_INLINE void line_store(void *p, line v)
{
    _mm512_storeu_si512(p, v);
}

SIMD_INLINE line line_and(line a, uint32_t mask)
{
    return _mm512_and_si512(a, _mm512_set1_epi32((int)mask));
}

SIMD_INLINE line line_or(line a, line b)
{
    return _mm512_or_si512(a, b);
}

/* `bits` bits of each half of the 32 bits, from bit `from` moved to bit `to`; the others are 0. */
SIMD_INLINE line line_field(line words, int from, int to, int bits)
{
    line moved = from > to ? _mm512_srli_epi16(words, (unsigned)(from - to))
                           : (from < to ? _mm512_slli_epi16(words, (unsigned)(to - from)) : words);
    if (from + bits == 16 && to == 0)
        return moved;
    return _mm512_and_si512(moved, _mm512_set1_epi16((short)(((1 << bits) - 1) << to)));
}

SIMD_INLINE line_sums line_sums_zero(void)
{
    return _mm512_setzero_si512();
}

/* sums + q times the two integers at `pair`, row by row */
SIMD_INLINE line_sums line_multiply(line q, const int16_t *pair, line_sums sums)
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm512_dpwssd_epi32(sums, q, _mm512_set1_epi32(both));
}

/* The same in place: gcc copies twelve registers in each round if it may choose where sums are. */
SIMD_INLINE void line_multiply_into(line_sums *sums, line q, const int32_t *pair)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(*sums) : "v"(q), "m"(*pair));
}

SIMD_INLINE line_sums line_sums_add(line_sums a, line_sums b)
{
    return _mm512_add_epi32(a, b);
}

SIMD_INLINE line_sums line_sums_shift_right(line_sums a, int n)
{
    return _mm512_srai_epi32(a, (unsigned)n);
}

SIMD_INLINE line_floats line_from_sums(line_sums sums)
{
    return _mm512_cvtepi32_ps(sums);
}

SIMD_INLINE line_floats line_floats_set1(float x)
{
    return _mm512_set1_ps(x);
}

SIMD_INLINE line_floats line_floats_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

SIMD_INLINE void line_floats_store(float *p, line_floats v)
{
    _mm512_storeu_ps(p, v);
}

SIMD_INLINE line_floats line_floats_add(line_floats a, line_floats b)
{
    return _mm512_add_ps(a, b);
}

SIMD_INLINE line_floats line_floats_mul(line_floats a, line_floats b)
{
    return _mm512_mul_ps(a, b);
}

/* a b + c */
SIMD_INLINE line_floats line_floats_fma(line_floats a, line_floats b, line_floats c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* The even and the odd ones of 32 bf16 numbers. */
SIMD_INLINE line_floats line_even_bf16(line v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

SIMD_INLINE line_floats line_odd_bf16(line v)
{
    return _mm512_castsi512_ps(line_and(v, 0xffff0000));
}

/* The low halves of each word of `even` and, above them, those of `odd`. */
SIMD_INLINE line line_join_halves(line_floats even, line_floats odd)
{
    __m512i high = _mm512_slli_epi32(_mm512_castps_si512(odd), 16);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_castps_si512(even), high);
}

/* Sixteen numbers as they lie in files. */
SIMD_INLINE line_floats line_load_bf16(const unsigned char *p)
{
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

SIMD_INLINE line_floats line_load_f16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

SIMD_INLINE line_floats line_load_f32(const unsigned char *p)
{
    return _mm512_castsi512_ps(_mm512_loadu_si512(p));
}
