/* Many tokens at a time: how x lies for them, and dense weights as integers. integer.h defines what
 * quantized weights give; the same here for bf16 weights of layers that always meet many rows
 * (weight_source.many_rows), to the last bit, for every instruction set and number of rows, but for
 * "amxbf16", which multiplies those as they are (simd_dense_amx.h):
 *
 *   x and each row of w are cut into units of 64 columns (zeros beyond the end). The squares of a
 *   unit are added up by fma in n lanes, lane l taking columns l, l + n, ..., 8 lanes for x and 4
 *   for w, and those as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). w's scale is the least power of
 *   two with which the root of that is at most TILES_W_NORM; x's is the greater of root /
 *   TILES_X_NORM and greatest |x| / TILES_GREATEST. Integers are numbers times 1 / scale, ties to
 *   even. Where the sum of squares is beyond TILES_LEAST and TILES_MOST, 8 times the greatest
 *   stands for the root.
 *   y = 0, and unit by unit, s the exact sum of W X over it, y = fma((float)s, w scale * x scale,
 *   y). Last comes the layer's own bias: y = y + bias.
 *
 * A sum of products is at most the product of the roots (Cauchy and Schwarz), so s fits int32 with
 * two bits more than if only the greatest of each unit were known: W has 11 to 13 bits and a sign,
 * enough that bf16's 8 are nearly always kept, X 13 to 15. */
#pragma once

#include <math.h>

#include "backend/cpu/integer.h"

enum {
    TILES_TOKENS = 960,       /* at most in one linear_job; tiles_tokens says when fewer */
    TILES_LEAST_TOKENS = 528, /* not fewer, however wide: prompts come in batches of 512 */
    TILES_X_UNITS = 64 * 960, /* that there is room for otherwise, 8 MB */
    TILES_UNITS = 4,          /* of x and w that are multiplied at a time */
    TILES_PAIRS = INTEGER_UNIT / 2,
    TILES_UNIT_WORDS =
        TILES_PAIRS + 3, /* of a token: pairs, the scale, sums of at most two groups */
};

#define TILES_W_NORM   32760.0f
#define TILES_X_NORM   65500.0f
#define TILES_GREATEST 32760.0f
#define TILES_LEAST    0x1p-90f
#define TILES_MOST     0x1p+120f

static inline int32_t tiles_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Of one linear_job. The more tokens, the less often weights are made integers, and the more room
 * x takes. A multiple of every width of tiles. */
static inline int32_t tiles_tokens(int32_t cols)
{
    int32_t most = TILES_X_UNITS / integer_units(cols) / 48 * 48;
    most = most < TILES_TOKENS ? most : TILES_TOKENS;
    return most > TILES_LEAST_TOKENS ? most : TILES_LEAST_TOKENS;
}

/* Tokens are taken in tiles of equal width; the last may have some of zeros. */
static inline int32_t tiles_width(int32_t tokens, int32_t most)
{
    int32_t n = (tokens + most - 1) / most;
    return (tokens + n - 1) / n;
}

/* With those zeros. */
static inline int32_t tiles_whole_tokens(int32_t tokens, int32_t most)
{
    int32_t width = tiles_width(tokens, most);
    return (tokens + width - 1) / width * width;
}

/* Four units of the first tile, the same four of the second, ..., then the next four units. A unit
 * of a tile: the first pair of each token, the second of each, ..., then the scales, then
 * the sums of x over the unit's first group (or over the group that ends with the unit, if those
 * are longer), then over its second. */
static inline int32_t *tiles_unit(const struct linear_job *job, int32_t width, int32_t tile,
                                  int32_t unit)
{
    int32_t units = integer_units(job->w.cols), first = unit / TILES_UNITS * TILES_UNITS;
    int32_t n_tiles = (job->x.rows + width - 1) / width;
    int32_t together = units - first < TILES_UNITS ? units - first : TILES_UNITS;
    size_t at = (size_t)first * (size_t)n_tiles + (size_t)(tile * together + unit - first);
    return (int32_t *)(void *)job->prepared + at * (size_t)width * TILES_UNIT_WORDS;
}

/* Of one token whose numbers are two of 16 bits each, as dense_rows may want them. */
static inline size_t tiles_split_floats(int32_t cols)
{
    return (size_t)integer_units(cols) * INTEGER_UNIT;
}

static inline bool tiles_are_for(const struct weight_source *w)
{
    return w->type == WEIGHT_AFFINE || (w->type == WEIGHT_BF16 && w->many_rows);
}

/* What one token takes of linear_job.prepared. */
static inline size_t tiles_prepared_floats(const struct cpu_kernels *k,
                                           const struct weight_source *w)
{
    if (k->dense_rows && w->type != WEIGHT_AFFINE && tiles_are_for(w))
        return tiles_split_floats(w->cols);
    return (size_t)integer_units(w->cols) * TILES_UNIT_WORDS;
}

static inline bool tiles_in_range(float squares)
{
    return squares >= TILES_LEAST && squares <= TILES_MOST;
}

/* The least power of two whose square is at least v, which is in float32's normal range. */
static inline float tiles_power(float v, float *inverse)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    int32_t exponent = (int32_t)((bits + 0x7fffff) >> 23) - 127; /* of the next power of two */
    int32_t half = (exponent + 1) >> 1;
    *inverse = float_from_bits((uint32_t)(127 - half) << 23);
    return float_from_bits((uint32_t)(127 + half) << 23);
}

/* What is not finite makes NaN of every sum it enters; what is almost nothing counts as nothing. */
static inline bool tiles_is_odd(float greatest, float *scale, float *factor)
{
    *factor = 0.0f;
    *scale = greatest < __builtin_inff() ? 0.0f : __builtin_nanf("");
    return !(greatest >= INTEGER_LEAST && greatest < __builtin_inff());
}

/* The scale of a unit of weights and what they are multiplied by, where squares are in range. */
static inline float tiles_weight_scale(float squares, float *factor)
{
    return tiles_power(squares * (1.0f / (TILES_W_NORM * TILES_W_NORM)), factor);
}

/* The same where they are not. */
static inline float tiles_odd_weight_scale(float greatest, float *factor)
{
    float scale, v = greatest * (8.0f / TILES_W_NORM);
    if (tiles_is_odd(greatest, &scale, factor))
        return scale;
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t exponent = (bits + 0x7fffff) >> 23;
    *factor = float_from_bits((254 - exponent) << 23);
    return float_from_bits(exponent << 23);
}

static inline float tiles_x_scale(float squares, float greatest, float *factor)
{
    float scale;
    if (tiles_is_odd(greatest, &scale, factor))
        return scale;
    float norm = tiles_in_range(squares) ? sqrtf(squares) * (1.0f / TILES_X_NORM)
                                         : greatest * (8.0f / TILES_X_NORM);
    scale = greatest * (1.0f / TILES_GREATEST);
    scale = norm > scale ? norm : scale;
    *factor = 1.0f / scale;
    return scale;
}
