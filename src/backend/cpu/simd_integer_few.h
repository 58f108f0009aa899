/* Linear layers with integer activations for few tokens, from repacked weights of 4 bits
 * (integer.h): a block of sixteen rows is read from its beginning to its end, and each line meets
 * all tokens of the call. */
#pragma once

#include "backend/cpu/integer.h"
#include "backend/cpu/simd_lines.h"

enum {
    FEW_TOKENS = 4,   /* for whose sums there are registers */
    FEW_AHEAD = 4096, /* bytes that are prefetched */
};

/* Sums of a part. With one token the second and third nibbles stay where they are, 16 and 256 times
 * too great, and have sums of their own (at most 16 * 3840 * 32512 < 2^31). */
struct few_sums {
    line_sums of_token[FEW_TOKENS];
    line_sums by_16, by_256;
};

SIMD_INLINE void few_octet_alone(struct few_sums *sums, line words, const int16_t *x)
{
    line_sums s = sums->of_token[0];
    s = line_multiply(line_and(words, 0x000f000f), x, s);
    sums->by_16 = line_multiply(line_and(words, 0x00f000f0), x + 2, sums->by_16);
    sums->by_256 = line_multiply(line_and(words, 0x0f000f00), x + 4, sums->by_256);
    sums->of_token[0] = line_multiply(line_nibbles(words, 3), x + 6, s);
}

SIMD_INLINE void few_octet(struct few_sums *sums, line words, const struct integer_row *x,
                           int32_t column, int n_tokens)
{
    SIMD_UNROLL
    for (int j = 0; j < 4; j++) {
        line q = line_nibbles(words, j);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            sums->of_token[t] = line_multiply(q, x[t].x + column + 2 * j, sums->of_token[t]);
    }
}

/* The sums of n columns from `column` on. */
SIMD_INLINE void few_part(struct few_sums *sums, const unsigned char *lines,
                          const struct integer_row *x, int32_t column, int32_t n, int n_tokens)
{
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        sums->of_token[t] = line_sums_zero();
    sums->by_16 = sums->by_256 = line_sums_zero();
    for (int32_t c = 0; c < n; c += 32) {
        SIMD_UNROLL
        for (int32_t o = 0; o < 32; o += 8, lines += INTEGER_LINE) {
            __builtin_prefetch(lines + FEW_AHEAD);
            if (n_tokens == 1)
                few_octet_alone(sums, line_load(lines), x[0].x + column + c + o);
            else
                few_octet(sums, line_load(lines), x, column + c + o, n_tokens);
        }
    }
    if (n_tokens == 1)
        sums->of_token[0] =
            line_sums_add(sums->of_token[0], line_sums_add(line_sums_shift_right(sums->by_16, 4),
                                                           line_sums_shift_right(sums->by_256, 8)));
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
                           int n_tokens)
{
    const struct weight_source *w = &job->w;
    const unsigned char *at = job->blocks + (size_t)(row / INTEGER_BLOCK) * integer_block_bytes(w);
    size_t scales_bytes = integer_scales_bytes(w);
    int32_t part = integer_part(w), groups = w->cols / w->group;
    struct integer_row x[FEW_TOKENS];
    line_floats y[FEW_TOKENS];
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        x[t] = integer_row(job, token + t);
        y[t] = line_floats_set1(0.0f);
    }
    for (int32_t g = 0, c = 0; g < groups; g++) {
        const unsigned char *lines = at + 2 * scales_bytes;
        for (int32_t end = c + w->group; c < end; c += part) {
            struct few_sums sums;
            few_part(&sums, lines, x, c, part, n_tokens);
            line_floats scales = line_load_dense(at, w->scale_type);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                line_floats scale =
                    line_floats_mul(scales, line_floats_set1(x[t].scales[c / INTEGER_UNIT]));
                y[t] = line_floats_fma(line_from_sums(sums.of_token[t]), scale, y[t]);
            }
            lines += (size_t)part / 8 * INTEGER_LINE;
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

SIMD_INLINE void few_blocks(const struct linear_job *job, int32_t first, int32_t n, int32_t token,
                            int n_tokens)
{
    for (int32_t row = first; row < first + n; row += INTEGER_BLOCK) {
        int32_t left = first + n - row;
        few_block(job, row, left < INTEGER_BLOCK ? left : INTEGER_BLOCK, token, n_tokens);
    }
}

/* Rows [first, first + n), first at the beginning of a block, for all tokens. */
static void integer_few_rows(const struct linear_job *job, int32_t first, int32_t n)
{
    int32_t token = 0;
    for (; token + FEW_TOKENS <= job->x.rows; token += FEW_TOKENS)
        few_blocks(job, first, n, token, FEW_TOKENS);
    if (job->x.rows - token == 3)
        few_blocks(job, first, n, token, 3);
    else if (job->x.rows - token == 2)
        few_blocks(job, first, n, token, 2);
    else if (job->x.rows - token == 1)
        few_blocks(job, first, n, token, 1);
}
