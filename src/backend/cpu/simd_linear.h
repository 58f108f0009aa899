/* Linear layers on eight lanes; included by one file per instruction set.
 *
 * Columns are taken in units of 64. In a unit of an affine weight, lane l holds columns 8 l to
 * 8 l + 7 one after another: with 4 bits that is one 32-bit word per lane, and for every group size
 * all of a lane's columns share one scale. x is brought into the same order once (simd_prepare).
 * Since w = scale q + bias, a unit's part of the dot product is scale * sum(q x), and the biases
 * meet the sums of x over groups at the end. float32 sums in one fixed order for each element of y,
 * on both ways through this file:
 *   - few tokens, 4 bits: straight from the packed words (words_*)
 *   - everything else: a panel of weights becomes floats, then tiles of 4 rows x 3 tokens
 * (panel_*).
 */
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_widen.h"

enum {
    UNIT = 64,
    WORDS_TOKENS = 4,        /* most tokens that read the packed words themselves */
    WORDS_UNITS = 64,        /* units between two conversions of scales */
    WORDS_AHEAD = 16 * 1024, /* bytes of weights that are prefetched, about */
    PANEL_UNITS = 64,        /* rows x units of a row */
    PANEL_ROWS = 16,         /* most rows */
    PANEL_FEW_TOKENS = 8,    /* up to which a panel has long rows, since reading them is the work */
    PANEL_FEW_ROWS = 4,
    DENSE_UNITS = 4, /* of dense weights whose products are summed before they join the total */
    TILE_ROWS = 4,
    TILE_TOKENS = 3,
};

#define LINEAR_LEAST 1e-30f

/* How scratch is used by the panel way. Row r's units are numbers r * units and following. */
struct panel {
    float values[PANEL_UNITS][UNIT];          /* integers, or weights that are dense */
    float scales[PANEL_UNITS][8];             /* of each lane */
    float sums[PANEL_ROWS][LINEAR_TOKENS][8]; /* of y, for each lane */
    int32_t units;
};
_Static_assert(sizeof(struct panel) <= KERNEL_SCRATCH * sizeof(float), "scratch is too small");

/* How scratch is used by the words way. */
struct words {
    float scales[TILE_ROWS][WORDS_UNITS * 2];
    /* Of the first seven nibbles. In memory, because gcc would build constants anew in each unit.
     */
    uint32_t masks[7][8];
};

static inline int32_t units_of(const struct weight_source *w)
{
    return (w->cols + UNIT - 1) / UNIT;
}

static inline const float *prepared_x(const struct linear_job *job, int32_t token)
{
    return job->prepared + (size_t)token * linear_prepared_floats(job->w.cols);
}

static inline const float *prepared_sums(const struct linear_job *job, int32_t token)
{
    return prepared_x(job, token) + (size_t)units_of(&job->w) * UNIT;
}

static inline bool uses_words(const struct linear_job *job)
{
    return job->w.type == WEIGHT_AFFINE && job->w.bits == 4 && job->x.rows <= WORDS_TOKENS;
}

/* ---- x */

static inline void add_group_sums(float *sums, const v8 columns[8], int32_t first, int32_t group)
{
    v8 sum = columns[0];
    for (int j = 1; j < 8; j++)
        sum = v8_add(sum, columns[j]);
    float lanes[8];
    v8_store(lanes, sum);
    for (int32_t lane = 0; lane < 8; lane++)
        sums[(first + 8 * lane) / group] += lanes[lane];
}

/* At most a unit. What 16^6 would make less than float32's normal numbers is 0 on both ways: else a
 * product that lies halfway between two numbers would be rounded by what is left of it. */
static inline void copy_x(float *to, const float *x, int32_t n)
{
    for (int32_t i = 0; i < UNIT && i < n; i++)
        to[i] = x[i] < LINEAR_LEAST && x[i] > -LINEAR_LEAST ? 0.0f : x[i];
}

static inline void prepare_affine(const struct linear_job *job, const float *x, float *to)
{
    int32_t units = units_of(&job->w), group = job->w.group;
    float *sums = to + (size_t)units * UNIT;
    memset(sums, 0, (linear_prepared_floats(job->w.cols) - (size_t)units * UNIT) * sizeof *sums);
    /* A word's j-th nibble is masked out in place, 16^j too great: exact in x's exponent. The last
     * one is shifted down, for it would reach the sign. */
    float factor = uses_words(job) ? 1.0f / 16 : 1.0f;
    for (int32_t u = 0; u < units; u++) {
        float padded[UNIT] = {0};
        copy_x(padded, x + (size_t)u * UNIT, job->w.cols - u * UNIT);
        v8 columns[8];
        v8_transpose64(columns, padded);
        add_group_sums(sums, columns, u * UNIT, group);
        float scale = 1.0f;
        SIMD_UNROLL
        for (int j = 0; j < 8; j++, to += 8) {
            v8_store(to, v8_mul(columns[j], v8_set1(j < 7 ? scale : 1.0f)));
            scale *= factor;
        }
    }
}

static void simd_linear_prepare(const struct linear_job *job, int32_t token)
{
    float *to = job->prepared + (size_t)token * linear_prepared_floats(job->w.cols);
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    size_t cols = (size_t)job->w.cols;
    if (job->w.type == WEIGHT_AFFINE) {
        prepare_affine(job, x, to);
        return;
    }
    memcpy(to, x, cols * sizeof *x);
    memset(to + cols, 0, ((size_t)units_of(&job->w) * UNIT - cols) * sizeof *x);
}

/* ---- scales and biases */

SIMD_INLINE v8 bias_part_type(const struct linear_job *job, int32_t row, const float *sums,
                              enum weight_type type)
{
    int32_t groups = job->w.cols / job->w.group, g = 0;
    size_t first = (size_t)row * (size_t)groups;
    v8 part = v8_zero();
    for (; g + 8 <= groups; g += 8) {
        v8 biases = load_dense_part(job->w.biases, type, first + (size_t)g, 8);
        part = v8_fma(biases, v8_load(sums + g), part);
    }
    if (g < groups) {
        v8 biases = load_dense_part(job->w.biases, type, first + (size_t)g, groups - g);
        part = v8_fma(biases, v8_load(sums + g), part);
    }
    return part;
}

/* sum over the row's groups of bias * sum of x, by lane: what the biases add to y. */
SIMD_INLINE v8 bias_part(const struct linear_job *job, int32_t row, int32_t token)
{
    const float *sums = prepared_sums(job, token);
    if (job->w.scale_type == WEIGHT_BF16)
        return bias_part_type(job, row, sums, WEIGHT_BF16);
    if (job->w.scale_type == WEIGHT_F16)
        return bias_part_type(job, row, sums, WEIGHT_F16);
    return bias_part_type(job, row, sums, WEIGHT_F32);
}

/* `lanes`: the row's sums without the biases of its groups. */
static void store_y(const struct linear_job *job, int32_t row, int32_t token, v8 lanes)
{
    if (job->w.type == WEIGHT_AFFINE)
        lanes = v8_add(lanes, bias_part(job, row, token));
    float bias = job->bias ? job->bias[row] : 0.0f;
    job->y.data[(size_t)token * (size_t)job->y.stride + (size_t)row] = v8_sum(lanes) + bias;
}

/* ---- few tokens, 4 bits */

SIMD_INLINE void store_y4_type(const struct linear_job *job, int32_t row, int32_t token,
                               v8 lanes[4], enum weight_type type)
{
    const float *sums = prepared_sums(job, token);
    SIMD_UNROLL
    for (int r = 0; r < 4; r++)
        lanes[r] = v8_add(lanes[r], bias_part_type(job, row + r, sums, type));
    float *y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)row;
    v8_store_sums4(y, lanes[0], lanes[1], lanes[2], lanes[3]);
    for (int r = 0; r < 4; r++)
        y[r] += job->bias ? job->bias[row + r] : 0.0f;
}

/* store_y for four rows of affine weights from `row` on. Not inlined: gcc would take registers for
 * it from the loop over units. */
static __attribute__((noinline)) void store_y4(const struct linear_job *job, int32_t row,
                                               int32_t token, v8 lanes[4])
{
    if (job->w.scale_type == WEIGHT_BF16)
        store_y4_type(job, row, token, lanes, WEIGHT_BF16);
    else if (job->w.scale_type == WEIGHT_F16)
        store_y4_type(job, row, token, lanes, WEIGHT_F16);
    else
        store_y4_type(job, row, token, lanes, WEIGHT_F32);
}

/* The scale of each lane in unit u. `scales` starts at the row's scale for unit 0. */
SIMD_INLINE v8 lane_scales(const float *scales, int32_t u, int32_t group)
{
    if (group == 32)
        return v8_load_halves(scales + 2 * u);
    return v8_set1(scales[group == 64 ? u : u / 2]);
}

/* One unit of n_rows rows: acc += scale * sum(q x). packed: the unit's 8 words of the first row;
 * u: its number in words->scales. */
SIMD_INLINE void words_unit(v8 acc[TILE_ROWS][WORDS_TOKENS], const struct words *words, int32_t u,
                            const unsigned char *packed, size_t row_bytes,
                            const float *const x[WORDS_TOKENS], int32_t group, int n_rows,
                            int n_tokens)
{
    v8u packed_rows[TILE_ROWS];
    v8 sums[TILE_ROWS][WORDS_TOKENS];
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        packed_rows[r] = v8u_load(packed + (size_t)r * row_bytes);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            sums[r][t] = v8_zero();
    }
    SIMD_UNROLL
    for (int j = 0; j < 8; j++) {
        v8u mask = v8u_load(words->masks[j < 7 ? j : 0]);
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            v8u q = j < 7 ? v8u_and(packed_rows[r], mask) : v8u_shift_right(packed_rows[r], 28);
            v8 value = v8_from_v8u(q);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++)
                sums[r][t] = v8_fma(value, v8_load(x[t] + 8 * j), sums[r][t]);
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        v8 scale = lane_scales(words->scales[r], u, group);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            acc[r][t] = v8_fma(sums[r][t], scale, acc[r][t]);
    }
}

/* The last unit of rows whose columns end in the middle of it: groups of 32. */
SIMD_INLINE void words_half_unit(v8 acc[TILE_ROWS][WORDS_TOKENS], const struct words *words,
                                 int32_t u, const unsigned char *packed, size_t row_bytes,
                                 const float *const x[WORDS_TOKENS], int32_t group, int n_rows,
                                 int n_tokens)
{
    unsigned char padded[TILE_ROWS][32] = {{0}};
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++)
        memcpy(padded[r], packed + (size_t)r * row_bytes, 16);
    words_unit(acc, words, u, padded[0], sizeof padded[0], x, group, n_rows, n_tokens);
}

/* Units [first, end) of rows [row, row + n_rows). */
SIMD_INLINE void words_units(const struct linear_job *job, v8 acc[TILE_ROWS][WORDS_TOKENS],
                             const struct words *words, int32_t row, int32_t first, int32_t end,
                             int32_t group, int n_rows, int n_tokens)
{
    size_t row_bytes = affine_row_bytes(&job->w), block = row_bytes * (size_t)n_rows;
    size_t ahead = (WORDS_AHEAD + block - 1) / block * block;
    const unsigned char *at =
        (const unsigned char *)job->w.data + (size_t)row * row_bytes + (size_t)first * 32;
    const float *x[WORDS_TOKENS] = {0};
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        x[t] = prepared_x(job, t) + (size_t)first * UNIT;
    int32_t whole = end * UNIT <= job->w.cols ? end - first : end - first - 1, u = 0;
    /* Two units are a cache line of each row; with more tokens gcc has no registers for that. */
    for (; n_tokens == 1 && u + 2 <= whole; u += 2) {
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            __builtin_prefetch(at + ahead + (size_t)r * row_bytes, 0, 2);
        }
        SIMD_UNROLL
        for (int k = 0; k < 2; k++) {
            words_unit(acc, words, u + k, at, row_bytes, x, group, n_rows, n_tokens);
            at += 32;
            x[0] += UNIT;
        }
    }
    for (; n_tokens > 1 && u < whole; u++) {
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            __builtin_prefetch(at + ahead + (size_t)r * row_bytes, 0, 2);
        }
        words_unit(acc, words, u, at, row_bytes, x, group, n_rows, n_tokens);
        at += 32;
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            x[t] += UNIT;
    }
    if (u < whole) {
        words_unit(acc, words, u, at, row_bytes, x, group, n_rows, n_tokens);
        at += 32;
        x[0] += UNIT;
    }
    if (whole < end - first)
        words_half_unit(acc, words, whole, at, row_bytes, x, group, n_rows, n_tokens);
}

static void prefetch_range(const void *data, size_t first, size_t n)
{
    const char *at = (const char *)data + first;
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch(at + i);
}

/* The scales and biases of the n rows from `row` on. */
static void prefetch_scales(const struct weight_source *w, int32_t row, int32_t n)
{
    size_t row_bytes = (size_t)(w->cols / w->group) * dense_size(w->scale_type);
    prefetch_range(w->scales, (size_t)row * row_bytes, (size_t)n * row_bytes);
    prefetch_range(w->biases, (size_t)row * row_bytes, (size_t)n * row_bytes);
}

SIMD_INLINE void words_rows(const struct linear_job *job, struct words *words, int32_t row,
                            int32_t group, int n_rows, int n_tokens)
{
    v8 acc[TILE_ROWS][WORDS_TOKENS];
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            acc[r][t] = v8_zero();
    }
    prefetch_scales(&job->w, row + n_rows, n_rows);
    int32_t units = units_of(&job->w), groups = job->w.cols / group;
    for (int32_t first = 0; first < units; first += WORDS_UNITS) {
        int32_t end = units - first < WORDS_UNITS ? units : first + WORDS_UNITS;
        int32_t group0 = first * UNIT / group;
        int32_t n = (end * UNIT + group - 1) / group - group0;
        if (n > groups - group0)
            n = groups - group0;
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++)
            widen(words->scales[r], job->w.scales, job->w.scale_type,
                  (size_t)(row + r) * (size_t)groups + (size_t)group0, n);
        words_units(job, acc, words, row, first, end, group, n_rows, n_tokens);
    }
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        v8 lanes[TILE_ROWS];
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++)
            lanes[r] = acc[r][t];
        if (n_rows == TILE_ROWS) {
            store_y4(job, row, t, lanes);
            continue;
        }
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++)
            store_y(job, row + r, t, lanes[r]);
    }
}

SIMD_INLINE void words_tokens(const struct linear_job *job, int32_t first, int32_t n,
                              float *scratch, int32_t group, int n_tokens)
{
    struct words *words = (struct words *)scratch;
    for (int j = 0; j < 7; j++)
        for (int lane = 0; lane < 8; lane++)
            words->masks[j][lane] = 15u << 4 * j;
    const int n_rows = n_tokens < 3 ? TILE_ROWS : 2; /* as many as registers hold */
    int32_t row = first;
    for (; row + n_rows <= first + n; row += n_rows)
        words_rows(job, words, row, group, n_rows, n_tokens);
    for (; row < first + n; row++)
        words_rows(job, words, row, group, 1, n_tokens);
}

SIMD_INLINE void words_group(const struct linear_job *job, int32_t first, int32_t n, float *scratch,
                             int32_t group)
{
    if (job->x.rows == 1)
        words_tokens(job, first, n, scratch, group, 1);
    else if (job->x.rows == 2)
        words_tokens(job, first, n, scratch, group, 2);
    else if (job->x.rows == 3)
        words_tokens(job, first, n, scratch, group, 3);
    else
        words_tokens(job, first, n, scratch, group, WORDS_TOKENS);
}

static void words_linear(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (job->w.group == 32)
        words_group(job, first, n, scratch, 32);
    else if (job->w.group == 64)
        words_group(job, first, n, scratch, 64);
    else
        words_group(job, first, n, scratch, 128);
}

/* ---- panels */

static void unpack_unit(float *to, const unsigned char *packed, int32_t bits)
{
    switch (bits) {
    case 2:
        v8_unpack64(to, packed, 2);
        return;
    case 3:
        v8_unpack64(to, packed, 3);
        return;
    case 4:
        v8_unpack64(to, packed, 4);
        return;
    case 5:
        v8_unpack64(to, packed, 5);
        return;
    case 6:
        v8_unpack64(to, packed, 6);
        return;
    default:
        v8_unpack64(to, packed, 8);
        return;
    }
}

/* Units [first, first + n) of a row: integers and the scale of each lane. */
static void panel_affine_row(const struct weight_source *w, int32_t row, int32_t first, int32_t n,
                             float *values, float (*scales)[8])
{
    size_t unit_bytes = (size_t)w->bits * 8;
    const unsigned char *packed =
        (const unsigned char *)w->data + (size_t)row * affine_row_bytes(w);
    size_t groups = (size_t)(w->cols / w->group), row_groups = (size_t)row * groups;
    for (int32_t u = first; u < first + n; u++, values += UNIT, scales++) {
        const unsigned char *at = packed + (size_t)u * unit_bytes;
        unsigned char padded[UNIT + 8] = {0};
        if ((u + 1) * UNIT >= w->cols) { /* unpacking reads beyond a unit: not at the row's end */
            memcpy(padded, at, (size_t)(w->cols - u * UNIT) / 8 * (size_t)w->bits);
            at = padded;
        }
        unpack_unit(values, at, w->bits);
        size_t group = (size_t)(u * UNIT / w->group),
               next = (size_t)(u * UNIT + 32) / (size_t)w->group;
        float halves[2] = {dense_at(w->scales, w->scale_type, row_groups + group), 0.0f};
        if (next < groups)
            halves[1] = dense_at(w->scales, w->scale_type, row_groups + next);
        v8_store(*scales, v8_load_halves(halves));
    }
}

/* Units [first, first + n) of a row of dense weights, zeros beyond its end. */
static void panel_dense_row(const struct weight_source *w, int32_t row, int32_t first, int32_t n,
                            float *values)
{
    int32_t start = first * UNIT, end = (first + n) * UNIT;
    if (end > w->cols)
        end = w->cols;
    size_t at = (size_t)row * (size_t)w->cols + (size_t)start;
    int32_t i = 0;
    for (; i + 8 <= end - start; i += 8)
        v8_store(values + i, load_dense_part(w->data, w->type, at + (size_t)i, 8));
    for (; i < n * UNIT; i += 8) {
        int32_t left = end - start - i;
        v8 part = left > 0 ? load_dense_part(w->data, w->type, at + (size_t)i, left) : v8_zero();
        v8_store(values + i, part);
    }
}

static void panel_fill(struct panel *panel, const struct weight_source *w, int32_t row,
                       int32_t n_rows, int32_t first, int32_t n)
{
    for (int32_t r = 0; r < n_rows; r++) {
        if (w->type == WEIGHT_AFFINE)
            panel_affine_row(w, row + r, first, n, panel->values[r * panel->units],
                             &panel->scales[r * panel->units]);
        else
            panel_dense_row(w, row + r, first, n, panel->values[r * panel->units]);
    }
}

/* n vectors of each of n_rows rows of weights times those of n_tokens rows of x. */
SIMD_INLINE void tile_dot(v8 sums[TILE_ROWS][TILE_TOKENS], const float *values, size_t value_stride,
                          const float *x, size_t x_stride, int32_t n, int n_rows, int n_tokens)
{
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            sums[r][t] = v8_zero();
    }
    for (int32_t i = 0; i < n; i++) {
        v8 columns[TILE_TOKENS];
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            columns[t] = v8_load(x + (size_t)t * x_stride + (size_t)i * 8);
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            v8 value = v8_load(values + (size_t)r * value_stride + (size_t)i * 8);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++)
                sums[r][t] = v8_fma(value, columns[t], sums[r][t]);
        }
    }
}

/* Adds n units of n_rows x n_tokens to the panel's sums. */
SIMD_INLINE void tile(struct panel *panel, bool affine, const float *x, size_t x_stride,
                      int32_t row, int32_t token, int32_t n, int n_rows, int n_tokens)
{
    const int32_t step = affine ? 1 : DENSE_UNITS;
    int32_t first = row * panel->units;
    v8 sums[TILE_ROWS][TILE_TOKENS];
    for (int32_t u = 0; u < n; u += step) {
        int32_t units = n - u < step ? n - u : step;
        tile_dot(sums, panel->values[first + u], (size_t)panel->units * UNIT, x + u * UNIT,
                 x_stride, units * (UNIT / 8), n_rows, n_tokens);
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            v8 scale = affine ? v8_load(panel->scales[first + r * panel->units + u]) : v8_zero();
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                float *total = panel->sums[row + r][token + t];
                v8 old = v8_load(total);
                v8_store(total, affine ? v8_fma(sums[r][t], scale, old) : v8_add(sums[r][t], old));
            }
        }
    }
}

SIMD_INLINE void tiles_of_rows(struct panel *panel, const struct linear_job *job, bool affine,
                               int32_t row, int32_t first, int32_t n, int n_rows)
{
    size_t stride = linear_prepared_floats(job->w.cols);
    int32_t tokens = job->x.rows, t = 0;
    for (; t + TILE_TOKENS <= tokens; t += TILE_TOKENS)
        tile(panel, affine, prepared_x(job, t) + first * UNIT, stride, row, t, n, n_rows,
             TILE_TOKENS);
    const float *x = job->prepared + (size_t)t * stride + (size_t)first * UNIT;
    if (tokens - t == 2)
        tile(panel, affine, x, stride, row, t, n, n_rows, 2);
    else if (tokens - t == 1)
        tile(panel, affine, x, stride, row, t, n, n_rows, 1);
}

SIMD_INLINE void panel_multiply(struct panel *panel, const struct linear_job *job, bool affine,
                                int32_t n_rows, int32_t first, int32_t n)
{
    int32_t row = 0;
    for (; row + TILE_ROWS <= n_rows; row += TILE_ROWS)
        tiles_of_rows(panel, job, affine, row, first, n, TILE_ROWS);
    for (; row < n_rows; row++)
        tiles_of_rows(panel, job, affine, row, first, n, 1);
}

static void panel_rows(const struct linear_job *job, struct panel *panel, int32_t row,
                       int32_t n_rows)
{
    for (int32_t r = 0; r < n_rows; r++)
        memset(panel->sums[r], 0, (size_t)job->x.rows * sizeof panel->sums[r][0]);
    int32_t units = units_of(&job->w);
    for (int32_t first = 0; first < units; first += panel->units) {
        int32_t n = units - first < panel->units ? units - first : panel->units;
        panel_fill(panel, &job->w, row, n_rows, first, n);
        if (job->w.type == WEIGHT_AFFINE)
            panel_multiply(panel, job, true, n_rows, first, n);
        else
            panel_multiply(panel, job, false, n_rows, first, n);
    }
    for (int32_t r = 0; r < n_rows; r++)
        for (int32_t t = 0; t < job->x.rows; t++)
            store_y(job, row + r, t, v8_load(panel->sums[r][t]));
}

static void simd_linear_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (uses_words(job)) {
        words_linear(job, first, n, scratch);
        return;
    }
    struct panel *panel = (struct panel *)scratch;
    int32_t rows = job->x.rows <= PANEL_FEW_TOKENS ? PANEL_FEW_ROWS : PANEL_ROWS;
    panel->units = PANEL_UNITS / rows;
    for (int32_t row = first; row < first + n; row += rows)
        panel_rows(job, panel, row, first + n - row < rows ? first + n - row : rows);
}
