#include "media/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum {
    MAX_SIDE = 65535,
    CHANNELS = 3,
    /* Weights are integers of 22 fractional bits: 32, less 8 of the sample, less 2 of headroom for
     * the overshoot of bicubic sums. */
    FRACTION_BITS = 32 - 8 - 2,
};

/* For one direction: which source samples make each output sample, and how much of each. */
struct kernel {
    int32_t width;    /* weights reserved per output sample */
    int32_t *first;   /* [n] index of the first source sample */
    int32_t *count;   /* [n] source samples in use, at most width */
    int32_t *weights; /* [n][width] */
};

/* Keys' cubic with a = -0.5, in the order of operations that Pillow's results show. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static void kernel_free(struct kernel *k)
{
    free(k->first);
    free(k->count);
    free(k->weights);
    *k = (struct kernel){0};
}

static int kernel_alloc(struct kernel *k, int32_t n, struct vlmd_error *err)
{
    size_t bytes;
    if (!checked_mul3((size_t)n, (size_t)k->width, sizeof *k->weights, &bytes))
        return err_set(err, VLMD_TOO_LARGE, NULL, "resizing needs more than can be addressed");
    k->first = calloc((size_t)n, sizeof *k->first);
    k->count = calloc((size_t)n, sizeof *k->count);
    k->weights = calloc(1, bytes);
    if (k->first && k->count && k->weights)
        return 0;
    kernel_free(k);
    return err_no_memory(err, bytes);
}

/* Rounds half away from zero. */
static int32_t to_fixed(double weight)
{
    return (int32_t)(weight * (1 << FRACTION_BITS) + (weight < 0 ? -0.5 : 0.5));
}

/* The weights of n output samples over `in` source samples. `real` has room for k->width doubles.
 */
static void kernel_fill(struct kernel *k, int32_t in, int32_t n, double *real)
{
    double scale = (double)in / n;
    double stretch = fmax(scale, 1); /* shrinking widens the filter: that is the antialiasing */
    double reach = 2 * stretch;
    double shrink = 1 / stretch;
    for (int32_t i = 0; i < n; i++) {
        double centre = (i + 0.5) * scale;
        int32_t first = (int32_t)(centre - reach + 0.5);
        int32_t end = (int32_t)(centre + reach + 0.5);
        first = first < 0 ? 0 : first;
        end = end > in ? in : end;
        double sum = 0;
        for (int32_t j = first; j < end; j++) {
            real[j - first] = bicubic((j - centre + 0.5) * shrink);
            sum += real[j - first];
        }
        int32_t *weights = k->weights + (size_t)i * (size_t)k->width;
        for (int32_t j = 0; j < end - first; j++)
            weights[j] = to_fixed(sum != 0 ? real[j] / sum : real[j]);
        k->first[i] = first;
        k->count[i] = end - first;
    }
}

static int kernel_make(struct kernel *k, int32_t in, int32_t n, struct vlmd_error *err)
{
    double reach = 2 * fmax((double)in / n, 1);
    *k = (struct kernel){.width = (int32_t)ceil(reach) * 2 + 1};
    if (kernel_alloc(k, n, err) < 0)
        return -1;
    double *real = calloc((size_t)k->width, sizeof *real);
    if (!real) {
        kernel_free(k);
        return err_no_memory(err, (size_t)k->width * sizeof *real);
    }
    kernel_fill(k, in, n, real);
    free(real);
    return 0;
}

static uint8_t to_sample(int32_t sum)
{
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_row(const uint8_t *in, const struct kernel *k, int32_t n, uint8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *p = in + (size_t)k->first[i] * CHANNELS;
        const int32_t *weights = k->weights + (size_t)i * (size_t)k->width;
        int32_t r = 1 << (FRACTION_BITS - 1), g = r, b = r;
        for (int32_t j = 0; j < k->count[i]; j++, p += CHANNELS) {
            r += p[0] * weights[j];
            g += p[1] * weights[j];
            b += p[2] * weights[j];
        }
        *out++ = to_sample(r);
        *out++ = to_sample(g);
        *out++ = to_sample(b);
    }
}

/* Output row i from rows of `stride` bytes; sums: one per byte of a row. */
static void resize_column(const uint8_t *in, size_t stride, const struct kernel *k, int32_t i,
                          int32_t *restrict sums, uint8_t *out)
{
    const int32_t *weights = k->weights + (size_t)i * (size_t)k->width;
    for (size_t x = 0; x < stride; x++)
        sums[x] = 1 << (FRACTION_BITS - 1);
    for (int32_t j = 0; j < k->count[i]; j++) {
        const uint8_t *restrict row = in + (size_t)(k->first[i] + j) * stride;
        int32_t weight = weights[j];
        for (size_t x = 0; x < stride; x++)
            sums[x] += row[x] * weight;
    }
    for (size_t x = 0; x < stride; x++)
        out[x] = to_sample(sums[x]);
}

static int resize_width(const uint8_t *in, int32_t in_width, int32_t rows, int32_t width,
                        uint8_t *out, struct vlmd_error *err)
{
    struct kernel k;
    if (kernel_make(&k, in_width, width, err) < 0)
        return -1;
    for (int32_t y = 0; y < rows; y++)
        resize_row(in + (size_t)y * (size_t)in_width * CHANNELS, &k, width,
                   out + (size_t)y * (size_t)width * CHANNELS);
    kernel_free(&k);
    return 0;
}

static int resize_height(const uint8_t *in, int32_t in_height, int32_t height, int32_t width,
                         uint8_t *out, struct vlmd_error *err)
{
    struct kernel k;
    if (kernel_make(&k, in_height, height, err) < 0)
        return -1;
    size_t stride = (size_t)width * CHANNELS;
    int32_t *sums = calloc(stride, sizeof *sums);
    if (!sums) {
        kernel_free(&k);
        return err_no_memory(err, stride * sizeof *sums);
    }
    for (int32_t y = 0; y < height; y++)
        resize_column(in, stride, &k, y, sums, out + (size_t)y * stride);
    free(sums);
    kernel_free(&k);
    return 0;
}

static bool side_is_sane(int32_t side)
{
    return side > 0 && side <= MAX_SIDE;
}

/* Each pass rounds to bytes, so that the order of the passes shows in the result. Since 13.0 Pillow
 * goes by height first when that loses more than twice as many rows as columns are lost. */
static bool height_goes_first(const struct picture *picture, int32_t width, int32_t height)
{
    int32_t rows_lost = picture->height - height, columns_lost = picture->width - width;
    return rows_lost > 0 && rows_lost > 2 * columns_lost;
}

static int two_passes(const struct picture *picture, int32_t width, int32_t height, uint8_t *out,
                      struct vlmd_error *err)
{
    bool height_first = height_goes_first(picture, width, height);
    size_t between_width = (size_t)(height_first ? picture->width : width);
    size_t between_height = (size_t)(height_first ? height : picture->height);
    size_t bytes = between_width * between_height * CHANNELS;
    uint8_t *between = malloc(bytes);
    if (!between)
        return err_no_memory(err, bytes);
    int result;
    if (height_first) {
        result = resize_height(picture->rgb, picture->height, height, picture->width, between, err);
        if (result == 0)
            result = resize_width(between, picture->width, height, width, out, err);
    } else {
        result = resize_width(picture->rgb, picture->width, picture->height, width, between, err);
        if (result == 0)
            result = resize_height(between, picture->height, height, width, out, err);
    }
    free(between);
    return result;
}

int media_resize(const struct picture *picture, int32_t width, int32_t height, uint8_t *out,
                 struct vlmd_error *err)
{
    int32_t in_width = picture->width, in_height = picture->height;
    if (!side_is_sane(in_width) || !side_is_sane(in_height) || !side_is_sane(width) ||
        !side_is_sane(height))
        return err_set(err, VLMD_INVALID, NULL,
                       "cannot resize %d x %d to %d x %d pixels: sides go from 1 to %d", in_width,
                       in_height, width, height, MAX_SIDE);
    if (in_width == width && in_height == height) {
        memcpy(out, picture->rgb, (size_t)width * (size_t)height * CHANNELS);
        return 0;
    }
    if (in_height == height)
        return resize_width(picture->rgb, in_width, in_height, width, out, err);
    if (in_width == width)
        return resize_height(picture->rgb, in_height, height, width, out, err);

    return two_passes(picture, width, height, out, err);
}
