/* simd.h in AVX2, FMA and F16C, and AVX-VNNI where the file is compiled for it. */
#pragma once

#include <immintrin.h>

typedef __m256 v8;
typedef __m256i v8u; /* eight uint32 */

SIMD_INLINE v8 v8_zero(void)
{
    return _mm256_setzero_ps();
}

SIMD_INLINE v8 v8_set1(float x)
{
    return _mm256_set1_ps(x);
}

/* p[0] in lanes 0 to 3, p[1] in lanes 4 to 7 */
SIMD_INLINE v8 v8_load_halves(const float *p)
{
    return _mm256_set_m128(_mm_set1_ps(p[1]), _mm_set1_ps(p[0]));
}

SIMD_INLINE v8 v8_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

SIMD_INLINE void v8_store(float *p, v8 v)
{
    _mm256_storeu_ps(p, v);
}

SIMD_INLINE v8 v8_add(v8 a, v8 b)
{
    return _mm256_add_ps(a, b);
}

SIMD_INLINE v8 v8_sub(v8 a, v8 b)
{
    return _mm256_sub_ps(a, b);
}

SIMD_INLINE v8 v8_mul(v8 a, v8 b)
{
    return _mm256_mul_ps(a, b);
}

SIMD_INLINE v8 v8_div(v8 a, v8 b)
{
    return _mm256_div_ps(a, b);
}

/* a b + c */
SIMD_INLINE v8 v8_fma(v8 a, v8 b, v8 c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* A NaN in b is the result. */
SIMD_INLINE v8 v8_max(v8 a, v8 b)
{
    return _mm256_max_ps(a, b);
}

SIMD_INLINE v8 v8_min(v8 a, v8 b)
{
    return _mm256_min_ps(a, b);
}

SIMD_INLINE v8 v8_round(v8 v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^n for whole n in [-126, 127] */
SIMD_INLINE v8 v8_power_of_two(v8 n)
{
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

/* The sums of a, b, c and d, each ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). */
SIMD_INLINE void v8_store_sums4(float *out, v8 a, v8 b, v8 c, v8 d)
{
    __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

SIMD_INLINE float v8_sum(v8 v)
{
    float sums[4];
    v8_store_sums4(sums, v, v, v, v);
    return sums[0];
}

SIMD_INLINE float v8_greatest(v8 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

/* These take any alignment. */
SIMD_INLINE v8 v8_load_f32(const void *p)
{
    return _mm256_castsi256_ps(_mm256_loadu_si256(p));
}

SIMD_INLINE v8 v8_load_bf16(const void *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

SIMD_INLINE v8 v8_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

SIMD_INLINE v8u v8u_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

SIMD_INLINE v8u v8u_set1(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}

SIMD_INLINE v8u v8u_and(v8u a, v8u b)
{
    return _mm256_and_si256(a, b);
}

SIMD_INLINE v8u v8u_shift_right(v8u v, int n)
{
    return _mm256_srli_epi32(v, n);
}

SIMD_INLINE v8u v8u_or(v8u a, v8u b)
{
    return _mm256_or_si256(a, b);
}

SIMD_INLINE v8u v8u_add(v8u a, v8u b)
{
    return _mm256_add_epi32(a, b);
}

SIMD_INLINE v8u v8u_shift_left(v8u v, int n)
{
    return _mm256_slli_epi32(v, n);
}

/* Of values below 2^31. */
SIMD_INLINE v8u v8u_max(v8u a, v8u b)
{
    return _mm256_max_epi32(a, b);
}

SIMD_INLINE void v8u_store(void *p, v8u v)
{
    _mm256_storeu_si256(p, v);
}

SIMD_INLINE v8u v8_bits(v8 v)
{
    return _mm256_castps_si256(v);
}

SIMD_INLINE v8 v8_from_bits(v8u v)
{
    return _mm256_castsi256_ps(v);
}

/* Rounded to the nearest, ties to even; negative ones in two's complement. */
SIMD_INLINE v8u v8_to_int(v8 v)
{
    return _mm256_cvtps_epi32(v);
}

/* All lanes the 32 bits at p. */
SIMD_INLINE v8u v8u_set1_from(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* Lanes 0 4 1 5 2 6 3 7, as 16-bit integers: of each the low half. */
SIMD_INLINE void v8u_store_pairs(int16_t *to, v8u v)
{
    __m128i high = _mm_slli_epi32(_mm256_extracti128_si256(v, 1), 16);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_blend_epi16(_mm256_castsi256_si128(v), high, 0xaa));
}

/* The low halves, as 16-bit integers, of values that fit them. */
SIMD_INLINE void v8u_store_low_halves(int16_t *to, v8u v)
{
    _mm_storeu_si128((__m128i *)(void *)to,
                     _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

/* The low halves of `low` and, above them, those of `high`. */
SIMD_INLINE v8u v8u_join_halves(v8u low, v8u high)
{
    return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}

/* `bits` bits of each of sixteen 16-bit words, from bit `from` moved to `to`; the others are 0. */
SIMD_INLINE v8u v16_field(v8u words, int from, int to, int bits)
{
    v8u moved = from > to ? _mm256_srli_epi16(words, from - to)
                          : (from < to ? _mm256_slli_epi16(words, to - from) : words);
    if (from + bits == 16 && to == 0)
        return moved;
    return _mm256_and_si256(moved, _mm256_set1_epi16((short)(((1 << bits) - 1) << to)));
}

/* Eight int32 sums of products of 16-bit integers, words 2 l and 2 l + 1 belonging to lane l. */
typedef __m256i v8sums;

SIMD_INLINE v8sums v8sums_zero(void)
{
    return _mm256_setzero_si256();
}

SIMD_INLINE v8sums v8sums_add(v8sums a, v8sums b)
{
    return _mm256_add_epi32(a, b);
}

/* Of sums that are multiples of 2^n. */
SIMD_INLINE v8sums v8sums_shift_right(v8sums a, int n)
{
    return _mm256_srai_epi32(a, n);
}

#ifdef __AVXVNNI__
SIMD_INLINE v8sums v16_mul_add(v8u a, v8u b, v8sums sums)
{
    return _mm256_dpwssd_avx_epi32(sums, a, b);
}

/* Both sums with q times the two integers at `pair`. */
SIMD_INLINE void v16_mul_add_into(v8sums sums[2], const v8u q[2], const int32_t *pair)
{
    __m256i x;
    __asm__("vpbroadcastd %[pair], %[x]\n\t"
            "%{vex%} vpdpwssd %[x], %[q0], %[sum0]\n\t"
            "%{vex%} vpdpwssd %[x], %[q1], %[sum1]"
            : [sum0] "+x"(sums[0]), [sum1] "+x"(sums[1]), [x] "=&x"(x)
            : [q0] "x"(q[0]), [q1] "x"(q[1]), [pair] "m"(*pair));
}
#else
SIMD_INLINE v8sums v16_mul_add(v8u a, v8u b, v8sums sums)
{
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
    /* Keeps gcc from adding in another order, for which it wants more registers than there are. */
    __asm__("" : "+x"(sums));
    return sums;
}

/* Both sums with q times the two integers at `pair`. Six such pairs of sums, q and the two
 * registers that are used here are all there are; gcc spills some if it may choose an order. */
SIMD_INLINE void v16_mul_add_into(v8sums sums[2], const v8u q[2], const int32_t *pair)
{
    __m256i x, products;
    __asm__("vpbroadcastd %[pair], %[x]\n\t"
            "vpmaddwd %[x], %[q0], %[products]\n\t"
            "vpmaddwd %[x], %[q1], %[x]\n\t"
            "vpaddd %[products], %[sum0], %[sum0]\n\t"
            "vpaddd %[x], %[sum1], %[sum1]"
            : [sum0] "+x"(sums[0]), [sum1] "+x"(sums[1]), [x] "=&x"(x), [products] "=&x"(products)
            : [q0] "x"(q[0]), [q1] "x"(q[1]), [pair] "m"(*pair));
}
#endif

SIMD_INLINE v8 v8_from_sums(v8sums sums)
{
    return _mm256_cvtepi32_ps(sums);
}

/* Of values below 2^31. */
SIMD_INLINE v8 v8_from_v8u(v8u v)
{
    return _mm256_cvtepi32_ps(v);
}

SIMD_INLINE int64_t avx2_load64(const unsigned char *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* 64 integers of `bits` bits at p, out[j] the j-th of each lane's eight. Reads up to 8 - bits bytes
 * beyond them. */
SIMD_INLINE void v8u_unpack64(v8u out[8], const unsigned char *p, int bits)
{
    /* The lanes are spread so that one shuffle brings them in order. */
    __m256i a = _mm256_set_epi64x(avx2_load64(p + 5 * bits), avx2_load64(p + 4 * bits),
                                  avx2_load64(p + bits), avx2_load64(p));
    __m256i b = _mm256_set_epi64x(avx2_load64(p + 7 * bits), avx2_load64(p + 6 * bits),
                                  avx2_load64(p + 3 * bits), avx2_load64(p + 2 * bits));
    const __m256i mask = _mm256_set1_epi32((1 << bits) - 1);
    SIMD_UNROLL
    for (int j = 0; j < 8; j++) {
        __m256 low = _mm256_castsi256_ps(_mm256_srli_epi64(a, j * bits));
        __m256 high = _mm256_castsi256_ps(_mm256_srli_epi64(b, j * bits));
        __m256i joined = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
        out[j] = _mm256_and_si256(joined, mask);
    }
}

/* Rows and columns of 8 x 8 floats exchanged. */
SIMD_INLINE void v8_transpose(v8 rows[8])
{
    v8 pairs[8], quads[8];
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        v8 a = rows[2 * i], b = rows[2 * i + 1];
        pairs[2 * i] = _mm256_unpacklo_ps(a, b);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(a, b);
    }
    SIMD_UNROLL
    for (int half = 0; half < 2; half++) {
        SIMD_UNROLL
        for (int i = 0; i < 2; i++) {
            v8 a = pairs[4 * half + i], b = pairs[4 * half + 2 + i];
            quads[4 * half + 2 * i] = _mm256_shuffle_ps(a, b, 0x44);
            quads[4 * half + 2 * i + 1] = _mm256_shuffle_ps(a, b, 0xee);
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2f128_ps(quads[i], quads[4 + i], 0x20);
        rows[4 + i] = _mm256_permute2f128_ps(quads[i], quads[4 + i], 0x31);
    }
}
