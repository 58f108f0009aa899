/* simd.h in AArch64 NEON: eight lanes are two registers. */
#pragma once

#include <arm_neon.h>

typedef struct {
    float32x4_t a, b;
} v8;

typedef struct {
    uint32x4_t a, b;
} v8u;

SIMD_INLINE v8 v8_set1(float x)
{
    return (v8){vdupq_n_f32(x), vdupq_n_f32(x)};
}

SIMD_INLINE v8 v8_zero(void)
{
    return v8_set1(0.0f);
}

/* p[0] in lanes 0 to 3, p[1] in lanes 4 to 7 */
SIMD_INLINE v8 v8_load_halves(const float *p)
{
    return (v8){vdupq_n_f32(p[0]), vdupq_n_f32(p[1])};
}

SIMD_INLINE v8 v8_load(const float *p)
{
    return (v8){vld1q_f32(p), vld1q_f32(p + 4)};
}

SIMD_INLINE void v8_store(float *p, v8 v)
{
    vst1q_f32(p, v.a);
    vst1q_f32(p + 4, v.b);
}

SIMD_INLINE v8 v8_add(v8 x, v8 y)
{
    return (v8){vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)};
}

SIMD_INLINE v8 v8_sub(v8 x, v8 y)
{
    return (v8){vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b)};
}

SIMD_INLINE v8 v8_mul(v8 x, v8 y)
{
    return (v8){vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)};
}

SIMD_INLINE v8 v8_div(v8 x, v8 y)
{
    return (v8){vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b)};
}

/* x y + z */
SIMD_INLINE v8 v8_fma(v8 x, v8 y, v8 z)
{
    return (v8){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)};
}

/* NaN in, NaN out. */
SIMD_INLINE v8 v8_max(v8 x, v8 y)
{
    return (v8){vmaxq_f32(x.a, y.a), vmaxq_f32(x.b, y.b)};
}

SIMD_INLINE v8 v8_min(v8 x, v8 y)
{
    return (v8){vminq_f32(x.a, y.a), vminq_f32(x.b, y.b)};
}

SIMD_INLINE v8 v8_round(v8 v)
{
    return (v8){vrndnq_f32(v.a), vrndnq_f32(v.b)};
}

SIMD_INLINE float32x4_t neon_power_of_two(float32x4_t n)
{
    int32x4_t exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}

/* 2^n for whole n in [-126, 127] */
SIMD_INLINE v8 v8_power_of_two(v8 n)
{
    return (v8){neon_power_of_two(n.a), neon_power_of_two(n.b)};
}

/* ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) */
SIMD_INLINE float v8_sum(v8 v)
{
    float32x4_t pairs = vpaddq_f32(v.a, v.b);
    float32x4_t quads = vpaddq_f32(pairs, pairs);
    return vgetq_lane_f32(quads, 0) + vgetq_lane_f32(quads, 1);
}

SIMD_INLINE void v8_store_sums4(float *out, v8 p, v8 q, v8 r, v8 s)
{
    float32x4_t low = vpaddq_f32(vpaddq_f32(p.a, q.a), vpaddq_f32(r.a, s.a));
    float32x4_t high = vpaddq_f32(vpaddq_f32(p.b, q.b), vpaddq_f32(r.b, s.b));
    vst1q_f32(out, vaddq_f32(low, high));
}

SIMD_INLINE float v8_greatest(v8 v)
{
    return vmaxvq_f32(vmaxq_f32(v.a, v.b));
}

/* These take any alignment. */
SIMD_INLINE v8 v8_load_f32(const void *p)
{
    const uint8_t *bytes = p;
    return (v8){vreinterpretq_f32_u8(vld1q_u8(bytes)), vreinterpretq_f32_u8(vld1q_u8(bytes + 16))};
}

SIMD_INLINE v8 v8_load_bf16(const void *p)
{
    uint16x8_t half = vreinterpretq_u16_u8(vld1q_u8(p));
    return (v8){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(half), 16)),
                vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(half), 16))};
}

SIMD_INLINE v8 v8_load_f16(const void *p)
{
    float16x8_t half = vreinterpretq_f16_u8(vld1q_u8(p));
    return (v8){vcvt_f32_f16(vget_low_f16(half)), vcvt_f32_f16(vget_high_f16(half))};
}

SIMD_INLINE v8u v8u_load(const void *p)
{
    const uint8_t *bytes = p;
    return (v8u){vreinterpretq_u32_u8(vld1q_u8(bytes)), vreinterpretq_u32_u8(vld1q_u8(bytes + 16))};
}

SIMD_INLINE v8u v8u_set1(uint32_t x)
{
    return (v8u){vdupq_n_u32(x), vdupq_n_u32(x)};
}

SIMD_INLINE v8u v8u_and(v8u x, v8u y)
{
    return (v8u){vandq_u32(x.a, y.a), vandq_u32(x.b, y.b)};
}

SIMD_INLINE v8u v8u_shift_right(v8u v, int n)
{
    int32x4_t left = vdupq_n_s32(-n);
    return (v8u){vshlq_u32(v.a, left), vshlq_u32(v.b, left)};
}

SIMD_INLINE v8u v8u_or(v8u x, v8u y)
{
    return (v8u){vorrq_u32(x.a, y.a), vorrq_u32(x.b, y.b)};
}

SIMD_INLINE v8u v8u_add(v8u x, v8u y)
{
    return (v8u){vaddq_u32(x.a, y.a), vaddq_u32(x.b, y.b)};
}

SIMD_INLINE v8u v8u_shift_left(v8u v, int n)
{
    int32x4_t left = vdupq_n_s32(n);
    return (v8u){vshlq_u32(v.a, left), vshlq_u32(v.b, left)};
}

SIMD_INLINE v8u v8u_max(v8u x, v8u y)
{
    return (v8u){vmaxq_u32(x.a, y.a), vmaxq_u32(x.b, y.b)};
}

SIMD_INLINE void v8u_store(void *p, v8u v)
{
    uint8_t *bytes = p;
    vst1q_u8(bytes, vreinterpretq_u8_u32(v.a));
    vst1q_u8(bytes + 16, vreinterpretq_u8_u32(v.b));
}

SIMD_INLINE v8u v8_bits(v8 v)
{
    return (v8u){vreinterpretq_u32_f32(v.a), vreinterpretq_u32_f32(v.b)};
}

SIMD_INLINE v8 v8_from_bits(v8u v)
{
    return (v8){vreinterpretq_f32_u32(v.a), vreinterpretq_f32_u32(v.b)};
}

/* Rounded to the nearest, ties to even; negative ones in two's complement. */
SIMD_INLINE v8u v8_to_int(v8 v)
{
    return (v8u){vreinterpretq_u32_s32(vcvtnq_s32_f32(v.a)),
                 vreinterpretq_u32_s32(vcvtnq_s32_f32(v.b))};
}

/* All lanes the 32 bits at p. */
SIMD_INLINE v8u v8u_set1_from(const int16_t *p)
{
    uint32_t pair;
    memcpy(&pair, p, sizeof pair);
    return v8u_set1(pair);
}

/* Lanes 0 4 1 5 2 6 3 7, as 16-bit integers: of each the low half. */
SIMD_INLINE void v8u_store_pairs(int16_t *to, v8u v)
{
    vst1q_s16(to, vreinterpretq_s16_u32(vsliq_n_u32(v.a, v.b, 16)));
}

/* The low halves, as 16-bit integers, of values that fit them. */
SIMD_INLINE void v8u_store_low_halves(int16_t *to, v8u v)
{
    vst1q_s16(to, vreinterpretq_s16_u16(vcombine_u16(vmovn_u32(v.a), vmovn_u32(v.b))));
}

/* The low halves of `low` and, above them, those of `high`. */
SIMD_INLINE v8u v8u_join_halves(v8u low, v8u high)
{
    return (v8u){vsliq_n_u32(low.a, high.a, 16), vsliq_n_u32(low.b, high.b, 16)};
}

SIMD_INLINE uint32x4_t neon_field(uint32x4_t words, int from, int to, int bits)
{
    uint16x8_t moved = vshlq_u16(vreinterpretq_u16_u32(words), vdupq_n_s16((int16_t)(to - from)));
    uint16_t mask = (uint16_t)(((1u << bits) - 1) << to);
    return vreinterpretq_u32_u16(vandq_u16(moved, vdupq_n_u16(mask)));
}

/* `bits` bits of each of sixteen 16-bit words, from bit `from` moved to `to`; the others are 0. */
SIMD_INLINE v8u v16_field(v8u words, int from, int to, int bits)
{
    return (v8u){neon_field(words.a, from, to, bits), neon_field(words.b, from, to, bits)};
}

/* Int32 sums of products of 16-bit integers, one for each of sixteen words; words 2 l and 2 l + 1
 * belong to lane l. */
typedef struct {
    int32x4_t v[4];
} v8sums;

SIMD_INLINE v8sums v8sums_zero(void)
{
    int32x4_t zero = vdupq_n_s32(0);
    return (v8sums){{zero, zero, zero, zero}};
}

SIMD_INLINE v8sums v8sums_add(v8sums x, v8sums y)
{
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        x.v[i] = vaddq_s32(x.v[i], y.v[i]);
    return x;
}

/* Of sums that are multiples of 2^n. */
SIMD_INLINE v8sums v8sums_shift_right(v8sums x, int n)
{
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        x.v[i] = vshlq_s32(x.v[i], vdupq_n_s32(-n));
    return x;
}

SIMD_INLINE v8sums v16_mul_add(v8u x, v8u y, v8sums sums)
{
    int16x8_t xa = vreinterpretq_s16_u32(x.a), xb = vreinterpretq_s16_u32(x.b);
    int16x8_t ya = vreinterpretq_s16_u32(y.a), yb = vreinterpretq_s16_u32(y.b);
    sums.v[0] = vmlal_s16(sums.v[0], vget_low_s16(xa), vget_low_s16(ya));
    sums.v[1] = vmlal_high_s16(sums.v[1], xa, ya);
    sums.v[2] = vmlal_s16(sums.v[2], vget_low_s16(xb), vget_low_s16(yb));
    sums.v[3] = vmlal_high_s16(sums.v[3], xb, yb);
    return sums;
}

/* Both sums with q times the two integers at `pair`. */
SIMD_INLINE void v16_mul_add_into(v8sums sums[2], const v8u q[2], const int32_t *pair)
{
    v8u x = v8u_set1((uint32_t)*pair);
    sums[0] = v16_mul_add(q[0], x, sums[0]);
    sums[1] = v16_mul_add(q[1], x, sums[1]);
}

SIMD_INLINE v8 v8_from_sums(v8sums sums)
{
    return (v8){vcvtq_f32_s32(vpaddq_s32(sums.v[0], sums.v[1])),
                vcvtq_f32_s32(vpaddq_s32(sums.v[2], sums.v[3]))};
}

SIMD_INLINE v8 v8_from_v8u(v8u v)
{
    return (v8){vcvtq_f32_u32(v.a), vcvtq_f32_u32(v.b)};
}

SIMD_INLINE uint64x2_t neon_load_pair(const unsigned char *p, const unsigned char *q)
{
    return vcombine_u64(vreinterpret_u64_u8(vld1_u8(p)), vreinterpret_u64_u8(vld1_u8(q)));
}

SIMD_INLINE uint32x4_t neon_narrow(uint64x2_t p, uint64x2_t q, int shift)
{
    int64x2_t left = vdupq_n_s64(-shift);
    return vcombine_u32(vmovn_u64(vshlq_u64(p, left)), vmovn_u64(vshlq_u64(q, left)));
}

/* 64 integers of `bits` bits at p, out[j] the j-th of each lane's eight. Reads up to 8 - bits bytes
 * beyond them. */
SIMD_INLINE void v8u_unpack64(v8u out[8], const unsigned char *p, int bits)
{
    uint64x2_t pairs[4];
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        pairs[i] = neon_load_pair(p + 2 * i * bits, p + (2 * i + 1) * bits);
    const v8u mask = v8u_set1((1u << bits) - 1);
    SIMD_UNROLL
    for (int j = 0; j < 8; j++) {
        v8u joined = {neon_narrow(pairs[0], pairs[1], j * bits),
                      neon_narrow(pairs[2], pairs[3], j * bits)};
        out[j] = v8u_and(joined, mask);
    }
}

/* Rows and columns of 4 x 4 floats exchanged. */
SIMD_INLINE void neon_transpose(float32x4_t rows[4])
{
    float32x4_t a = vtrn1q_f32(rows[0], rows[1]), b = vtrn2q_f32(rows[0], rows[1]);
    float32x4_t c = vtrn1q_f32(rows[2], rows[3]), d = vtrn2q_f32(rows[2], rows[3]);
    rows[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
    rows[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
    rows[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
    rows[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}

/* Rows and columns of 8 x 8 floats exchanged. */
SIMD_INLINE void v8_transpose(v8 rows[8])
{
    float32x4_t quarters[2][2][4]; /* of rows and of columns */
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        quarters[i / 4][0][i % 4] = rows[i].a;
        quarters[i / 4][1][i % 4] = rows[i].b;
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        neon_transpose(quarters[i / 2][i % 2]);
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        rows[i] = (v8){quarters[0][i / 4][i % 4], quarters[1][i / 4][i % 4]};
}
