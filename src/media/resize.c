#include "media/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "media/resize_kernels.h"

enum {
    MAX_SIDE = 65535,
    CHANNELS = RESIZE_CHANNELS,
};

/* ---- weights */

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

void resize_weights_free(struct resize_weights *w)
{
    free(w->first);
    free(w->count);
    free(w->weights);
    free(w->halves);
    *w = (struct resize_weights){0};
}

static int weights_alloc(struct resize_weights *w, int32_t n, struct vlmd_error *err)
{
    size_t bytes;
    if (!checked_mul3((size_t)n, (size_t)w->width, sizeof *w->weights, &bytes))
        return err_set(err, VLMD_TOO_LARGE, NULL, "resizing needs more than can be addressed");
    w->first = calloc((size_t)n, sizeof *w->first);
    w->count = calloc((size_t)n, sizeof *w->count);
    w->weights = calloc(1, bytes);
    w->halves = calloc(1, bytes);
    if (w->first && w->count && w->weights && w->halves)
        return 0;
    resize_weights_free(w);
    return err_no_memory(err, bytes);
}

/* Rounds half away from zero. */
static int32_t to_fixed(double weight)
{
    return (int32_t)(weight * (1 << RESIZE_FRACTION_BITS) + (weight < 0 ? -0.5 : 0.5));
}

static void fill_halves(struct resize_weights *w, int32_t n)
{
    size_t all = (size_t)n * (size_t)w->width;
    for (size_t i = 0; i < all; i++) {
        int16_t *group = w->halves + i / RESIZE_GROUP * RESIZE_GROUP * 2;
        int32_t upper = w->weights[i] >> RESIZE_LOW_BITS;
        group[i % RESIZE_GROUP] = (int16_t)upper;
        group[RESIZE_GROUP + i % RESIZE_GROUP] =
            (int16_t)(w->weights[i] - upper * (1 << RESIZE_LOW_BITS));
    }
}

/* The weights of n output samples over `in` source samples. `real` has room for w->width doubles.
 */
static void weights_fill(struct resize_weights *w, int32_t in, int32_t n, double *real)
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
        int32_t *weights = w->weights + (size_t)i * (size_t)w->width;
        for (int32_t j = 0; j < end - first; j++)
            weights[j] = to_fixed(sum != 0 ? real[j] / sum : real[j]);
        w->first[i] = first;
        w->count[i] = end - first;
    }
    fill_halves(w, n);
}

int resize_weights_make(struct resize_weights *w, int32_t in, int32_t n, struct vlmd_error *err)
{
    double reach = 2 * fmax((double)in / n, 1);
    int32_t most = (int32_t)ceil(reach) * 2 + 1;
    *w = (struct resize_weights){.width = (most + RESIZE_GROUP - 1) / RESIZE_GROUP * RESIZE_GROUP};
    if (weights_alloc(w, n, err) < 0)
        return -1;
    double *real = calloc((size_t)w->width, sizeof *real);
    if (!real) {
        size_t bytes = (size_t)w->width * sizeof *real;
        resize_weights_free(w);
        return err_no_memory(err, bytes);
    }
    weights_fill(w, in, n, real);
    free(real);
    return 0;
}

/* ---- plain C */

static void across_c(const uint8_t *in, const struct resize_weights *w, int32_t n, uint8_t *out)
{
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *p = in + (size_t)w->first[i] * CHANNELS;
        const int32_t *weights = w->weights + (size_t)i * (size_t)w->width;
        int32_t r = 1 << (RESIZE_FRACTION_BITS - 1), g = r, b = r;
        for (int32_t j = 0; j < w->count[i]; j++, p += CHANNELS) {
            r += p[0] * weights[j];
            g += p[1] * weights[j];
            b += p[2] * weights[j];
        }
        *out++ = resize_to_sample(r);
        *out++ = resize_to_sample(g);
        *out++ = resize_to_sample(b);
    }
}

static void down_c(const uint8_t *const *rows, const struct resize_weights *w, int32_t i,
                   int32_t bytes, uint8_t *out)
{
    enum {
        BLOCK = 256
    };
    const int32_t *weights = w->weights + (size_t)i * (size_t)w->width;
    int32_t sums[BLOCK];
    for (int32_t at = 0; at < bytes; at += BLOCK) {
        int32_t n = bytes - at < BLOCK ? bytes - at : BLOCK;
        for (int32_t x = 0; x < n; x++)
            sums[x] = 1 << (RESIZE_FRACTION_BITS - 1);
        for (int32_t j = 0; j < w->count[i]; j++)
            for (int32_t x = 0; x < n; x++)
                sums[x] += rows[j][at + x] * weights[j];
        for (int32_t x = 0; x < n; x++)
            out[at + x] = resize_to_sample(sums[x]);
    }
}

const struct resize_kernels resize_kernels_c = {across_c, down_c};

/* ---- rows through both directions */

/* Source rows that come too early or too late for an output row are not kept: the last `n_kept`
 * ones are, each at its number modulo n_kept. */
struct resizer {
    const struct resize_kernels *kernels;
    struct resize_weights across, down; /* width 0: that side stays as it is */
    bool height_first;
    int32_t in_width, in_height, width, height;
    uint8_t *out;
    int32_t n_taken; /* source rows */
    int32_t n_made;  /* output rows */
    uint8_t *kept;   /* n_kept x stride */
    size_t stride;
    int32_t n_kept;
    const uint8_t **window; /* the rows that make one output row, in order */
    uint8_t *row;           /* width first: the source row; height first: the row between */
};

static bool side_is_sane(int32_t side)
{
    return side > 0 && side <= MAX_SIDE;
}

/* Each pass rounds to bytes, so that the order of the passes shows in the result. Since 13.0 Pillow
 * goes by height first when that loses more than twice as many rows as columns are lost. */
static bool height_goes_first(const struct resizer *r)
{
    int32_t rows_lost = r->in_height - r->height, columns_lost = r->in_width - r->width;
    return r->width != r->in_width && r->height != r->in_height && rows_lost > 0 &&
           rows_lost > 2 * columns_lost;
}

static int allocate(struct resizer *r, struct vlmd_error *err)
{
    size_t in_row = (size_t)r->in_width * CHANNELS + RESIZE_PADDING;
    size_t out_row = (size_t)r->width * CHANNELS + RESIZE_PADDING;
    r->stride = r->height_first ? in_row : out_row;
    r->n_kept = r->down.width < r->in_height ? r->down.width : r->in_height;
    if (r->n_kept > 0) {
        r->kept = calloc((size_t)r->n_kept, r->stride);
        r->window = calloc((size_t)r->n_kept, sizeof *r->window);
    }
    r->row = calloc(1, in_row > out_row ? in_row : out_row);
    if (!r->row || (r->n_kept > 0 && (!r->kept || !r->window)))
        return err_no_memory(err, (size_t)r->n_kept * r->stride);
    return 0;
}

static const struct resize_kernels *best_kernels(void)
{
    const struct resize_kernels *avx2 = resize_kernels_avx2(), *neon = resize_kernels_neon();
    return avx2 ? avx2 : neon ? neon : &resize_kernels_c;
}

struct resizer *resizer_open(int32_t in_width, int32_t in_height, int32_t width, int32_t height,
                             uint8_t *out, struct vlmd_error *err)
{
    if (!side_is_sane(in_width) || !side_is_sane(in_height) || !side_is_sane(width) ||
        !side_is_sane(height)) {
        err_set(err, VLMD_INVALID, NULL,
                "cannot resize %d x %d to %d x %d pixels: sides go from 1 to %d", in_width,
                in_height, width, height, MAX_SIDE);
        return NULL;
    }
    struct resizer *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err, sizeof *r);
        return NULL;
    }
    r->kernels = best_kernels();
    r->in_width = in_width;
    r->in_height = in_height;
    r->width = width;
    r->height = height;
    r->out = out;
    r->height_first = height_goes_first(r);
    if ((in_width != width && resize_weights_make(&r->across, in_width, width, err) < 0) ||
        (in_height != height && resize_weights_make(&r->down, in_height, height, err) < 0) ||
        allocate(r, err) < 0) {
        resizer_close(r);
        return NULL;
    }
    return r;
}

void resizer_close(struct resizer *r)
{
    if (!r)
        return;
    resize_weights_free(&r->across);
    resize_weights_free(&r->down);
    free(r->kept);
    free(r->window);
    free(r->row);
    free(r);
}

static uint8_t *kept_row(struct resizer *r, int32_t number)
{
    return r->kept + (size_t)(number % r->n_kept) * r->stride;
}

static uint8_t *out_row(struct resizer *r, int32_t number)
{
    return r->out + (size_t)number * (size_t)r->width * CHANNELS;
}

uint8_t *resizer_row(struct resizer *r)
{
    if (r->height_first || (r->n_kept > 0 && r->across.width == 0))
        return kept_row(r, r->n_taken);
    return r->row;
}

/* One row across; the row goes as it is when the width stays. */
static void across(struct resizer *r, const uint8_t *in, uint8_t *out)
{
    if (r->across.width > 0)
        r->kernels->across(in, &r->across, r->width, out);
    else if (in != out)
        memcpy(out, in, (size_t)r->width * CHANNELS);
}

static void make_row(struct resizer *r)
{
    int32_t i = r->n_made++;
    for (int32_t j = 0; j < r->down.count[i]; j++)
        r->window[j] = kept_row(r, r->down.first[i] + j);
    if (!r->height_first) {
        r->kernels->down(r->window, &r->down, i, r->width * CHANNELS, out_row(r, i));
        return;
    }
    r->kernels->down(r->window, &r->down, i, r->in_width * CHANNELS, r->row);
    across(r, r->row, out_row(r, i));
}

void resizer_take(struct resizer *r)
{
    if (r->n_kept == 0) {
        across(r, r->row, out_row(r, r->n_taken++));
        return;
    }
    if (!r->height_first)
        across(r, resizer_row(r), kept_row(r, r->n_taken));
    r->n_taken++;
    while (r->n_made < r->height &&
           r->down.first[r->n_made] + r->down.count[r->n_made] <= r->n_taken)
        make_row(r);
}

int media_resize(const struct picture *picture, int32_t width, int32_t height, uint8_t *out,
                 struct vlmd_error *err)
{
    struct resizer *r = resizer_open(picture->width, picture->height, width, height, out, err);
    if (!r)
        return -1;
    size_t bytes = (size_t)picture->width * CHANNELS;
    for (int32_t y = 0; y < picture->height; y++) {
        memcpy(resizer_row(r), picture->rgb + (size_t)y * bytes, bytes);
        resizer_take(r);
    }
    resizer_close(r);
    return 0;
}
