/* Seven products for eight (V. Strassen, Gaussian elimination is not optimal, Numerische Mathematik
 * 13, 1969), where a tower's bf16 weights meet many tokens: an eighth less to multiply, which is
 * nearly all of a tower's time. x and w are cut into quarters, rows and columns in halves, and
 *
 *   M1 = (x11 + x22) (w11 + w22)    M6 = (x21 - x11) (w11 + w21)    M7 = (x12 - x22) (w12 + w22)
 *   M2 = (x21 + x22) w11            M4 = x22 (w12 - w11)
 *   M3 = x11 (w21 - w22)            M5 = (x11 + x12) w22
 *
 *   y of x's first half and w's first rows     M1 + M7 + M4 - M5
 *                 first           second       M3 + M5
 *                 second          first        M2 + M4
 *                 second          second       M1 + M6 - M2 + M3
 *
 * where w21 are the second half of w's rows and the first of its columns. Each product is one of
 * tiles.h, to the last bit, of sums and differences in float32; M6 and M7 go on with the sums that
 * M1 leaves, unit by unit, and the others are added as float32 in the order above.
 *
 * Row t of x's first half shares products with row t of its second, so both must be of one size:
 * the second is multiplied by a power of two (strassen_factor_of) of their squares, fma in 32 lanes
 * and these as in tiles.h, four by four and then eight, and its y is divided by that. A row depends
 * on the other by its rounding: these layers only ever meet whole pictures, and runs are the same
 * for every instruction set and number of threads. The error is about twice that of eight products
 * (docs/FIDELITY.md). */
#pragma once

#include "backend/cpu/tiles.h"

enum {
    STRASSEN_PRODUCTS = 7,
    /* Less gains nothing: weights are made integers 7 times for 4 quarters, x is too, and sums are
     * added. */
    STRASSEN_TOKENS = 768,
    STRASSEN_COLS = 512,
    STRASSEN_ROWS = 256,
    STRASSEN_RUN = 24,      /* what runs are a multiple of: halves, of every width of tiles */
    STRASSEN_LANES = 32,    /* of the squares of a row */
    STRASSEN_GREATEST = 60, /* of factors, binary places either way */
};

/* Quarters: rows, then columns, 0 the first half and 1 the second. */
struct strassen_quarter {
    uint8_t row, col;
};

/* first + sign second; sign 0: first alone. */
struct strassen_factor {
    struct strassen_quarter first, second;
    int8_t sign;
};

enum strassen_number {
    STRASSEN_M1,
    STRASSEN_M2,
    STRASSEN_M3,
    STRASSEN_M4,
    STRASSEN_M5,
    STRASSEN_M6,
    STRASSEN_M7,
};

static const struct strassen_product {
    struct strassen_factor x, w;
} strassen_products[STRASSEN_PRODUCTS] = {
    [STRASSEN_M1] = {{{0, 0}, {1, 1}, 1}, {{0, 0}, {1, 1}, 1}},
    [STRASSEN_M2] = {{{1, 0}, {1, 1}, 1}, {{0, 0}, {0, 0}, 0}},
    [STRASSEN_M3] = {{{0, 0}, {0, 0}, 0}, {{1, 0}, {1, 1}, -1}},
    [STRASSEN_M4] = {{{1, 1}, {1, 1}, 0}, {{0, 1}, {0, 0}, -1}},
    [STRASSEN_M5] = {{{0, 0}, {0, 1}, 1}, {{1, 1}, {1, 1}, 0}},
    [STRASSEN_M6] = {{{1, 0}, {0, 0}, -1}, {{0, 0}, {1, 0}, 1}},
    [STRASSEN_M7] = {{{0, 1}, {1, 1}, -1}, {{0, 1}, {1, 1}, 1}},
};

static inline int32_t strassen_half(int32_t n, int32_t multiple)
{
    return (n + 2 * multiple - 1) / (2 * multiple) * multiple;
}

/* Of the first halves; second ones may have less. */
static inline int32_t strassen_tokens(const struct linear_job *job)
{
    return strassen_half(job->x.rows, 1);
}

static inline int32_t strassen_rows(const struct weight_source *w)
{
    return strassen_half(w->rows, INTEGER_BLOCK);
}

static inline int32_t strassen_cols(const struct weight_source *w)
{
    return strassen_half(w->cols, INTEGER_UNIT);
}

static inline bool strassen_is_for(const struct weight_source *w, int32_t tokens)
{
    return w->type == WEIGHT_BF16 && w->many_rows && tokens >= STRASSEN_TOKENS &&
           w->cols >= STRASSEN_COLS && w->rows >= STRASSEN_ROWS;
}

/* Most tokens of a run. */
static inline int32_t strassen_run(const struct weight_source *w)
{
    return 2 * tiles_tokens(strassen_cols(w));
}

/* What one product takes of linear_job.prepared. */
static inline size_t strassen_product_floats(const struct weight_source *w)
{
    int32_t cols = strassen_cols(w);
    return (size_t)tiles_tokens(cols) * (size_t)integer_units(cols) * TILES_UNIT_WORDS;
}

/* And all, with what the rows of the second half are multiplied by and what their y is. */
static inline size_t strassen_prepared_floats(const struct weight_source *w)
{
    return STRASSEN_PRODUCTS * strassen_product_floats(w) +
           2 * (size_t)tiles_tokens(strassen_cols(w));
}

static inline float *strassen_factors(const struct linear_job *job)
{
    return job->prepared + STRASSEN_PRODUCTS * strassen_product_floats(&job->w);
}

static inline float *strassen_inverses(const struct linear_job *job)
{
    return strassen_factors(job) + tiles_tokens(strassen_cols(&job->w));
}

/* A power of two p, p^2 second being first but for a factor of 4 at most; 1 where that is none. */
static inline float strassen_factor_of(float first, float second)
{
    uint32_t bits[2];
    memcpy(&bits[0], &first, sizeof bits[0]);
    memcpy(&bits[1], &second, sizeof bits[1]);
    if (!tiles_in_range(first) || !tiles_in_range(second))
        return 1.0f;
    int32_t places = ((int32_t)(bits[0] >> 23) - (int32_t)(bits[1] >> 23)) / 2;
    places = places > STRASSEN_GREATEST ? STRASSEN_GREATEST : places;
    places = places < -STRASSEN_GREATEST ? -STRASSEN_GREATEST : places;
    return float_from_bits((uint32_t)(127 + places) << 23);
}

static inline void strassen_set_factor(const struct linear_job *job, int32_t token, float factor)
{
    strassen_factors(job)[token] = factor;
    strassen_inverses(job)[token] = 1.0f / factor;
}

static inline struct tensor strassen_x(const struct linear_job *job, struct strassen_quarter q)
{
    int32_t tokens = strassen_tokens(job), cols = strassen_cols(&job->w);
    int32_t row = q.row * tokens, col = q.col * cols;
    struct tensor rows = tensor_rows(job->x, row, tiles_min(tokens, job->x.rows - row));
    return tensor_columns(rows, col, tiles_min(cols, job->x.cols - col));
}

static inline struct linear_part strassen_w(const struct weight_source *w,
                                            struct strassen_quarter q)
{
    int32_t rows = strassen_rows(w), cols = strassen_cols(w);
    int32_t row = q.row * rows, col = q.col * cols;
    const unsigned char *data = w->data;
    size_t at = (size_t)row * (size_t)w->cols + (size_t)col;
    return (struct linear_part){data + 2 * at, tiles_min(rows, w->rows - row),
                                tiles_min(cols, w->cols - col)};
}

/* The job of one product of job's: the shapes of first halves, x prepared, and what w is in *terms.
 */
static inline struct linear_job
strassen_job(const struct linear_job *job, enum strassen_number number, struct linear_terms *terms)
{
    struct strassen_factor w = strassen_products[number].w;
    struct linear_job product = *job;
    *terms = (struct linear_terms){
        .w = {strassen_w(&job->w, w.first), strassen_w(&job->w, w.second)},
        .sign = w.sign,
        .stride = 2 * (size_t)job->w.cols,
    };
    product.terms = terms;
    product.x.rows = strassen_tokens(job);
    product.x.cols = product.w.cols = strassen_cols(&job->w);
    product.w.rows = strassen_rows(&job->w);
    product.prepared += (size_t)number * strassen_product_floats(&job->w);
    return product;
}

/* The job of one quarter of y: what is left to do is to store its sums. */
static inline struct linear_job strassen_y(const struct linear_job *job, struct strassen_quarter q)
{
    struct linear_job part = *job;
    int32_t tokens = strassen_tokens(job), first = q.row * tokens;
    int32_t row = q.col * strassen_rows(&job->w);
    part.x.rows = tiles_min(tokens, job->x.rows - first);
    part.w.rows = tiles_min(strassen_rows(&job->w), job->w.rows - row);
    part.y = tensor_columns(tensor_rows(job->y, first, part.x.rows), row, part.w.rows);
    part.bias = job->bias ? job->bias + row : NULL;
    part.y_scales = q.row == 1 ? strassen_inverses(job) : NULL;
    return part;
}
