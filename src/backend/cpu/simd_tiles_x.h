/* What layers for many tokens make of x (tiles.h), up to where a unit's integers lie in a tile,
 * which is for the including kernels to say. */
#pragma once

#include "backend/cpu/simd_integer_x.h"
#include "backend/cpu/simd_tiles_dense.h"
#include "backend/cpu/strassen.h"

enum {
    TILES_AHEAD = 2, /* tokens */
};

/* One unit of a token, `at` being its place in the unit's tile. */
struct tiles_x {
    int32_t *unit;
    int32_t width, at;
};

/* What follows the integers of a unit's tokens (tiles_unit). */
SIMD_INLINE void tiles_store_scales(struct tiles_x to, float scale, const float sums[2])
{
    int32_t *words = to.unit + to.width * TILES_PAIRS + to.at;
    memcpy(words, &scale, sizeof scale);
    memcpy(words + to.width, &sums[0], sizeof sums[0]);
    memcpy(words + 2 * to.width, &sums[1], sizeof sums[1]);
}

/* Puts a unit's 64 integers, its scale and the sums of its groups where they belong. */
typedef void (*tiles_store_x_fn)(struct tiles_x to, const int16_t *x, float scale,
                                 const float sums[2]);

/* `sum`: of the group so far, where groups are longer than a unit. */
SIMD_INLINE void tiles_prepare_unit(const struct linear_job *job, struct tiles_x to,
                                    const float *from, int32_t u, float *sum,
                                    tiles_store_x_fn store)
{
    int16_t x[INTEGER_UNIT];
    int32_t sums[2];
    if (job->w.type != WEIGHT_AFFINE) {
        float scale = tiles_dense_x(x, from);
        store(to, x, scale, (float[2]){0.0f, 0.0f});
        return;
    }
    float scale = integer_prepare_unit(x, sums, from);
    if (job->w.group < INTEGER_UNIT) {
        store(to, x, scale, (float[2]){scale * (float)sums[0], scale * (float)sums[1]});
        return;
    }
    bool begins = u * INTEGER_UNIT % job->w.group == 0;
    *sum = (begins ? 0.0f : *sum) + scale * (float)(sums[0] + sums[1]);
    store(to, x, scale, (float[2]){*sum, 0.0f});
}

/* A unit of row `token` of x, zeros beyond its ends. Returns where it is: in place if it can be. */
SIMD_INLINE const float *tiles_unit_of(struct tensor x, int32_t token, int32_t u,
                                       float padded[INTEGER_UNIT])
{
    int32_t left = token < x.rows ? tiles_min(x.cols - u * INTEGER_UNIT, INTEGER_UNIT) : 0;
    const float *from = x.data + (size_t)token * (size_t)x.stride + (size_t)u * INTEGER_UNIT;
    if (left >= INTEGER_UNIT)
        return from;
    memset(padded, 0, INTEGER_UNIT * sizeof *padded);
    if (left > 0)
        memcpy(padded, from, (size_t)left * sizeof *from);
    return padded;
}

/* Brings the same unit of a later token near: a kilobyte of each token is read, which is too little
 * for a processor to see a stream. */
SIMD_INLINE void tiles_fetch_unit(struct tensor x, int32_t token, int32_t u)
{
    if (token + TILES_AHEAD >= x.rows)
        return;
    const float *at = x.data + (size_t)(token + TILES_AHEAD) * (size_t)x.stride;
    int32_t last = tiles_min((u + 1) * INTEGER_UNIT, x.cols);
    for (int32_t c = u * INTEGER_UNIT; c < last; c += 16)
        __builtin_prefetch(at + c);
}

/* Units [first, end) of a token; groups do not reach from one run of TILES_UNITS into the next. */
SIMD_INLINE void tiles_prepare_token(const struct linear_job *job, int32_t token, int32_t width,
                                     int32_t first, int32_t end, tiles_store_x_fn store)
{
    float sum = 0.0f;
    for (int32_t u = first; u < end; u++) {
        float padded[INTEGER_UNIT];
        tiles_fetch_unit(job->x, token, u);
        const float *from = tiles_unit_of(job->x, token, u, padded);
        struct tiles_x to = {tiles_unit(job, width, token / width, u), width, token % width};
        tiles_prepare_unit(job, to, from, u, &sum, store);
    }
}

/* Units [first, end) of a tile that has `width` tokens but for what x lacks: zeros. */
SIMD_INLINE void tiles_prepare_nothing(const struct linear_job *job, int32_t tile, int32_t width,
                                       int32_t first, int32_t end)
{
    for (int32_t u = first; job->x.rows < (tile + 1) * width && u < end; u++)
        memset(tiles_unit(job, width, tile, u), 0,
               (size_t)width * TILES_UNIT_WORDS * sizeof(int32_t));
}

/* Run number `run` of tile number `tile`, of `width` tokens. */
SIMD_INLINE void tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run,
                               int32_t width, tiles_store_x_fn store)
{
    int32_t n = tiles_min(job->x.rows - tile * width, width), first = run * TILES_UNITS;
    int32_t end = tiles_min(integer_units(job->w.cols), first + TILES_UNITS);
    tiles_prepare_nothing(job, tile, width, first, end);
    for (int32_t t = 0; t < n; t++)
        tiles_prepare_token(job, tile * width + t, width, first, end, store);
}

/* ---- for seven products (strassen.h) */

static float strassen_squares(const float *x, int32_t n)
{
    v8 sums[STRASSEN_LANES / 8] = {v8_zero(), v8_zero(), v8_zero(), v8_zero()};
    for (int32_t c = 0; c < n; c += STRASSEN_LANES) {
        float padded[STRASSEN_LANES] = {0};
        const float *from = x + c;
        if (n - c < STRASSEN_LANES)
            from = memcpy(padded, from, (size_t)(n - c) * sizeof *from);
        SIMD_UNROLL
        for (int i = 0; i < STRASSEN_LANES / 8; i++) {
            v8 v = v8_load(from + 8 * i);
            sums[i] = v8_fma(v, v, sums[i]);
        }
    }
    return v8_sum(v8_add(v8_add(sums[0], sums[1]), v8_add(sums[2], sums[3])));
}

static void simd_strassen_begin(const struct linear_job *job, int32_t token)
{
    int32_t other = strassen_tokens(job) + token;
    float squares[2] = {0, 0};
    squares[0] = strassen_squares(tensor_rows(job->x, token, 1).data, job->x.cols);
    if (other < job->x.rows)
        squares[1] = strassen_squares(tensor_rows(job->x, other, 1).data, job->x.cols);
    strassen_set_factor(job, token, strassen_factor_of(squares[0], squares[1]));
}

/* Where the units of the quarters of x are, and what becomes of them. */
struct strassen_quarters {
    struct tensor x[2][2];
    const float *factors;
    struct linear_job products[STRASSEN_PRODUCTS];
};

/* The four units of a token and of the one half a run away, all of one size. */
SIMD_INLINE void strassen_read_units(float units[2][2][INTEGER_UNIT],
                                     const struct strassen_quarters *q, int32_t token, int32_t u)
{
    v8 factor[2] = {v8_set1(1.0f), v8_set1(q->factors[token])};
    for (int i = 0; i < 4; i++) {
        float padded[INTEGER_UNIT];
        tiles_fetch_unit(q->x[i / 2][i % 2], token, u);
        const float *from = tiles_unit_of(q->x[i / 2][i % 2], token, u, padded);
        SIMD_UNROLL
        for (int k = 0; k < INTEGER_UNIT; k += 8)
            v8_store(units[i / 2][i % 2] + k, v8_mul(v8_load(from + k), factor[i / 2]));
    }
}

SIMD_INLINE void strassen_prepare_unit(const struct strassen_quarters *q, int32_t token,
                                       int32_t width, int32_t u, tiles_store_x_fn store)
{
    float units[2][2][INTEGER_UNIT];
    strassen_read_units(units, q, token, u);
    SIMD_UNROLL
    for (int p = 0; p < STRASSEN_PRODUCTS; p++) {
        const struct strassen_factor sum = strassen_products[p].x;
        const float *a = units[sum.first.row][sum.first.col];
        const float *b = units[sum.second.row][sum.second.col];
        float sums[INTEGER_UNIT];
        v8 sign = v8_set1((float)sum.sign);
        for (int i = 0; i < INTEGER_UNIT && sum.sign != 0; i += 8)
            v8_store(sums + i, v8_fma(v8_load(b + i), sign, v8_load(a + i)));
        const struct linear_job *job = &q->products[p];
        struct tiles_x to = {tiles_unit(job, width, token / width, u), width, token % width};
        tiles_prepare_unit(job, to, sum.sign != 0 ? sums : a, u, NULL, store);
    }
}

/* As tiles_prepare, for all products. */
SIMD_INLINE void strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run,
                                  int32_t width, tiles_store_x_fn store)
{
    struct strassen_quarters q = {.factors = strassen_factors(job)};
    struct linear_terms terms;
    int32_t tokens = strassen_tokens(job), first = run * TILES_UNITS;
    int32_t last_token = tiles_min(tokens, (tile + 1) * width);
    int32_t end = tiles_min(integer_units(strassen_cols(&job->w)), first + TILES_UNITS);
    for (uint8_t i = 0; i < 4; i++)
        q.x[i / 2][i % 2] = strassen_x(job, (struct strassen_quarter){i / 2, i % 2});
    for (int p = 0; p < STRASSEN_PRODUCTS; p++) {
        q.products[p] = strassen_job(job, (enum strassen_number)p, &terms);
        tiles_prepare_nothing(&q.products[p], tile, width, first, end);
    }
    for (int32_t token = tile * width; token < last_token; token++)
        for (int32_t u = first; u < end; u++)
            strassen_prepare_unit(&q, token, width, u, store);
}
