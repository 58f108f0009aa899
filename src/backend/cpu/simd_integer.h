/* Linear layers with integer activations (integer.h) on eight lanes; included by one file per
 * instruction set, after simd_linear.h. As there, few tokens read the packed 4-bit words, and
 * everything else goes through a panel of unpacked weights, both with the same sums. */
#pragma once

#include "backend/cpu/integer.h"
#include "backend/cpu/simd_linear.h"

enum {
    INTEGER_PANEL_UNITS = 128, /* rows x units of a row */
    INTEGER_PANEL_ROWS = 16,
    INTEGER_PLANES = 4,
    INTEGER_GROUPS = 256, /* whose biases become floats at a time */
    INTEGER_TILE_ROWS = 4,
    INTEGER_TILE_TOKENS = 2,
};

/* A unit of as many rows as a tile has. */
struct integer_unit {
    v8u values[INTEGER_TILE_ROWS][INTEGER_PLANES];
    /* Of the rows, in order, twice; of the unit's second half only with groups of 32. */
    float scales[2][2 * INTEGER_TILE_ROWS];
};

/* How scratch is used by the panel way, in blocks of rows. */
struct integer_panel {
    struct integer_unit units[INTEGER_PANEL_UNITS / INTEGER_TILE_ROWS]; /* n_units of each block */
    /* Of y, for each lane. */
    float sums[INTEGER_PANEL_ROWS / INTEGER_TILE_ROWS][LINEAR_TOKENS][INTEGER_TILE_ROWS][8];
    float biases[INTEGER_TILE_ROWS][INTEGER_GROUPS]; /* of groups; also the scales of a row */
    int32_t n_units;
};
_Static_assert(sizeof(struct integer_panel) <= KERNEL_SCRATCH * sizeof(float),
               "too little scratch");

/* ---- x */

static void integer_add_sums(const struct linear_job *job, float *sums, v8u lane_sums, float scale,
                             int32_t unit)
{
    int32_t lanes[8], groups = job->w.cols / job->w.group;
    v8u_store(lanes, lane_sums);
    int32_t low = lanes[0] + lanes[1] + lanes[2] + lanes[3];
    int32_t high = lanes[4] + lanes[5] + lanes[6] + lanes[7];
    if (job->w.group != 32) {
        sums[unit * UNIT / job->w.group] += scale * (float)(low + high);
        return;
    }
    sums[2 * unit] += scale * (float)low;
    if (2 * unit + 1 < groups)
        sums[2 * unit + 1] += scale * (float)high;
}

static void simd_integer_prepare(const struct linear_job *job, int32_t token)
{
    struct integer_row to = integer_row(job, token);
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    memset(to.sums, 0, integer_sums_floats(&job->w) * sizeof *to.sums);
    for (int32_t u = 0; u < units_of(&job->w); u++) {
        float padded[UNIT] = {0}, factor, greatest;
        const float *from = x + (size_t)u * UNIT;
        if ((u + 1) * UNIT > job->w.cols) {
            memcpy(padded, from, (size_t)(job->w.cols - u * UNIT) * sizeof *from);
            from = padded;
        }
        v8 columns[8];
        v8_transpose64(columns, from);
        v8u size = v8u_set1(0), no_sign = v8u_set1(0x7fffffff);
        for (int j = 0; j < 8; j++)
            size = v8u_max(size, v8u_and(v8_bits(columns[j]), no_sign));
        /* As integers NaNs are greater than all numbers. */
        uint32_t bits[8], most = 0;
        v8u_store(bits, size);
        for (int lane = 0; lane < 8; lane++)
            most = bits[lane] > most ? bits[lane] : most;
        memcpy(&greatest, &most, sizeof greatest);
        to.scales[u] = integer_scale(greatest, &factor);
        v8u rounded[8], sum = v8u_set1(0), low_half = v8u_set1(0xffff);
        for (int j = 0; j < 8; j++) {
            v8 scaled = factor > 0.0f ? v8_mul(columns[j], v8_set1(factor)) : v8_zero();
            rounded[j] = v8_to_int(scaled);
            sum = v8u_add(sum, rounded[j]);
        }
        for (int j = 0; j < INTEGER_PLANES; j++)
            v8u_store(to.x + (size_t)u * UNIT + 16 * j,
                      v8u_or(v8u_and(rounded[j], low_half), v8u_shift_left(rounded[4 + j], 16)));
        integer_add_sums(job, to.sums, sum, to.scales[u], u);
    }
}

/* ---- y */

/* Biases times sums of x, for each lane those of every eighth group. */
SIMD_INLINE v8 integer_add_biases_type(const struct linear_job *job, int32_t row, const float *sums,
                                       v8 lanes, enum weight_type type)
{
    int32_t groups = job->w.cols / job->w.group, g = 0;
    size_t first = (size_t)row * (size_t)groups;
    for (; g + 8 <= groups; g += 8)
        lanes = v8_fma(load_dense_part(job->w.biases, type, first + (size_t)g, 8),
                       v8_load(sums + g), lanes);
    if (g < groups)
        lanes = v8_fma(load_dense_part(job->w.biases, type, first + (size_t)g, groups - g),
                       v8_load(sums + g), lanes);
    return lanes;
}

static inline v8 integer_add_biases(const struct linear_job *job, int32_t row, const float *sums,
                                    v8 lanes)
{
    if (job->w.scale_type == WEIGHT_BF16)
        return integer_add_biases_type(job, row, sums, lanes, WEIGHT_BF16);
    if (job->w.scale_type == WEIGHT_F16)
        return integer_add_biases_type(job, row, sums, lanes, WEIGHT_F16);
    return integer_add_biases_type(job, row, sums, lanes, WEIGHT_F32);
}

/* y of n_rows <= 4 rows from their lanes, all that they have to add up. */
SIMD_INLINE void integer_store_y(const struct linear_job *job, int32_t row, int32_t token,
                                 const v8 lanes[TILE_ROWS], int n_rows)
{
    float sums[TILE_ROWS];
    float *y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)row;
    v8_store_sums4(sums, lanes[0], lanes[1], lanes[2], lanes[3]);
    for (int r = 0; r < n_rows; r++)
        y[r] = sums[r] + (job->bias ? job->bias[row + r] : 0.0f);
}

/* ---- few tokens, 4 bits */

/* One unit of n_rows rows. halves: groups are of 32, so that a unit has two. packed: the unit's
 * words of the first row; u: its number in the scales of the words; x: each token's planes of this
 * unit. */
SIMD_INLINE void integer_words_unit(v8 acc[TILE_ROWS][WORDS_TOKENS], const struct words *words,
                                    int32_t u, const unsigned char *packed, size_t row_bytes,
                                    const int16_t *const x[WORDS_TOKENS], bool halves, int n_rows,
                                    int n_tokens)
{
    v8u packed_rows[TILE_ROWS];
    v8sums sums[TILE_ROWS][WORDS_TOKENS];
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++)
        packed_rows[r] = v8u_load(packed + (size_t)r * row_bytes);
    SIMD_UNROLL
    for (int j = 0; j < INTEGER_PLANES; j++) {
        v8u plane[WORDS_TOKENS];
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            plane[t] = v8u_load(x[t] + 16 * j);
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            v8u q = v16_nibbles(packed_rows[r], j);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++)
                sums[r][t] = j == 0 ? v16_mul(q, plane[t]) : v16_mul_add(q, plane[t], sums[r][t]);
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++) {
            const float *scales = words->scales[r * n_tokens + t];
            v8 scale = halves ? v8_load_halves(scales + 2 * u) : v8_set1(scales[u]);
            acc[r][t] = v8_fma(v8_from_sums(sums[r][t]), scale, acc[r][t]);
        }
    }
}

SIMD_INLINE void integer_next_unit(const int16_t *x[WORDS_TOKENS], int n_tokens)
{
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        x[t] += UNIT;
}

/* Units [first, end) of rows [row, row + n_rows). */
SIMD_INLINE void integer_words_units(const struct linear_job *job, v8 acc[TILE_ROWS][WORDS_TOKENS],
                                     const struct words *words, int32_t row, int32_t first,
                                     int32_t end, bool halves, int n_rows, int n_tokens)
{
    size_t row_bytes = affine_row_bytes(&job->w), block = row_bytes * (size_t)n_rows;
    size_t ahead = (WORDS_AHEAD + block - 1) / block * block;
    const unsigned char *at =
        (const unsigned char *)job->w.data + (size_t)row * row_bytes + (size_t)first * 32;
    const int16_t *x[WORDS_TOKENS] = {0};
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        x[t] = integer_row(job, t).x + (size_t)first * UNIT;
    int32_t whole = end * UNIT <= job->w.cols ? end - first : end - first - 1, u = 0;
    for (; u + 2 <= whole; u += 2) {
        SIMD_UNROLL
        for (int r = 0; r < n_rows; r++) {
            __builtin_prefetch(at + ahead + (size_t)r * row_bytes, 0, 2);
        }
        SIMD_UNROLL
        for (int k = 0; k < 2; k++) {
            integer_words_unit(acc, words, u + k, at, row_bytes, x, halves, n_rows, n_tokens);
            at += 32;
            integer_next_unit(x, n_tokens);
        }
    }
    if (u < whole) {
        integer_words_unit(acc, words, u, at, row_bytes, x, halves, n_rows, n_tokens);
        at += 32;
        integer_next_unit(x, n_tokens);
    }
    if (whole == end - first)
        return;
    unsigned char padded[TILE_ROWS][32] = {{0}};
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++)
        memcpy(padded[r], at + (size_t)r * row_bytes, 16);
    integer_words_unit(acc, words, whole, padded[0], sizeof padded[0], x, halves, n_rows, n_tokens);
}

/* The products of a row's scales with each token's, of units [first, end), in the words' scales
 * from number `at` on: one for each unit, or two with groups of 32. */
static void integer_words_scales(const struct linear_job *job, struct words *words, int32_t row,
                                 int32_t at, int32_t first, int32_t end, int32_t n_tokens)
{
    float scales[WORDS_UNITS * 2];
    int32_t group = job->w.group, groups = job->w.cols / group, group0 = first * UNIT / group;
    int32_t n = (end * UNIT + group - 1) / group - group0;
    if (n > groups - group0)
        n = groups - group0;
    widen(scales, job->w.scales, job->w.scale_type, (size_t)row * (size_t)groups + (size_t)group0,
          n);
    for (int32_t t = 0; t < n_tokens; t++) {
        const float *x = integer_row(job, t).scales + first;
        float *to = words->scales[at + t];
        int32_t i = 0;
        for (; group == 64 && i + 8 <= end - first; i += 8)
            v8_store(to + i, v8_mul(v8_load(scales + i), v8_load(x + i)));
        if (group == 32)
            for (; i < n; i++)
                to[i] = scales[i] * x[i / 2];
        else
            for (; i < end - first; i++)
                to[i] = scales[i * UNIT / group] * x[i];
    }
}

/* Not inlined: gcc would take registers for it from the loop over units. */
static __attribute__((noinline)) void integer_words_end(const struct linear_job *job, int32_t row,
                                                        int32_t token, v8 lanes[TILE_ROWS],
                                                        int n_rows)
{
    const float *sums = integer_row(job, token).sums;
    for (int r = 0; r < n_rows; r++)
        lanes[r] = integer_add_biases(job, row + r, sums, lanes[r]);
    integer_store_y(job, row, token, lanes, n_rows);
}

SIMD_INLINE void integer_words_rows(const struct linear_job *job, struct words *words, int32_t row,
                                    bool halves, int n_rows, int n_tokens)
{
    v8 acc[TILE_ROWS][WORDS_TOKENS];
    SIMD_UNROLL
    for (int r = 0; r < n_rows; r++) {
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            acc[r][t] = v8_zero();
    }
    prefetch_scales(&job->w, row + n_rows, n_rows);
    int32_t units = units_of(&job->w);
    for (int32_t first = 0; first < units; first += WORDS_UNITS) {
        int32_t end = units - first < WORDS_UNITS ? units : first + WORDS_UNITS;
        for (int r = 0; r < n_rows; r++)
            integer_words_scales(job, words, row + r, r * n_tokens, first, end, n_tokens);
        integer_words_units(job, acc, words, row, first, end, halves, n_rows, n_tokens);
    }
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        v8 lanes[TILE_ROWS];
        SIMD_UNROLL
        for (int r = 0; r < TILE_ROWS; r++)
            lanes[r] = acc[r < n_rows ? r : 0][t];
        integer_words_end(job, row, t, lanes, n_rows);
    }
}

SIMD_INLINE void integer_words_tokens(const struct linear_job *job, int32_t first, int32_t n,
                                      float *scratch, bool halves, int n_tokens)
{
    struct words *words = (struct words *)scratch;
    const int n_rows = n_tokens <= 2 ? 2 : 1; /* as many as registers hold */
    int32_t row = first;
    for (; row + n_rows <= first + n; row += n_rows)
        integer_words_rows(job, words, row, halves, n_rows, n_tokens);
    for (; row < first + n; row++)
        integer_words_rows(job, words, row, halves, 1, n_tokens);
}

SIMD_INLINE void integer_words_halves(const struct linear_job *job, int32_t first, int32_t n,
                                      float *scratch, bool halves)
{
    if (job->x.rows == 1)
        integer_words_tokens(job, first, n, scratch, halves, 1);
    else if (job->x.rows == 2)
        integer_words_tokens(job, first, n, scratch, halves, 2);
    else if (job->x.rows == 3)
        integer_words_tokens(job, first, n, scratch, halves, 3);
    else
        integer_words_tokens(job, first, n, scratch, halves, WORDS_TOKENS);
}

static void integer_words(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (job->w.group == 32)
        integer_words_halves(job, first, n, scratch, true);
    else
        integer_words_halves(job, first, n, scratch, false);
}

/* ---- panels */

SIMD_INLINE void integer_unpack_bits(v8u planes[INTEGER_PLANES], const unsigned char *packed,
                                     int bits)
{
    v8u columns[8];
    v8u_unpack64(columns, packed, bits);
    SIMD_UNROLL
    for (int j = 0; j < INTEGER_PLANES; j++)
        planes[j] = v8u_or(columns[j], v8u_shift_left(columns[4 + j], 16));
}

static inline void integer_unpack(v8u planes[INTEGER_PLANES], const unsigned char *packed,
                                  int32_t bits)
{
    switch (bits) {
    case 2:
        integer_unpack_bits(planes, packed, 2);
        return;
    case 3:
        integer_unpack_bits(planes, packed, 3);
        return;
    case 4:
        SIMD_UNROLL
        for (int j = 0; j < INTEGER_PLANES; j++)
            planes[j] = v16_nibbles(v8u_load(packed), j);
        return;
    case 5:
        integer_unpack_bits(planes, packed, 5);
        return;
    case 6:
        integer_unpack_bits(planes, packed, 6);
        return;
    default:
        integer_unpack_bits(planes, packed, 8);
        return;
    }
}

/* Units [first, first + n) of a row become row r of units. `floats` has room for their scales. */
static void integer_fill_row(const struct weight_source *w, int32_t row, int32_t first, int32_t n,
                             struct integer_unit *to, int32_t r, float *floats)
{
    size_t unit_bytes = (size_t)w->bits * 8;
    const unsigned char *at = (const unsigned char *)w->data + (size_t)row * affine_row_bytes(w) +
                              (size_t)first * unit_bytes;
    int32_t groups = w->cols / w->group, group0 = first * UNIT / w->group;
    int32_t n_groups = ((first + n) * UNIT + w->group - 1) / w->group - group0;
    if (n_groups > groups - group0)
        n_groups = groups - group0;
    widen(floats, w->scales, w->scale_type, (size_t)row * (size_t)groups + (size_t)group0,
          n_groups);
    floats[n_groups] = 0.0f; /* of a second half beyond the last column */
    for (int32_t u = first; u < first + n; u++, to++, at += unit_bytes) {
        if ((u + 1) * UNIT < w->cols) {
            integer_unpack(to->values[r], at, w->bits);
        } else { /* unpacking reads beyond a unit: not at the row's end */
            unsigned char padded[UNIT + 8] = {0};
            memcpy(padded, at, (size_t)(w->cols - u * UNIT) / 8 * (size_t)w->bits);
            integer_unpack(to->values[r], padded, w->bits);
        }
        float low = floats[u * UNIT / w->group - group0];
        float high = floats[(u * UNIT + 32) / w->group - group0];
        to->scales[0][r] = to->scales[0][INTEGER_TILE_ROWS + r] = low;
        to->scales[1][r] = to->scales[1][INTEGER_TILE_ROWS + r] = high;
    }
}

/* Adds n units of n_rows x n_tokens to the block's sums. x: each token's row at the panel's first
 * unit. halves: a unit has two groups. */
SIMD_INLINE void integer_tile(const struct integer_unit *unit,
                              float (*totals)[INTEGER_TILE_ROWS][8], const struct integer_row *x,
                              int32_t n, bool halves, int n_rows, int n_tokens)
{
    v8sums sums[INTEGER_TILE_ROWS][INTEGER_TILE_TOKENS];
    for (int32_t u = 0; u < n; u++, unit++) {
        SIMD_UNROLL
        for (int j = 0; j < INTEGER_PLANES; j++) {
            v8u plane[INTEGER_TILE_TOKENS];
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++)
                plane[t] = v8u_load(x[t].x + u * UNIT + 16 * j);
            SIMD_UNROLL
            for (int r = 0; r < n_rows; r++) {
                v8u q = v8u_keep(unit->values[r][j]);
                SIMD_UNROLL
                for (int t = 0; t < n_tokens; t++)
                    sums[r][t] =
                        j == 0 ? v16_mul(q, plane[t]) : v16_mul_add(q, plane[t], sums[r][t]);
            }
        }
        const float x_scales[2] = {x[0].scales[u], x[n_tokens - 1].scales[u]};
        float scales[2][2 * INTEGER_TILE_ROWS];
        v8 both_tokens = v8_load_halves(x_scales);
        v8_store(scales[0], v8_mul(v8_load(unit->scales[0]), both_tokens));
        if (halves)
            v8_store(scales[1], v8_mul(v8_load(unit->scales[1]), both_tokens));
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++) {
            SIMD_UNROLL
            for (int r = 0; r < n_rows; r++) {
                int i = t * INTEGER_TILE_ROWS + r;
                const float both[2] = {scales[0][i], scales[halves ? 1 : 0][i]};
                v8 scale = halves ? v8_load_halves(both) : v8_set1(scales[0][i]);
                float *total = totals[t][r];
                v8_store(total, v8_fma(v8_from_sums(sums[r][t]), scale, v8_load(total)));
            }
        }
    }
}

SIMD_INLINE void integer_tiles(struct integer_panel *panel, const struct linear_job *job,
                               int32_t n_rows, int32_t token, int32_t first, int32_t n,
                               int n_tokens)
{
    struct integer_row x[INTEGER_TILE_TOKENS];
    for (int t = 0; t < n_tokens; t++) {
        x[t] = integer_row(job, token + t);
        x[t].x += (size_t)first * UNIT;
        x[t].scales += first;
    }
    bool halves = job->w.group == 32;
    for (int32_t row = 0, block = 0; row < n_rows; row += INTEGER_TILE_ROWS, block++) {
        const struct integer_unit *unit = &panel->units[block * panel->n_units];
        float(*totals)[INTEGER_TILE_ROWS][8] = &panel->sums[block][token];
        if (halves)
            integer_tile(unit, totals, x, n, true, INTEGER_TILE_ROWS, n_tokens);
        else
            integer_tile(unit, totals, x, n, false, INTEGER_TILE_ROWS, n_tokens);
    }
}

static void integer_multiply(struct integer_panel *panel, const struct linear_job *job,
                             int32_t n_rows, int32_t first, int32_t n)
{
    int32_t t = 0;
    for (; t + INTEGER_TILE_TOKENS <= job->x.rows; t += INTEGER_TILE_TOKENS)
        integer_tiles(panel, job, n_rows, t, first, n, INTEGER_TILE_TOKENS);
    for (; t < job->x.rows; t++)
        integer_tiles(panel, job, n_rows, t, first, n, 1);
}

/* Adds the biases of groups [first, first + n) to a block's sums. */
static void integer_panel_biases(const struct linear_job *job, struct integer_panel *panel,
                                 float (*sums)[INTEGER_TILE_ROWS][8], int32_t row, int32_t first,
                                 int32_t n, int32_t n_rows)
{
    int32_t groups = job->w.cols / job->w.group;
    for (int32_t r = 0; r < n_rows; r++)
        widen(panel->biases[r], job->w.biases, job->w.scale_type,
              (size_t)(row + r) * (size_t)groups + (size_t)first, n);
    for (int32_t t = 0; t < job->x.rows; t++) {
        const float *x = integer_row(job, t).sums + first;
        v8 lanes[INTEGER_TILE_ROWS];
        SIMD_UNROLL
        for (int r = 0; r < INTEGER_TILE_ROWS; r++)
            lanes[r] = v8_load(sums[t][r]);
        for (int32_t g = 0; g < n; g += 8) {
            SIMD_UNROLL
            for (int r = 0; r < INTEGER_TILE_ROWS; r++)
                lanes[r] = v8_fma(v8_load(panel->biases[r] + g), v8_load(x + g), lanes[r]);
        }
        SIMD_UNROLL
        for (int r = 0; r < INTEGER_TILE_ROWS; r++)
            v8_store(sums[t][r], lanes[r]);
    }
}

/* What is left to do for y of a block of rows. */
static void integer_panel_end(const struct linear_job *job, struct integer_panel *panel,
                              float (*sums)[INTEGER_TILE_ROWS][8], int32_t row, int32_t n_rows)
{
    int32_t groups = job->w.cols / job->w.group;
    for (int32_t g = 0; g < groups; g += INTEGER_GROUPS) {
        int32_t n = groups - g < INTEGER_GROUPS ? groups - g : INTEGER_GROUPS;
        integer_panel_biases(job, panel, sums, row, g, n, n_rows);
    }
    for (int32_t t = 0; t < job->x.rows; t++) {
        v8 lanes[INTEGER_TILE_ROWS];
        SIMD_UNROLL
        for (int r = 0; r < INTEGER_TILE_ROWS; r++)
            lanes[r] = v8_load(sums[t][r]);
        integer_store_y(job, row, t, lanes, n_rows);
    }
}

static void integer_panel_rows(const struct linear_job *job, struct integer_panel *panel,
                               int32_t row, int32_t n_rows)
{
    for (int32_t r = 0; r < n_rows; r += INTEGER_TILE_ROWS)
        memset(panel->sums[r / INTEGER_TILE_ROWS], 0,
               (size_t)job->x.rows * sizeof panel->sums[0][0]);
    int32_t units = units_of(&job->w);
    for (int32_t first = 0; first < units; first += panel->n_units) {
        int32_t n = units - first < panel->n_units ? units - first : panel->n_units;
        for (int32_t r = 0; r < n_rows; r++)
            integer_fill_row(&job->w, row + r, first, n,
                             &panel->units[r / INTEGER_TILE_ROWS * panel->n_units],
                             r % INTEGER_TILE_ROWS, panel->biases[0]);
        integer_multiply(panel, job, n_rows, first, n);
    }
    for (int32_t r = 0; r < n_rows; r += INTEGER_TILE_ROWS) {
        int32_t left = n_rows - r < INTEGER_TILE_ROWS ? n_rows - r : INTEGER_TILE_ROWS;
        integer_panel_end(job, panel, panel->sums[r / INTEGER_TILE_ROWS], row + r, left);
    }
}

static void simd_integer_rows(const struct linear_job *job, int32_t first, int32_t n,
                              float *scratch)
{
    if (uses_words(job)) {
        integer_words(job, first, n, scratch);
        return;
    }
    struct integer_panel *panel = (struct integer_panel *)scratch;
    int32_t rows = job->x.rows <= PANEL_FEW_TOKENS ? PANEL_FEW_ROWS : INTEGER_PANEL_ROWS;
    panel->n_units = INTEGER_PANEL_UNITS / rows;
    for (int32_t row = first; row < first + n; row += rows)
        integer_panel_rows(job, panel, row, first + n - row < rows ? first + n - row : rows);
}
