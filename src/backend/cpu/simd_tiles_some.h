/* Integer layers of 4 bits for some tokens: more than simd_integer_few.h has registers for, too few
 * to be worth panels. x lies in tiles (tiles.h), and each line of repacked weights is unpacked in
 * registers for a tile. */
#pragma once

#include "backend/cpu/simd_tiles.h"

enum {
    SOME_BITS = 4,
    SOME_TOKENS = 12 * TILES_WIDTH, /* beyond it, unpacking once into a panel costs less */
    SOME_BLOCKS = 2,                /* that meet a tile of x while it is in the first-level cache */
    SOME_PAIRS = 16 / SOME_BITS,    /* of columns in a line */
};

/* Some columns of a block, all of one group, and the tile that they meet. */
struct some_part {
    const unsigned char *lines;
    const int32_t *x;
    const float *x_scales, *x_sums; /* sums NULL where no group ends */
    int32_t n_lines;
    size_t ahead; /* bytes from a line to the one that is fetched meanwhile */
};

/* A multiplication of VNNI takes four or five cycles, and those of a line begin in one. */
SIMD_INLINE int some_chains(int n_tokens)
{
    return LINE_CHAINS > 1 && n_tokens < 6 && 2 * n_tokens <= TILES_WIDTH ? 2 : 1;
}

SIMD_INLINE void some_add_part(float (*y)[INTEGER_BLOCK], const struct some_part *part,
                               line_floats scales, line_floats biases, int n_tokens)
{
    const int chains = some_chains(n_tokens);
    line_sums sums[TILES_WIDTH][2];
    const int32_t *x = part->x;
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        sums[t][0] = sums[t][1] = line_sums_zero();
    for (int32_t i = 0; i < part->n_lines; i++, x += SOME_PAIRS * n_tokens) {
        const unsigned char *at = part->lines + i * INTEGER_LINE;
        __builtin_prefetch(at + part->ahead);
        SIMD_UNROLL
        for (int p = 0; p < SOME_PAIRS; p++) {
            line q = line_field(line_load(at), p * SOME_BITS, 0, SOME_BITS);
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++)
                line_multiply_into(&sums[t][p % chains], q, x + p * n_tokens + t);
        }
    }
    /* Or gcc would hold y in registers that the sums need. */
    __asm__ volatile("" ::: "memory");
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        line_sums sum = chains > 1 ? line_sums_add(sums[t][0], sums[t][1]) : sums[t][0];
        line_floats both = line_floats_mul(scales, line_floats_set1(part->x_scales[t]));
        line_floats to = line_floats_fma(line_from_sums(sum), both, line_floats_load(y[t]));
        if (part->x_sums)
            to = line_floats_fma(biases, line_floats_set1(part->x_sums[t]), to);
        line_floats_store(y[t], to);
    }
}

/* Adds the groups of a run, the first of which begins at `at`, to y of a tile. */
SIMD_INLINE void some_multiply(const struct linear_job *job, const unsigned char *at,
                               struct integer_run run, const int32_t *x, float (*y)[INTEGER_BLOCK],
                               size_t ahead, int n_tokens)
{
    const struct weight_source *w = &job->w;
    size_t scales_bytes = integer_scales_bytes(w);
    int32_t n = integer_part(w);
    for (int32_t c = 0; c < run.n;) {
        line_floats scales = line_load_dense(at, w->scale_type);
        line_floats biases = line_load_dense(at + scales_bytes, w->scale_type);
        at += 2 * scales_bytes;
        for (int32_t end = c + w->group; c < end; c += n) {
            const int32_t *unit = x + c / INTEGER_UNIT * n_tokens * TILES_UNIT_WORDS;
            const float *x_scales = (const float *)(const void *)(unit + n_tokens * TILES_PAIRS);
            bool second = c % INTEGER_UNIT != 0; /* half of a unit */
            struct some_part part = {
                .lines = at,
                .x = unit + (second ? TILES_PAIRS / 2 * n_tokens : 0),
                .x_scales = x_scales,
                .x_sums = c + n == end ? x_scales + (second ? 2 : 1) * n_tokens : NULL,
                .n_lines = n / 32 * SOME_BITS,
                .ahead = ahead,
            };
            some_add_part(y, &part, scales, biases, n_tokens);
            at += part.n_lines * INTEGER_LINE;
        }
    }
}

static void some_multiply_width(const struct linear_job *job, const unsigned char *at,
                                struct integer_run run, const int32_t *x, float (*y)[INTEGER_BLOCK],
                                size_t ahead, int32_t width)
{
    switch (width) {
    case 1:
        some_multiply(job, at, run, x, y, ahead, 1);
        return;
    case 2:
        some_multiply(job, at, run, x, y, ahead, 2);
        return;
    case 3:
        some_multiply(job, at, run, x, y, ahead, 3);
        return;
    case 4:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 4 ? TILES_WIDTH : 4);
        return;
    case 5:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 5 ? TILES_WIDTH : 5);
        return;
    case 6:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 6 ? TILES_WIDTH : 6);
        return;
    case 7:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 7 ? TILES_WIDTH : 7);
        return;
    case 8:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 8 ? TILES_WIDTH : 8);
        return;
    case 9:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 9 ? TILES_WIDTH : 9);
        return;
    case 10:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 10 ? TILES_WIDTH : 10);
        return;
    case 11:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH < 11 ? TILES_WIDTH : 11);
        return;
    default:
        some_multiply(job, at, run, x, y, ahead, TILES_WIDTH);
        return;
    }
}

/* How scratch is used. */
struct some_y {
    float of[SOME_BLOCKS][SOME_TOKENS][INTEGER_BLOCK];
};
_Static_assert((int)SOME_TOKENS <= (int)TILES_TOKENS, "more than a job has");
_Static_assert(sizeof(struct some_y) <= KERNEL_SCRATCH * sizeof(float), "too little scratch");

/* Rows [row, row + n_rows) of w, at most SOME_BLOCKS blocks, and all tokens. What is fetched ahead
 * is what this block reads next, in the end what follows the last of these blocks. */
static void some_blocks(const struct linear_job *job, struct some_y *y, int32_t row, int32_t n_rows)
{
    const struct weight_source *w = &job->w;
    const int32_t most = TILES_UNITS * INTEGER_UNIT;
    int32_t width = tiles_width(job->x.rows, TILES_WIDTH);
    int32_t n_tiles = (job->x.rows + width - 1) / width, n_blocks = (n_rows + 15) / INTEGER_BLOCK;
    size_t block_bytes = integer_block_bytes(w);
    const unsigned char *at = job->blocks + (size_t)(row / INTEGER_BLOCK) * block_bytes;
    for (int32_t b = 0; b < n_blocks; b++)
        memset(y->of[b], 0, (size_t)(n_tiles * width) * sizeof y->of[b][0]);
    for (int32_t c = 0; c < w->cols; c += most) {
        struct integer_run run = {c, tiles_min(w->cols - c, most)};
        size_t bytes = (size_t)(run.n / w->group) * integer_group_bytes(w);
        bool last = c + most >= w->cols;
        size_t ahead = bytes + (last ? (size_t)(n_blocks - 1) * block_bytes : 0);
        for (int32_t tile = 0; tile < n_tiles; tile++)
            for (int32_t b = 0; b < n_blocks; b++)
                some_multiply_width(job, at + (size_t)b * block_bytes, run,
                                    tiles_unit(job, width, tile, c / INTEGER_UNIT),
                                    &y->of[b][tile * width], ahead, width);
        at += bytes;
    }
    tiles_store_rows(job, row, n_rows, y->of[0][0], SOME_TOKENS);
}

static void simd_some_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    const int32_t most = SOME_BLOCKS * INTEGER_BLOCK;
    for (int32_t row = first; row < first + n; row += most)
        some_blocks(job, (struct some_y *)scratch, row, tiles_min(first + n - row, most));
}
