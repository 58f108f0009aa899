/* Integer layers for many tokens (tiles.h): panels of 16 rows and 256 columns of weights, as lines
 * of pairs, times tiles of as many tokens as registers hold sums of. */
#pragma once

#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_strassen.h"
#include "backend/cpu/simd_tiles_panel.h"
#include "backend/cpu/simd_tiles_x.h"
#include "backend/cpu/tiles.h"

enum {
    /* That meet a run of x, four units of all its tokens, one after another while the second-level
     * cache has it: the third is too far away where layers are wide or shared with neighbours. */
    TILES_PANELS = 8,
};

/* How scratch is used. */
struct tiles {
    struct integer_panel panel;
    tiles_sums y[STRASSEN_SUMS][TILES_PANELS];
};
_Static_assert(sizeof(struct tiles) <= KERNEL_SCRATCH * sizeof(float), "too little scratch");

/* ---- x */

static void tiles_store_x(struct tiles_x to, const int16_t *x, float scale, const float sums[2])
{
    int32_t words[TILES_UNIT_WORDS];
    memcpy(words, x, INTEGER_UNIT * sizeof *x);
    memcpy(words + TILES_PAIRS, &scale, sizeof scale);
    memcpy(words + TILES_PAIRS + 1, sums, 2 * sizeof *sums);
    for (int32_t i = 0; i < TILES_UNIT_WORDS; i++)
        to.unit[i * to.width + to.at] = words[i];
}

static void simd_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    tiles_prepare(job, tile, run, tiles_width(job->x.rows, TILES_WIDTH), tiles_store_x);
}

static void simd_strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    int32_t width = tiles_width(strassen_tokens(job), TILES_WIDTH);
    strassen_prepare(job, tile, run, width, tiles_store_x);
}

/* ---- y */

/* Some columns of a panel and the tile that they meet. */
struct tiles_part {
    const uint32_t (*lines)[INTEGER_BLOCK];
    const int32_t *x;
    const float *scales, *biases; /* of the 16 rows; biases NULL where no group ends */
    const float *x_scales, *x_sums;
    int32_t n_lines;
};

SIMD_INLINE void tiles_add_part(float (*y)[INTEGER_BLOCK], const struct tiles_part *part,
                                int n_tokens)
{
    line_sums sums[TILES_WIDTH];
    const int32_t *x = part->x;
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        sums[t] = line_sums_zero();
    for (int32_t i = 0; i < part->n_lines; i++, x += n_tokens) {
        line w = line_load(part->lines[i]);
        SIMD_UNROLL
        for (int t = 0; t < n_tokens; t++)
            line_multiply_into(&sums[t], w, x + t);
    }
    /* Or gcc would hold y in registers that the sums need. */
    __asm__ volatile("" ::: "memory");
    line_floats scales = line_floats_load(part->scales);
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        line_floats both = line_floats_mul(scales, line_floats_set1(part->x_scales[t]));
        line_floats_store(y[t],
                          line_floats_fma(line_from_sums(sums[t]), both, line_floats_load(y[t])));
    }
    if (!part->biases)
        return;
    line_floats biases = line_floats_load(part->biases);
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++)
        line_floats_store(y[t], line_floats_fma(biases, line_floats_set1(part->x_sums[t]),
                                                line_floats_load(y[t])));
}

/* Adds the panel's columns to y of a tile. */
SIMD_INLINE void tiles_multiply(const struct integer_panel *panel, const struct linear_job *job,
                                struct integer_run run, const int32_t *x, float (*y)[INTEGER_BLOCK],
                                int n_tokens)
{
    bool affine = job->w.type == WEIGHT_AFFINE;
    int32_t n = affine ? integer_part(&job->w) : INTEGER_UNIT; /* columns that have one scale */
    int32_t group = affine ? job->w.group : INTEGER_UNIT, in_group = 0, g = 0;
    for (int32_t c = 0; c < run.n; c += n) {
        const int32_t *unit = x + c / INTEGER_UNIT * n_tokens * TILES_UNIT_WORDS;
        const float *scales = (const float *)(const void *)(unit + n_tokens * TILES_PAIRS);
        bool second = c % INTEGER_UNIT != 0; /* half of a unit */
        in_group += n;
        struct tiles_part part = {
            .lines = panel->lines + c / 2,
            .x = unit + (second ? TILES_PAIRS / 2 * n_tokens : 0),
            .scales = panel->scales[g],
            .biases = affine && in_group == group ? panel->biases[g] : NULL,
            .x_scales = scales,
            .x_sums = scales + (second ? 2 : 1) * n_tokens,
            .n_lines = n / 2,
        };
        tiles_add_part(y, &part, n_tokens);
        if (in_group == group) {
            in_group = 0;
            g++;
        }
    }
}

static void tiles_multiply_width(const struct integer_panel *panel, const struct linear_job *job,
                                 struct integer_run run, const int32_t *x,
                                 float (*y)[INTEGER_BLOCK], int32_t width)
{
    switch (width) {
    case 1:
        tiles_multiply(panel, job, run, x, y, 1);
        return;
    case 2:
        tiles_multiply(panel, job, run, x, y, 2);
        return;
    case 3:
        tiles_multiply(panel, job, run, x, y, 3);
        return;
    case 4:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 4 ? TILES_WIDTH : 4);
        return;
    case 5:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 5 ? TILES_WIDTH : 5);
        return;
    case 6:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 6 ? TILES_WIDTH : 6);
        return;
    case 7:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 7 ? TILES_WIDTH : 7);
        return;
    case 8:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 8 ? TILES_WIDTH : 8);
        return;
    case 9:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 9 ? TILES_WIDTH : 9);
        return;
    case 10:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 10 ? TILES_WIDTH : 10);
        return;
    case 11:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH < 11 ? TILES_WIDTH : 11);
        return;
    default:
        tiles_multiply(panel, job, run, x, y, TILES_WIDTH);
        return;
    }
}

/* How weights become a panel of n_rows <= 16 rows from `row` on, and what a panel adds to y of a
 * tile. */
typedef void (*tiles_fill_fn)(struct integer_panel *panel, const struct linear_job *job,
                              int32_t row, int32_t n_rows, struct integer_run run);
typedef void (*tiles_multiply_fn)(const struct integer_panel *panel, const struct linear_job *job,
                                  struct integer_run run, const int32_t *x,
                                  float (*y)[INTEGER_BLOCK], int32_t width);

static void tiles_fill(struct integer_panel *panel, const struct linear_job *job, int32_t row,
                       int32_t n_rows, struct integer_run run)
{
    if (job->blocks)
        tiles_fill_block(panel->lines, BLOCK_PAIRS, panel->scales, panel->biases, job, row, run,
                         block_unpack);
    else
        tiles_fill_dense(panel, job, row, n_rows, run);
}

/* All tiles and one panel, whose columns are those of `run`. `next_row`, `next`: the panel after
 * it, whose weights are brought near meanwhile if they are dense. No divisions here: a tile is some
 * hundred cycles. */
SIMD_INLINE void tiles_panel(const struct linear_job *job, struct tiles *s,
                             float (*y)[INTEGER_BLOCK], struct integer_run run, int32_t next_row,
                             int32_t next, tiles_multiply_fn multiply)
{
    int32_t width = tiles_width(job->x.rows, TILES_WIDTH);
    int32_t n_tiles = (job->x.rows + width - 1) / width;
    bool ahead = job->w.type != WEIGHT_AFFINE && next < job->w.cols;
    int32_t next_end = tiles_min(job->w.rows, next_row + INTEGER_BLOCK), due = 0;
    const int32_t *x = tiles_unit(job, width, 0, run.first / INTEGER_UNIT);
    int32_t words = integer_units(run.n) * width * TILES_UNIT_WORDS;
    for (int32_t tile = 0; tile < n_tiles; tile++, x += words, y += width) {
        for (due += INTEGER_BLOCK; ahead && due >= n_tiles && next_row < next_end; due -= n_tiles)
            tiles_prefetch_row(job, next_row++, next);
        multiply(&s->panel, job, run, x, y, width);
    }
}

/* Adds what rows [row, row + n_rows) of w, at most TILES_PANELS times 16, and all tokens give to
 * the panels' sums. */
SIMD_INLINE void tiles_add_rows(const struct linear_job *job, struct tiles *s, tiles_sums *y,
                                int32_t row, int32_t n_rows, tiles_fill_fn fill,
                                tiles_multiply_fn multiply)
{
    const int32_t most = TILES_UNITS * INTEGER_UNIT;
    int32_t panels = (n_rows + 15) / INTEGER_BLOCK;
    for (int32_t c = 0; c < job->w.cols; c += most) {
        struct integer_run run = {c, tiles_min(job->w.cols - c, most)};
        for (int32_t p = 0; p < panels; p++) {
            int32_t first = row + p * INTEGER_BLOCK;
            bool last = p + 1 == panels;
            fill(&s->panel, job, first, tiles_min(row + n_rows - first, INTEGER_BLOCK), run);
            tiles_panel(job, s, y[p], run, last ? row : first + INTEGER_BLOCK, last ? c + most : c,
                        multiply);
        }
    }
}

SIMD_INLINE void tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch,
                            tiles_fill_fn fill, tiles_multiply_fn multiply)
{
    const int32_t most = TILES_PANELS * INTEGER_BLOCK;
    struct tiles *s = (struct tiles *)scratch;
    int32_t tokens = tiles_whole_tokens(job->x.rows, TILES_WIDTH);
    for (int32_t row = first; row < first + n; row += most) {
        int32_t n_rows = tiles_min(first + n - row, most);
        tiles_clear(s->y[0], n_rows, tokens);
        tiles_add_rows(job, s, s->y[0], row, n_rows, fill, multiply);
        tiles_store_rows(job, row, n_rows, s->y[0][0][0], TILES_TOKENS);
    }
}

static void simd_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    tiles_rows(job, first, n, scratch, tiles_fill, tiles_multiply_width);
}

static void tiles_add_product(const struct linear_job *job, float *scratch, tiles_sums *y,
                              int32_t row, int32_t n_rows)
{
    tiles_add_rows(job, (struct tiles *)scratch, y, row, n_rows, tiles_fill, tiles_multiply_width);
}

static void simd_strassen_rows(const struct linear_job *job, int32_t first, int32_t n,
                               float *scratch)
{
    strassen_blocks(job, first, n,
                    &(struct strassen){
                        .sums = ((struct tiles *)scratch)->y[0],
                        .panels = TILES_PANELS,
                        .tokens = tiles_whole_tokens(strassen_tokens(job), TILES_WIDTH),
                        .scratch = scratch,
                        .add = tiles_add_product,
                    });
}
