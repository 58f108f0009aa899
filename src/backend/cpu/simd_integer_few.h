/* Linear layers with integer activations for few tokens, from repacked weights (integer.h): a block
 * of sixteen rows is read from its beginning to its end, and each pair of columns meets all tokens
 * of the call. */
#pragma once

#include "backend/cpu/simd_blocks.h"

enum {
    FEW_AHEAD = 4096, /* bytes that are prefetched */
    FEW_MOST = 4,     /* tokens for whose sums there are registers */
};

/* Sums of a part: of each token in several chains, which are added up at its end. */
typedef line_sums few_sums[FEW_MOST][4];

/* One token, 4 bits, eight columns: the second and third nibbles stay where they are, 16 and 256
 * times too great, and have sums of their own (at most 16 * 3840 * 32512 < 2^31). */
SIMD_INLINE void few_nibbles(few_sums sums, line words, const int16_t *x)
{
    const int last = LINE_CHAINS > 1 ? 3 : 0;
    line_sums *s = sums[0];
    s[0] = line_multiply(line_and(words, 0x000f000f), x, s[0]);
    s[1] = line_multiply(line_and(words, 0x00f000f0), x + 2, s[1]);
    s[2] = line_multiply(line_and(words, 0x0f000f00), x + 4, s[2]);
    s[last] = line_multiply(line_field(words, 12, 0, 4), x + 6, s[last]);
}

SIMD_INLINE line_sums few_sum_nibbles(few_sums sums)
{
    line_sums *s = sums[0];
    return line_sums_add(line_sums_add(s[0], line_sums_shift_right(s[1], 4)),
                         LINE_CHAINS > 1 ? line_sums_add(line_sums_shift_right(s[2], 8), s[3])
                                         : line_sums_shift_right(s[2], 8));
}

SIMD_INLINE int few_chains(int n_tokens)
{
    return n_tokens >= LINE_CHAINS ? 1 : n_tokens == 1 ? 4 : 2;
}

/* 32 columns from `column` on. */
SIMD_INLINE void few_columns(few_sums sums, const unsigned char *lines, const struct integer_row *x,
                             int32_t column, int bits, int n_tokens)
{
    SIMD_UNROLL
    for (int i = 0; i < bits; i++)
        __builtin_prefetch(lines + i * INTEGER_LINE + FEW_AHEAD);
    if (bits == 4 && n_tokens == 1) {
        SIMD_UNROLL
        for (int o = 0; o < 4; o++)
            few_nibbles(sums, line_load(lines + o * INTEGER_LINE), x[0].x + column + 8 * o);
        return;
    }
    SIMD_UNROLL
    for (int p = 0; p < BLOCK_PAIRS; p++) {
        line q = block_pair(lines, p, bits);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++) {
            line_sums *s = &sums[t][p % few_chains(n_tokens)];
            *s = line_multiply(q, x[t].x + column + 2 * p, *s);
        }
    }
}

/* sums[t][0] of n columns from `column` on. */
SIMD_INLINE void few_part(few_sums sums, const unsigned char *lines, const struct integer_row *x,
                          int32_t column, int32_t n, int bits, int n_tokens)
{
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        SIMD_UNROLL
        for (int i = 0; i < 4; i++)
            sums[t][i] = line_sums_zero();
    }
    for (int32_t c = 0; c < n; c += 32, lines += bits * INTEGER_LINE)
        few_columns(sums, lines, x, column + c, bits, n_tokens);
    if (bits == 4 && n_tokens == 1) {
        sums[0][0] = few_sum_nibbles(sums);
        return;
    }
    const int chains = few_chains(n_tokens);
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        if (chains == 4)
            sums[t][1] = line_sums_add(line_sums_add(sums[t][1], sums[t][2]), sums[t][3]);
        if (chains > 1)
            sums[t][0] = line_sums_add(sums[t][0], sums[t][1]);
    }
}

static inline void few_store(const struct linear_job *job, int32_t row, int32_t n_rows,
                             int32_t token, line_floats sums)
{
    float floats[INTEGER_BLOCK];
    line_floats_store(floats, sums);
    float *y = job->y.data + (size_t)token * (size_t)job->y.stride + (size_t)row;
    for (int32_t r = 0; r < n_rows; r++)
        y[r] = floats[r] + (job->bias ? job->bias[row + r] : 0.0f);
}

/* y of n_rows <= 16 rows from `row`, the first of a block, for n_tokens tokens. */
SIMD_INLINE void few_block(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int bits, int n_tokens)
{
    const struct weight_source *w = &job->w;
    const unsigned char *at = job->blocks + (size_t)(row / INTEGER_BLOCK) * integer_block_bytes(w);
    size_t scales_bytes = integer_scales_bytes(w);
    int32_t part = integer_part(w), groups = w->cols / w->group;
    struct integer_row x[FEW_MOST];
    line_floats y[FEW_MOST];
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        x[t] = integer_row(job, token + t);
        y[t] = line_floats_set1(0.0f);
    }
    for (int32_t g = 0, c = 0; g < groups; g++) {
        const unsigned char *lines = at + 2 * scales_bytes;
        for (int32_t end = c + w->group; c < end; c += part) {
            few_sums sums;
            few_part(sums, lines, x, c, part, bits, n_tokens);
            line_floats scales = line_load_dense(at, w->scale_type);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                line_floats scale =
                    line_floats_mul(scales, line_floats_set1(x[t].scales[c / INTEGER_UNIT]));
                y[t] = line_floats_fma(line_from_sums(sums[t][0]), scale, y[t]);
            }
            lines += (size_t)part / 32 * (size_t)bits * INTEGER_LINE;
        }
        line_floats biases = line_load_dense(at + scales_bytes, w->scale_type);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            y[t] = line_floats_fma(biases, line_floats_set1(x[t].sums[g]), y[t]);
        at = lines;
    }
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        few_store(job, row, n_rows, token + t, y[t]);
}

/* Returns how many tokens it took. More than three of 4 bits, which nearly all checkpoints have,
 * are simd_tiles_some.h's. */
static int32_t few_block_4(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    if (n >= 3) {
        few_block(job, row, n_rows, token, 4, 3);
        return 3;
    }
    if (n == 2) {
        few_block(job, row, n_rows, token, 4, 2);
        return 2;
    }
    few_block(job, row, n_rows, token, 4, 1);
    return 1;
}

SIMD_INLINE int32_t few_block_bits(const struct linear_job *job, int32_t row, int32_t n_rows,
                                   int32_t token, int32_t n, int bits)
{
    if (n >= 4) {
        few_block(job, row, n_rows, token, bits, 4);
        return 4;
    }
    if (n >= 2) {
        few_block(job, row, n_rows, token, bits, 2);
        return 2;
    }
    few_block(job, row, n_rows, token, bits, 1);
    return 1;
}

static int32_t few_block_2(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    return few_block_bits(job, row, n_rows, token, n, 2);
}

static int32_t few_block_3(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    return few_block_bits(job, row, n_rows, token, n, 3);
}

static int32_t few_block_5(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    return few_block_bits(job, row, n_rows, token, n, 5);
}

static int32_t few_block_6(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    return few_block_bits(job, row, n_rows, token, n, 6);
}

static int32_t few_block_8(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t token,
                           int32_t n)
{
    return few_block_bits(job, row, n_rows, token, n, 8);
}

/* Rows [first, first + n), first at the beginning of a block, for all tokens. */
static void integer_few_rows(const struct linear_job *job, int32_t first, int32_t n)
{
    static int32_t (*const of_bits[9])(const struct linear_job *job, int32_t row, int32_t n_rows,
                                       int32_t token, int32_t n) = {
        [2] = few_block_2, [3] = few_block_3, [4] = few_block_4,
        [5] = few_block_5, [6] = few_block_6, [8] = few_block_8,
    };
    for (int32_t row = first; row < first + n; row += INTEGER_BLOCK) {
        int32_t rows = first + n - row < INTEGER_BLOCK ? first + n - row : INTEGER_BLOCK;
        for (int32_t t = 0; t < job->x.rows;)
            t += of_bits[job->w.bits](job, row, rows, t, job->x.rows - t);
    }
}
