/* The inner loops of resizing in NEON (AArch64): samples widened to 32 bits times whole weights, as
 * plain C multiplies them, four at a time. */
#include "media/resize_kernels.h"

#include <stddef.h>

#if defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#include <string.h>

static int32x4_t low(uint8x8_t x)
{
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(x))));
}

static int32x4_t high(uint8x8_t x)
{
    return vreinterpretq_s32_u32(vmovl_high_u16(vmovl_u8(x)));
}

static uint8_t to_sample(int32x4_t sum)
{
    return resize_to_sample(vaddvq_s32(sum) + (1 << (RESIZE_FRACTION_BITS - 1)));
}

/* Eight pixels are loaded for each group of four weights, or for two: the padding allows it, and
 * weights behind `count` are 0. */
static void across_neon(const uint8_t *in, const struct resize_weights *w, int32_t n, uint8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *p = in + (size_t)w->first[i] * RESIZE_CHANNELS;
        const int32_t *weights = w->weights + (size_t)i * (size_t)w->width;
        int32x4_t r = vdupq_n_s32(0), g = r, b = r;
        for (int32_t j = 0; j < w->count[i]; j += 2 * RESIZE_GROUP) {
            uint8x8x3_t x = vld3_u8(p + (size_t)j * RESIZE_CHANNELS);
            int32x4_t first = vld1q_s32(weights + j);
            r = vmlaq_s32(r, low(x.val[0]), first);
            g = vmlaq_s32(g, low(x.val[1]), first);
            b = vmlaq_s32(b, low(x.val[2]), first);
            if (j + RESIZE_GROUP >= w->width)
                break;
            int32x4_t second = vld1q_s32(weights + j + RESIZE_GROUP);
            r = vmlaq_s32(r, high(x.val[0]), second);
            g = vmlaq_s32(g, high(x.val[1]), second);
            b = vmlaq_s32(b, high(x.val[2]), second);
        }
        *out++ = to_sample(r);
        *out++ = to_sample(g);
        *out++ = to_sample(b);
    }
}

static uint8x8_t to_samples(int32x4_t a, int32x4_t b)
{
    uint16x4_t first = vqmovun_s32(vshrq_n_s32(a, RESIZE_FRACTION_BITS));
    uint16x4_t second = vqmovun_s32(vshrq_n_s32(b, RESIZE_FRACTION_BITS));
    return vqmovn_u16(vcombine_u16(first, second));
}

static void down_neon(const uint8_t *const *rows, const struct resize_weights *w, int32_t i,
                      int32_t bytes, uint8_t *out)
{
    const int32_t *weights = w->weights + (size_t)i * (size_t)w->width;
    for (int32_t at = 0; at < bytes; at += 16) {
        int32x4_t a = vdupq_n_s32(1 << (RESIZE_FRACTION_BITS - 1)), b = a, c = a, d = a;
        for (int32_t j = 0; j < w->count[i]; j++) {
            uint8x16_t x = vld1q_u8(rows[j] + at);
            a = vmlaq_n_s32(a, low(vget_low_u8(x)), weights[j]);
            b = vmlaq_n_s32(b, high(vget_low_u8(x)), weights[j]);
            c = vmlaq_n_s32(c, low(vget_high_u8(x)), weights[j]);
            d = vmlaq_n_s32(d, high(vget_high_u8(x)), weights[j]);
        }
        uint8x16_t samples = vcombine_u8(to_samples(a, b), to_samples(c, d));
        uint8_t last[16];
        if (bytes - at >= 16) {
            vst1q_u8(out + at, samples);
            continue;
        }
        vst1q_u8(last, samples);
        memcpy(out + at, last, (size_t)(bytes - at));
    }
}

static const struct resize_kernels kernels = {across_neon, down_neon};

const struct resize_kernels *resize_kernels_neon(void)
{
    return &kernels;
}

#else

const struct resize_kernels *resize_kernels_neon(void)
{
    return NULL;
}

#endif
