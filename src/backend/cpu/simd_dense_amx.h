/* Dense weights for many tokens (tiles.h) with AMX for bf16: the processor multiplies 16 tokens by
 * 32 columns with 32 columns by 16 rows in one instruction and adds to sums in float32 (Intel 64
 * Architectures Software Developer's Manual 2, TDPBF16PS). Weights are what the file has. x is the
 * sum of two bf16 numbers, the upper half of its bits and the nearest number to what is left, which
 * is 2^-16 of x off at most. So nothing is scaled, and sums stay in tile registers over all
 * columns. What is denormal counts as zero, as the processor has it.
 *
 * A row of x has the same sums in whatever company, since a tile's rows do not meet. */
#pragma once

#include "backend/cpu/simd_amx.h"
#include "backend/cpu/simd_tiles_pairs.h"
#include "backend/cpu/tiles.h"

enum {
    DENSE_TOKENS = 2 * AMX_TOKENS,  /* two tiles of x, */
    DENSE_ROWS = 2 * INTEGER_BLOCK, /* and two panels of weights, meet at a time */
    DENSE_COLUMNS = 32,
    DENSE_TILE = AMX_TOKENS * AMX_ROW_BYTES,
    /* Weights as they meet tiles of x: 32 bits, two columns, of 16 rows. With x of 32 tokens they
     * stay in the second-level cache. */
    DENSE_LINES = 12800,
    /* Most columns of a run. The more, the fewer rows there is room for, and the oftener x is read;
     * the fewer, the oftener sums leave the tile registers. */
    DENSE_RUN = 2048,
    DENSE_MOST_ROWS = 512,
};

/* The tile registers. Instructions want their numbers as texts, so no enum will do. Sums are of
 * the first 16 tokens with both panels, then of the others. */
#define DENSE_SUM_0   0
#define DENSE_SUM_1   1
#define DENSE_SUM_2   2
#define DENSE_SUM_3   3
#define DENSE_W       4
#define DENSE_W_OTHER 5
#define DENSE_X       6
#define DENSE_X_OTHER 7

struct dense_sums {
    _Alignas(64) float of[AMX_TOKENS][INTEGER_BLOCK];
};

/* How scratch is used. */
struct dense {
    _Alignas(64) uint32_t lines[DENSE_LINES][INTEGER_BLOCK];
    struct dense_sums sums[2][2];
    float bias[DENSE_MOST_ROWS];
};
_Static_assert(sizeof(struct dense) <= KERNEL_SCRATCH * sizeof(float), "too little scratch");

/* ---- x
 *
 * Of 32 tokens after another (zeros beyond the last), and of those 32 columns at a time, the
 * upper halves of all tokens, then what is left of them. */

static inline unsigned char *dense_x(const struct linear_job *job, int32_t tile, int32_t column)
{
    size_t at = tiles_split_floats(job->w.cols) * (size_t)tile + (size_t)column;
    return (unsigned char *)(job->prepared + at * DENSE_TOKENS);
}

/* The upper halves of 32 words: of four of the first, then of four of the others, and so on. */
SIMD_INLINE void dense_store_halves(unsigned char *to, __m512i words, __m512i others)
{
    words = _mm512_srli_epi32(words, 16);
    _mm512_storeu_si512(to, _mm512_packus_epi32(words, _mm512_srli_epi32(others, 16)));
}

/* x less the upper half of its bits, made ready for its own lower half to be cut off. NaN for what
 * is not finite, and so is y then, as with integers. */
SIMD_INLINE __m512i dense_left(__m512 x)
{
    __m512i upper = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(-65536));
    __m512 left = _mm512_sub_ps(x, _mm512_castsi512_ps(upper));
    return _mm512_add_epi32(_mm512_castps_si512(left), _mm512_set1_epi32(0x8000));
}

/* 32 columns of one token. */
SIMD_INLINE void dense_store_split(unsigned char *to, __m512 low, __m512 high)
{
    __m512 x = _mm512_shuffle_f32x4(low, high, 0x88);
    __m512 others = _mm512_shuffle_f32x4(low, high, 0xdd);
    dense_store_halves(to, _mm512_castps_si512(x), _mm512_castps_si512(others));
    dense_store_halves(to + 2 * DENSE_TILE, dense_left(x), dense_left(others));
}

/* n numbers of a row, zeros beyond them. */
SIMD_INLINE __m512 dense_load_x(const float *from, int32_t n)
{
    if (n >= 16)
        return _mm512_loadu_ps(from);
    return _mm512_maskz_loadu_ps((__mmask16)(n > 0 ? (1u << n) - 1 : 0), from);
}

static void amx_dense_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    const int32_t most = TILES_UNITS * INTEGER_UNIT;
    int32_t first = run * most, cols = job->w.cols;
    int32_t end = tiles_min(integer_units(cols) * INTEGER_UNIT, first + most);
    for (int32_t t = 0; t < DENSE_TOKENS; t++) {
        int32_t token = tile * DENSE_TOKENS + t;
        int32_t there = token < job->x.rows ? cols : 0;
        const float *x = job->x.data + (there ? (size_t)token * (size_t)job->x.stride : 0);
        for (int32_t c = first; c < end; c += DENSE_COLUMNS)
            dense_store_split(dense_x(job, tile, c) + AMX_ROW_BYTES * t,
                              dense_load_x(x + c, there - c),
                              dense_load_x(x + c + 16, there - c - 16));
    }
}

/* ---- shares of the work */

/* Columns that are multiplied in one run, a whole number of units. */
static int32_t dense_run(int32_t cols)
{
    int32_t units = integer_units(cols), most = DENSE_RUN / INTEGER_UNIT;
    int32_t runs = (units + most - 1) / most;
    return (units + runs - 1) / runs * INTEGER_UNIT;
}

/* Rows whose weights there is room for. */
static int32_t dense_rows_most(int32_t cols)
{
    int32_t rows = DENSE_LINES / dense_run(cols) * DENSE_ROWS;
    return tiles_min(rows, DENSE_MOST_ROWS);
}

/* A share's time, in products of one column: those of its tokens with its rows; making lines of its
 * rows; reading x of its tokens from the third-level cache. By count, not measured. */
static double dense_cost(struct linear_share share)
{
    return (double)share.rows * share.tokens + 40.0 * share.rows + 64.0 * share.tokens;
}

/* With the shares that are chosen, threads that take one after another end first. */
static struct linear_share amx_dense_share(const struct linear_job *job, int threads)
{
    const int32_t rows = job->w.rows, tokens = job->x.rows, most_parts = 8;
    struct linear_share best = {0, 0};
    double least = INFINITY;
    for (int32_t parts = 1; parts <= most_parts; parts++) {
        int32_t tiles = (tokens - 1) / (parts * DENSE_TOKENS) + 1;
        struct linear_share share = {DENSE_ROWS, tiles * DENSE_TOKENS};
        for (; share.rows <= dense_rows_most(job->w.cols); share.rows += DENSE_ROWS) {
            int32_t shares = ((rows - 1) / share.rows + 1) * ((tokens - 1) / share.tokens + 1);
            double cost = ((shares - 1) / threads + 1) * dense_cost(share);
            if (cost < least) {
                least = cost;
                best = share;
            }
        }
    }
    return best;
}

/* ---- products */

static void dense_begin(void)
{
    struct amx_shapes shapes = {.palette = 1};
    for (int i = 0; i < AMX_TILES; i++) {
        shapes.rows[i] = AMX_TOKENS;
        shapes.bytes[i] = AMX_ROW_BYTES;
    }
    amx_see_memory();
    _tile_loadconfig(&shapes);
}

/* What is brought near for later at each 32 columns: so many lines of x from one place on, and one
 * line of each of so many rows of weights. */
struct dense_ahead {
    const unsigned char *x, *w;
    size_t w_stride;
    int32_t x_lines, w_rows;
};

SIMD_INLINE void dense_bring(struct dense_ahead *ahead)
{
    for (int32_t i = 0; i < ahead->x_lines; i++, ahead->x += 64)
        __builtin_prefetch(ahead->x, 0, 2);
    for (int32_t r = 0; r < ahead->w_rows; r++)
        __builtin_prefetch(ahead->w + (size_t)r * ahead->w_stride, 0, 2);
    ahead->w += 2 * DENSE_COLUMNS;
}

static void dense_multiply(const unsigned char *x, const unsigned char *w,
                           const unsigned char *w_other, int32_t columns, struct dense_ahead ahead)
{
    for (int32_t c = 0; c < columns; c += DENSE_COLUMNS) {
        dense_bring(&ahead);
        _tile_loadd(DENSE_W, w, AMX_ROW_BYTES);
        _tile_loadd(DENSE_X, x, AMX_ROW_BYTES);
        _tile_loadd(DENSE_W_OTHER, w_other, AMX_ROW_BYTES);
        _tile_loadd(DENSE_X_OTHER, x + DENSE_TILE, AMX_ROW_BYTES);
        _tile_dpbf16ps(DENSE_SUM_0, DENSE_X, DENSE_W);
        _tile_dpbf16ps(DENSE_SUM_1, DENSE_X, DENSE_W_OTHER);
        _tile_dpbf16ps(DENSE_SUM_2, DENSE_X_OTHER, DENSE_W);
        _tile_dpbf16ps(DENSE_SUM_3, DENSE_X_OTHER, DENSE_W_OTHER);
        _tile_loadd(DENSE_X, x + 2 * DENSE_TILE, AMX_ROW_BYTES);
        _tile_loadd(DENSE_X_OTHER, x + 3 * DENSE_TILE, AMX_ROW_BYTES);
        _tile_dpbf16ps(DENSE_SUM_0, DENSE_X, DENSE_W);
        _tile_dpbf16ps(DENSE_SUM_1, DENSE_X, DENSE_W_OTHER);
        _tile_dpbf16ps(DENSE_SUM_2, DENSE_X_OTHER, DENSE_W);
        _tile_dpbf16ps(DENSE_SUM_3, DENSE_X_OTHER, DENSE_W_OTHER);
        x += 4 * DENSE_TILE;
        w += DENSE_TILE;
        w_other += DENSE_TILE;
    }
}

/* Rows and columns of w that a call multiplies. */
struct dense_part {
    const struct linear_job *job;
    struct dense *s;
    int32_t row, n_rows;
    struct integer_run columns; /* n: of whole units */
};

/* Where sums of 16 tokens and 16 rows are kept: in y itself, or in memory of their own where y has
 * fewer of either. */
struct dense_place {
    float *at, *y;
    size_t stride;        /* bytes from token to token */
    int32_t tokens, rows; /* to be copied between `at` and y */
};

static struct dense_place dense_place(const struct dense_part *part, int32_t token, int32_t row,
                                      struct dense_sums *sums)
{
    const struct linear_job *job = part->job;
    int32_t tokens = tiles_min(job->x.rows - token, AMX_TOKENS);
    int32_t rows = tiles_min(part->n_rows - row, INTEGER_BLOCK);
    struct dense_place place = {.at = sums->of[0], .stride = AMX_ROW_BYTES};
    if (tokens <= 0 || rows <= 0)
        return place;
    place.y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)(part->row + row);
    if (tokens == AMX_TOKENS && rows == INTEGER_BLOCK) {
        place.at = place.y;
        place.stride = (size_t)job->y.stride * sizeof(float);
        return place;
    }
    place.tokens = tokens;
    place.rows = rows;
    return place;
}

static void dense_copy_in(const struct dense_place *place, int32_t y_stride)
{
    for (int32_t t = 0; t < place->tokens; t++)
        memcpy(place->at + t * INTEGER_BLOCK, place->y + (size_t)t * (size_t)y_stride,
               (size_t)place->rows * sizeof(float));
}

static void dense_copy_out(const struct dense_place *place, int32_t y_stride)
{
    for (int32_t t = 0; t < place->tokens; t++)
        memcpy(place->y + (size_t)t * (size_t)y_stride, place->at + t * INTEGER_BLOCK,
               (size_t)place->rows * sizeof(float));
}

static unsigned char *dense_panel(const struct dense_part *part, int32_t row)
{
    return (unsigned char *)part->s->lines[row / INTEGER_BLOCK * (part->columns.n / 2)];
}

/* 32 tokens times 32 rows, added to the layer's bias or to what y has of earlier columns. */
static void dense_products(const struct dense_part *part, int32_t tile, int32_t row,
                           struct dense_ahead ahead)
{
    struct dense *s = part->s;
    struct dense_place places[4];
    const float *from[4];
    size_t strides[4];
    for (int32_t i = 0; i < 4; i++) {
        int32_t r = row + i % 2 * INTEGER_BLOCK;
        places[i] =
            dense_place(part, tile * DENSE_TOKENS + i / 2 * AMX_TOKENS, r, &s->sums[i / 2][i % 2]);
        from[i] = places[i].at;
        strides[i] = places[i].stride;
        if (part->columns.first == 0) {
            from[i] = s->bias + r;
            strides[i] = 0; /* the same for each token */
        } else {
            dense_copy_in(&places[i], part->job->y.stride);
        }
    }
    amx_see_memory();
    _tile_loadd(DENSE_SUM_0, from[0], strides[0]);
    _tile_loadd(DENSE_SUM_1, from[1], strides[1]);
    _tile_loadd(DENSE_SUM_2, from[2], strides[2]);
    _tile_loadd(DENSE_SUM_3, from[3], strides[3]);
    bool both = row + INTEGER_BLOCK < part->n_rows;
    dense_multiply(dense_x(part->job, tile, part->columns.first), dense_panel(part, row),
                   dense_panel(part, both ? row + INTEGER_BLOCK : row), part->columns.n, ahead);
    _tile_stored(DENSE_SUM_0, places[0].at, places[0].stride);
    _tile_stored(DENSE_SUM_1, places[1].at, places[1].stride);
    _tile_stored(DENSE_SUM_2, places[2].at, places[2].stride);
    _tile_stored(DENSE_SUM_3, places[3].at, places[3].stride);
    for (int32_t i = 0; i < 4; i++)
        dense_copy_out(&places[i], part->job->y.stride);
}

/* Rows [row, row + 32) of a part, as far as there are any, become lines. */
static void dense_fill(const struct dense_part *part, int32_t row)
{
    int32_t end = tiles_min(part->n_rows, row + DENSE_ROWS);
    for (int32_t r = row; r < end; r += INTEGER_BLOCK) {
        uint32_t(*lines)[INTEGER_BLOCK] = (void *)dense_panel(part, r);
        tiles_dense_panel(lines, tiles_whole(&part->job->w), 2 * (size_t)part->job->w.cols,
                          part->row + r, part->row + end, part->columns);
    }
}

/* Weights are made lines when the first tokens meet them, and the next ones brought near
 * meanwhile; x of the next tokens is while these meet all rows. */
static void dense_columns(const struct dense_part *part)
{
    const struct linear_job *job = part->job;
    int32_t tiles = (job->x.rows - 1) / DENSE_TOKENS + 1;
    int32_t pairs = (part->n_rows - 1) / DENSE_ROWS + 1, x_lines = (64 + pairs - 1) / pairs;
    size_t w_stride = 2 * (size_t)job->w.cols;
    for (int32_t tile = 0; tile < tiles; tile++)
        for (int32_t row = 0; row < part->n_rows; row += DENSE_ROWS) {
            struct dense_ahead ahead = {.w_stride = w_stride};
            if (tile == 0)
                dense_fill(part, row);
            if (tile == 0 && row + DENSE_ROWS < part->n_rows) {
                ahead.w_rows = tiles_min(part->n_rows - row - DENSE_ROWS, DENSE_ROWS);
                ahead.w = (const unsigned char *)job->w.data +
                          (size_t)(part->row + row + DENSE_ROWS) * w_stride +
                          2 * (size_t)part->columns.first;
            }
            if (tile + 1 < tiles) {
                ahead.x_lines = x_lines;
                ahead.x = dense_x(job, tile + 1, part->columns.first) +
                          (size_t)(row / DENSE_ROWS * x_lines) * 2 * (size_t)part->columns.n;
            }
            dense_products(part, tile, row, ahead);
        }
}

static void dense_bias(float *to, const float *bias, int32_t n)
{
    memset(to, 0, DENSE_MOST_ROWS * sizeof *to);
    if (bias)
        memcpy(to, bias, (size_t)n * sizeof *to);
}

static void amx_dense_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    struct dense_part part = {job, (struct dense *)scratch, first, n, {0, 0}};
    int32_t cols = integer_units(job->w.cols) * INTEGER_UNIT, run = dense_run(cols);
    dense_begin();
    dense_bias(part.s->bias, job->bias ? job->bias + first : NULL, n);
    for (int32_t c = 0; c < cols; c += run) {
        part.columns = (struct integer_run){c, tiles_min(cols - c, run)};
        dense_columns(&part);
    }
    _tile_release(); /* or the system saves eight kilobytes at each change of threads */
}
