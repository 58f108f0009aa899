/* What layers for many tokens make of x (tiles.h), up to where a unit's integers lie in a tile,
 * which is for the including kernels to say. */
#pragma once

#include "backend/cpu/simd_integer_x.h"
#include "backend/cpu/simd_tiles_dense.h"
#include "backend/cpu/tiles.h"

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

/* Units [first, end) of a token; groups do not reach from one run of TILES_UNITS into the next. */
SIMD_INLINE void tiles_prepare_token(const struct linear_job *job, int32_t token, int32_t width,
                                     int32_t first, int32_t end, tiles_store_x_fn store)
{
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    int32_t cols = job->w.cols;
    float sum = 0.0f;
    for (int32_t u = first; u < end; u++) {
        float padded[INTEGER_UNIT];
        const float *from = x + (size_t)u * INTEGER_UNIT;
        if ((u + 1) * INTEGER_UNIT > cols) {
            memset(padded, 0, sizeof padded);
            memcpy(padded, from, (size_t)(cols - u * INTEGER_UNIT) * sizeof *from);
            from = padded;
        }
        struct tiles_x to = {tiles_unit(job, width, token / width, u), width, token % width};
        tiles_prepare_unit(job, to, from, u, &sum, store);
    }
}

/* Brings the same units of a later token near: a kilobyte of each token is read, which is too
 * little for a processor to see a stream. */
SIMD_INLINE void tiles_fetch_token(const struct linear_job *job, int32_t token, int32_t first,
                                   int32_t end)
{
    if (token >= job->x.rows)
        return;
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    int32_t last = tiles_min(end * INTEGER_UNIT, job->w.cols);
    for (int32_t c = first * INTEGER_UNIT; c < last; c += 16)
        __builtin_prefetch(x + c);
}

/* Run number `run` of tile number `tile`, of `width` tokens. */
SIMD_INLINE void tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run,
                               int32_t width, tiles_store_x_fn store)
{
    int32_t left = job->x.rows - tile * width, n = left < width ? left : width;
    int32_t units = integer_units(job->w.cols), first = run * TILES_UNITS;
    int32_t end = units - first < TILES_UNITS ? units : first + TILES_UNITS;
    for (int32_t u = first; n < width && u < end; u++)
        memset(tiles_unit(job, width, tile, u), 0,
               (size_t)width * TILES_UNIT_WORDS * sizeof(int32_t));
    for (int32_t t = 0; t < n; t++) {
        tiles_fetch_token(job, tile * width + t + TILES_AHEAD, first, end);
        tiles_prepare_token(job, tile * width + t, width, first, end, store);
    }
}
