/* Integer activations: what they are, and how a prepared row of x lies in memory. The arithmetic is
 * defined to the last bit, and every instruction set gives the same bits:
 *
 *   x is cut into units of 64 columns (zeros beyond its end). A unit's scale is the greatest |x|
 *   over INTEGER_GREATEST; X = x times 1 / scale, rounded to the nearest integer, ties to even.
 *   Lane l of a unit has its columns 8 l to 8 l + 7; the lane's sum of q X is exact. Unit by unit
 *     lane = fma((float)sum, weight scale * x scale, lane),
 *   and then group by group, lane g % 8 taking
 *     lane = fma(bias of group g, sum of x over group g, lane),
 *   where that sum is scale * sum of X, unit by unit, and groups are filled up with zeros to a
 *   multiple of 8. y is ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) of the lanes, and then the
 *   layer's own bias.
 *
 * So y is the exact product with the rounded x, as exactly as float32 sums are. 16 bits, because
 * with 8 the best token changes too often (docs/FIDELITY.md). */
#pragma once

#include "backend/cpu/kernels.h"

enum {
    INTEGER_UNIT = 64,
    INTEGER_GREATEST = 32512, /* 127 * 256: also fits two bytes of which each is a signed one */
};

/* Below it x counts as zero: its reciprocal would leave float32. */
#define INTEGER_LEAST 1e-30f

/* A row of x: for each unit 64 int16, then the scales of the units, then the sums of the groups,
 * zeros after the last up to a multiple of 8. Fits where the floats of the row would. */
struct integer_row {
    int16_t *x;
    float *scales;
    float *sums;
};

static inline int32_t integer_units(int32_t cols)
{
    return (cols + INTEGER_UNIT - 1) / INTEGER_UNIT;
}

/* Where X of column c lies in its unit: word 2 l + h of plane j has column 8 l + 4 h + j, so that a
 * plane meets the j-th nibbles of the 16-bit words of a file. */
static inline int32_t integer_place(int32_t c)
{
    return c % 4 * 16 + c / 4;
}

static inline struct integer_row integer_row(const struct linear_job *job, int32_t token)
{
    int32_t units = integer_units(job->w.cols);
    float *at = job->prepared + (size_t)token * linear_prepared_floats(job->w.cols);
    float *scales = at + (size_t)units * (INTEGER_UNIT / 2);
    return (struct integer_row){(int16_t *)(void *)at, scales, scales + units};
}

static inline size_t integer_sums_floats(const struct weight_source *w)
{
    return ((size_t)(w->cols / w->group) + 7) / 8 * 8;
}

/* The scale of a unit whose greatest |x| is `greatest`, and what x is multiplied by. What is not
 * finite makes NaN of every sum it enters. */
static inline float integer_scale(float greatest, float *factor)
{
    *factor = 0.0f;
    if (!(greatest < __builtin_inff()))
        return __builtin_nanf("");
    if (greatest < INTEGER_LEAST)
        return 0.0f;
    *factor = (float)INTEGER_GREATEST / greatest;
    return greatest / (float)INTEGER_GREATEST;
}
