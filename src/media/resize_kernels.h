/* The two inner loops of resizing, private to src/media: plain C, and what an instruction set makes
 * of them. All give the same bytes. */
#pragma once

#include <stdint.h>

#include "base/err.h"

enum {
    RESIZE_CHANNELS = 3,
    /* Weights are integers of 22 fractional bits: 32, less 8 of the sample, less 2 of headroom for
     * the overshoot of bicubic sums. */
    RESIZE_FRACTION_BITS = 32 - 8 - 2,
    RESIZE_GROUP = 4,     /* weights come in groups of so many, the last padded with zeros */
    RESIZE_LOW_BITS = 11, /* of a weight's lower half */
    RESIZE_PADDING = 32,  /* bytes that may be read behind a row's end */
};

/* For one direction: which source samples make each output sample, and how much of each. */
struct resize_weights {
    int32_t width;    /* weights reserved per output sample: a multiple of RESIZE_GROUP */
    int32_t *first;   /* [n] index of the first source sample */
    int32_t *count;   /* [n] source samples in use, at most width */
    int32_t *weights; /* [n][width] */
    /* The same as 16-bit halves, weight = upper * 2^RESIZE_LOW_BITS + lower, in the order that
     * multiply-and-add instructions want: for each group upper 0 to 3, then lower 0 to 3. */
    int16_t *halves; /* [n][width / RESIZE_GROUP][2][RESIZE_GROUP] */
};

/* The weights of n output samples over `in` source samples, to be freed. */
int resize_weights_make(struct resize_weights *w, int32_t in, int32_t n, struct vlmd_error *err);
void resize_weights_free(struct resize_weights *w);

struct resize_kernels {
    /* n pixels of out from a row of pixels, of which up to RESIZE_PADDING bytes more may be read.
     */
    void (*across)(const uint8_t *in, const struct resize_weights *w, int32_t n, uint8_t *out);
    /* Output row i of `bytes` bytes from rows[0..count): the source rows from first[i] on. All rows
     * may be read up to RESIZE_PADDING bytes behind their end. */
    void (*down)(const uint8_t *const *rows, const struct resize_weights *w, int32_t i,
                 int32_t bytes, uint8_t *out);
};

static inline uint8_t resize_to_sample(int32_t sum)
{
    int32_t value = sum >> RESIZE_FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

extern const struct resize_kernels resize_kernels_c;
/* NULL where the compiler's target or this processor has none. */
const struct resize_kernels *resize_kernels_avx2(void);
const struct resize_kernels *resize_kernels_neon(void);
