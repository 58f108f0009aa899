/* Integer activations: what they are, how a prepared row of x lies in memory, and how weights do
 * that were repacked for them. The arithmetic is defined to the last bit, and every instruction set
 * gives the same bits, whatever the batch:
 *
 *   x is cut into units of 64 columns (zeros beyond its end). A unit's scale is the greatest |x|
 *   over INTEGER_GREATEST; X = x times 1 / scale, rounded to the nearest integer, ties to even.
 *   The sum of x over a group is the sum of X times scale, unit by unit.
 *   A part is a unit, or half of one where groups are of 32. For one row of w and one token
 *   y = 0, and part by part, s the exact sum of q X over the part,
 *     y = fma((float)s, weight scale * x scale, y)       (the product rounded before)
 *   and, where a group ends with the part,
 *     y = fma(bias of the group, sum of x over the group, y).
 *   Last comes the layer's own bias: y = y + bias.
 *
 * So y is the exact product with the rounded x, as exactly as float32 sums are. 16 bits, because
 * with 8 the best token changes too often (docs/FIDELITY.md). Nothing here adds over columns that
 * lie beside one another: rows are lanes. */
#pragma once

#include "backend/cpu/kernels.h"

enum {
    INTEGER_UNIT = 64,
    INTEGER_GREATEST = 32512, /* 127 * 256: 64 products with 255 fit int32 */
    INTEGER_BLOCK = 16,       /* rows of repacked weights */
    INTEGER_LINE = 64,        /* bytes: 32 bits of each row of a block */
};

/* Below it x counts as zero: its reciprocal would leave float32. */
#define INTEGER_LEAST 1e-30f

/* A row of x: for each unit 64 int16 (integer_place), then the scales of the units, then the sums
 * of the groups. Fits where the floats of the row would. */
struct integer_row {
    int16_t *x;
    float *scales;
    float *sums;
};

static inline int32_t integer_units(int32_t cols)
{
    return (cols + INTEGER_UNIT - 1) / INTEGER_UNIT;
}

/* Columns of a part, which are integers of x that lie side by side. */
static inline int32_t integer_part(const struct weight_source *w)
{
    return w->group < INTEGER_UNIT ? w->group : INTEGER_UNIT;
}

/* Where X of column c lies: each eight in the order 0 4 1 5 2 6 3 7, so that a 32-bit word is the
 * pair of columns j and j + 4, which meets the nibbles j and j + 4 of a file's 32-bit word when
 * that is shifted right by 4 j and masked with 0x000f000f. */
static inline int32_t integer_place(int32_t c)
{
    return c / 8 * 8 + c % 4 * 2 + c % 8 / 4;
}

static inline struct integer_row integer_row(const struct linear_job *job, int32_t token)
{
    int32_t units = integer_units(job->w.cols);
    float *at = job->prepared + (size_t)token * linear_prepared_floats(job->w.cols);
    float *scales = at + (size_t)units * (INTEGER_UNIT / 2);
    return (struct integer_row){(int16_t *)(void *)at, scales, scales + units};
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

/* ---- repacked weights: what decoding reads, once and in order
 *
 * A block is sixteen rows (zeros beyond the last), and group by group
 *   the scales of the rows, then their biases, of the type that the file has,
 *   the integers, 32 columns at a time, as lines: 32 bits of each row.
 * The integers of 32 columns are sixteen pairs: pair 4 o + j is columns 8 o + j and 8 o + j + 4.
 * Of integers of b = 8, 4, 2 or 1 bits a line holds 16 / b pairs, one after another from the low
 * bits on, the first column of each in the lower half of the 32 bits, the second in the upper; 4
 * bits lie as in the file. Integers of 3, 5 and 6 bits are cut in two: first the lines of the low
 * bits, then those of the high ones (integer_low_bits). So there are as many lines as bits. */

static inline bool integer_repacks(const struct weight_source *w)
{
    return w->type == WEIGHT_AFFINE && !w->lookup;
}

static inline int32_t integer_low_bits(int32_t bits)
{
    return bits == 8 ? 8 : bits >= 4 ? 4 : 2;
}

static inline size_t integer_scales_bytes(const struct weight_source *w)
{
    return INTEGER_BLOCK * dense_size(w->scale_type);
}

static inline size_t integer_group_bytes(const struct weight_source *w)
{
    return 2 * integer_scales_bytes(w) + (size_t)w->group / 32 * (size_t)w->bits * INTEGER_LINE;
}

static inline size_t integer_block_bytes(const struct weight_source *w)
{
    return (size_t)(w->cols / w->group) * integer_group_bytes(w);
}

static inline int32_t integer_blocks(const struct weight_source *w)
{
    return (w->rows + INTEGER_BLOCK - 1) / INTEGER_BLOCK;
}
