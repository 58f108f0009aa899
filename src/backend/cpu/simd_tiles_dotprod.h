/* Integer layers for many tokens (tiles.h) with Armv8.2's dot products of four bytes (Arm
 * Architecture Reference Manual, SDOT, UDOT). As with AMX, 16-bit integers of x are written as
 * 256 h + l, h signed and l not; an integer of a weight is a byte of either kind as long as it has
 * at most seven bits. All others are simd_tiles.h's. */
#pragma once

#include <arm_neon.h>

#include "backend/cpu/simd_tiles.h"

enum {
    DOT_COLUMNS = 16, /* of x that one register holds, */
    DOT_QUADS = 4,    /* in fours, each of which meets four columns of rows */
    DOT_STEPS = INTEGER_UNIT / DOT_COLUMNS,
    DOT_ROWS = 8, /* for whose sums there are registers */
};

static bool dot_is_for(const struct linear_job *job)
{
    return job->blocks && job->w.bits < 8;
}

/* ---- x: for each sixteen columns of a unit, for each token the high bytes and the low ones */

struct dot_x {
    uint8_t high[DOT_COLUMNS], low[DOT_COLUMNS];
};
_Static_assert(sizeof(struct dot_x[DOT_STEPS]) == sizeof(int32_t[TILES_PAIRS]),
               "x has another size than tiles.h says");

/* A word is a pair of columns; bytes of the words a, b lie in the order a b a b. */
static void dot_store_x(struct tiles_x to, const int16_t *x, float scale, const float sums[2])
{
    static const uint8_t low_places[16] = {0,  4,  2,  6,  8,  12, 10, 14,
                                           16, 20, 18, 22, 24, 28, 26, 30};
    uint8x16_t low = vld1q_u8(low_places), high = vaddq_u8(low, vdupq_n_u8(1));
    struct dot_x *steps = (struct dot_x *)(void *)to.unit;
    for (int32_t i = 0; i < DOT_STEPS; i++) {
        struct dot_x *step = &steps[i * to.width + to.at];
        uint8x16x2_t bytes = {{vreinterpretq_u8_s16(vld1q_s16(x + i * DOT_COLUMNS)),
                               vreinterpretq_u8_s16(vld1q_s16(x + i * DOT_COLUMNS + 8))}};
        vst1q_u8(step->high, vqtbl2q_u8(bytes, high));
        vst1q_u8(step->low, vqtbl2q_u8(bytes, low));
    }
    tiles_store_scales(to, scale, sums);
}

static void dot_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    if (dot_is_for(job))
        tiles_prepare(job, tile, run, tiles_width(job->x.rows, TILES_WIDTH), dot_store_x);
    else
        simd_tiles_prepare(job, tile, run);
}

/* ---- panels: lines of four columns, a byte each */

static void dot_fill(struct integer_panel *panel, const struct linear_job *job, int32_t row,
                     int32_t n_rows, struct integer_run run)
{
    (void)n_rows; /* blocks are whole */
    tiles_fill_block(panel->lines, BLOCK_PAIRS / 2, panel->scales, panel->biases, job, row, run,
                     block_unpack_quads);
}

/* ---- products */

/* Some columns of a panel, all of one scale, and the tile that they meet. */
struct dot_part {
    const uint32_t (*lines)[INTEGER_BLOCK];
    const struct dot_x *x;
    const float *scales, *biases; /* of the 16 rows; biases NULL where no group ends */
    const float *x_scales, *x_sums;
    int32_t n_steps;
};

/* Sums of DOT_ROWS rows with the high bytes of a token and with the low ones. */
struct dot_sums {
    int32x4_t high[2];
    uint32x4_t low[2];
};

/* Four rows of w times quad number `quad` of x, a constant. */
SIMD_INLINE int32x4_t dot_high(int32x4_t sums, uint8x16_t w, int8x16_t x, int quad)
{
    int8x16_t rows = vreinterpretq_s8_u8(w);
    switch (quad) {
    case 0:
        return vdotq_laneq_s32(sums, rows, x, 0);
    case 1:
        return vdotq_laneq_s32(sums, rows, x, 1);
    case 2:
        return vdotq_laneq_s32(sums, rows, x, 2);
    default:
        return vdotq_laneq_s32(sums, rows, x, 3);
    }
}

SIMD_INLINE uint32x4_t dot_low(uint32x4_t sums, uint8x16_t w, uint8x16_t x, int quad)
{
    switch (quad) {
    case 0:
        return vdotq_laneq_u32(sums, w, x, 0);
    case 1:
        return vdotq_laneq_u32(sums, w, x, 1);
    case 2:
        return vdotq_laneq_u32(sums, w, x, 2);
    default:
        return vdotq_laneq_u32(sums, w, x, 3);
    }
}

/* Sixteen columns: those lines of a panel from its row `first` on, and the tokens' x. */
SIMD_INLINE void dot_add_step(struct dot_sums *sums, const uint32_t (*lines)[INTEGER_BLOCK],
                              const struct dot_x *x, int first, int n_tokens)
{
    int8x16_t high[TILES_WIDTH];
    uint8x16_t low[TILES_WIDTH];
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        high[t] = vreinterpretq_s8_u8(vld1q_u8(x[t].high));
        low[t] = vld1q_u8(x[t].low);
    }
    SIMD_UNROLL
    for (int quad = 0; quad < DOT_QUADS; quad++) {
        SIMD_UNROLL
        for (int i = 0; i < 2; i++) {
            uint8x16_t w = vreinterpretq_u8_u32(vld1q_u32(lines[quad] + first + 4 * i));
            SIMD_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                sums[t].high[i] = dot_high(sums[t].high[i], w, high[t], quad);
                sums[t].low[i] = dot_low(sums[t].low[i], w, low[t], quad);
            }
        }
    }
}

/* Adds the part's columns of DOT_ROWS rows from `first` on. */
SIMD_INLINE void dot_add_part(float (*y)[INTEGER_BLOCK], const struct dot_part *part, int first,
                              int n_tokens)
{
    struct dot_sums sums[TILES_WIDTH];
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        sums[t].high[0] = sums[t].high[1] = vdupq_n_s32(0);
        sums[t].low[0] = sums[t].low[1] = vdupq_n_u32(0);
    }
    for (int32_t step = 0; step < part->n_steps; step++)
        dot_add_step(sums, part->lines + DOT_QUADS * step, part->x + step * n_tokens, first,
                     n_tokens);
    SIMD_UNROLL
    for (int t = 0; t < n_tokens; t++) {
        SIMD_UNROLL
        for (int i = 0; i < 2; i++) {
            int row = first + 4 * i;
            int32x4_t sum =
                vaddq_s32(vshlq_n_s32(sums[t].high[i], 8), vreinterpretq_s32_u32(sums[t].low[i]));
            float32x4_t scales = vmulq_n_f32(vld1q_f32(part->scales + row), part->x_scales[t]);
            float32x4_t v = vfmaq_f32(vld1q_f32(y[t] + row), vcvtq_f32_s32(sum), scales);
            if (part->biases)
                v = vfmaq_n_f32(v, vld1q_f32(part->biases + row), part->x_sums[t]);
            vst1q_f32(y[t] + row, v);
        }
    }
}

SIMD_INLINE void dot_multiply(const struct integer_panel *panel, const struct linear_job *job,
                              struct integer_run run, const int32_t *x, float (*y)[INTEGER_BLOCK],
                              int n_tokens)
{
    int32_t n = integer_part(&job->w), group = job->w.group;
    for (int32_t c = 0; c < run.n; c += n) {
        const int32_t *unit = x + c / INTEGER_UNIT * n_tokens * TILES_UNIT_WORDS;
        const float *scales = (const float *)(const void *)(unit + n_tokens * TILES_PAIRS);
        int32_t half = c % INTEGER_UNIT != 0, g = c / group;
        struct dot_part part = {
            .lines = panel->lines + c / 4,
            .x = (const struct dot_x *)(const void *)unit + half * DOT_STEPS / 2 * n_tokens,
            .scales = panel->scales[g],
            .biases = (c + n) % group == 0 ? panel->biases[g] : NULL,
            .x_scales = scales,
            .x_sums = scales + (1 + half) * n_tokens,
            .n_steps = n / DOT_COLUMNS,
        };
        for (int row = 0; row < INTEGER_BLOCK; row += DOT_ROWS)
            dot_add_part(y, &part, row, n_tokens);
    }
}

static void dot_multiply_width(const struct integer_panel *panel, const struct linear_job *job,
                               struct integer_run run, const int32_t *x, float (*y)[INTEGER_BLOCK],
                               int32_t width)
{
    switch (width) {
    case 1:
        dot_multiply(panel, job, run, x, y, 1);
        return;
    case 2:
        dot_multiply(panel, job, run, x, y, 2);
        return;
    default:
        dot_multiply(panel, job, run, x, y, TILES_WIDTH);
        return;
    }
}

static void dot_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (dot_is_for(job))
        tiles_rows(job, first, n, scratch, dot_fill, dot_multiply_width);
    else
        simd_tiles_rows(job, first, n, scratch);
}
