/* Integer layers for many tokens (tiles.h) with the matrix instructions of Armv8.6: two rows of
 * eight bytes times two others are four sums of eight products in one instruction (Arm Architecture
 * Reference Manual, SMMLA, UMMLA, USMMLA). As with AMX, 16-bit integers are written as 256 h + l, h
 * signed and l not, and sums of products of those are put together again; what exceeds 32 bits on
 * the way falls out, since the sum of a part does not. The bits are tiles.h's. */
#pragma once

#include <arm_neon.h>

#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_strassen.h"
#include "backend/cpu/simd_tiles_panel.h"
#include "backend/cpu/simd_tiles_x.h"
#include "backend/cpu/tiles.h"

enum {
    I8MM_TOKENS = 4, /* of a tile, always: two pairs, zeros where there are fewer */
    I8MM_STEP = 8,   /* columns that an instruction takes */
    I8MM_STEPS = INTEGER_UNIT / I8MM_STEP,
    I8MM_PAIRS = INTEGER_BLOCK / 2, /* of rows */
    I8MM_PANELS = 8,                /* that meet a run of x, as in simd_tiles.h */
};

/* A step of sixteen rows: of each pair of rows eight bytes of the first, eight of the second. */
typedef uint8_t i8mm_rows[I8MM_PAIRS][2 * I8MM_STEP];

/* Affine weights have no high bytes. */
struct i8mm_panel {
    i8mm_rows low[TILES_UNITS * I8MM_STEPS];
    i8mm_rows high[TILES_UNITS * I8MM_STEPS];
    float scales[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
    float biases[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
};

/* A step of a tile of x: of each pair of tokens eight bytes of the first, eight of the second. */
struct i8mm_x {
    uint8_t high[2][2 * I8MM_STEP], low[2][2 * I8MM_STEP];
};
_Static_assert(sizeof(struct i8mm_x[I8MM_STEPS]) == sizeof(int32_t[I8MM_TOKENS * TILES_PAIRS]),
               "x has another size than tiles.h says");

/* Of tiles_sums, y of a tile as the instructions make it: of two rows and two tokens row 0 and
 * token 0, row 0 and token 1, row 1 and token 0, row 1 and token 1. */
typedef float i8mm_y[I8MM_PAIRS][2][4];

/* How scratch is used. */
struct i8mm {
    struct i8mm_panel panel;
    struct integer_panel filling;
    tiles_sums y[STRASSEN_SUMS][I8MM_PANELS];
};
_Static_assert(sizeof(struct i8mm) <= KERNEL_SCRATCH * sizeof(float), "too little scratch");

/* ---- x */

/* A word is a pair of columns; bytes of the words a, b lie in the order a b a b. */
static void i8mm_store_x(struct tiles_x to, const int16_t *x, float scale, const float sums[2])
{
    static const uint8_t low_places[8] = {0, 4, 2, 6, 8, 12, 10, 14};
    uint8x8_t low = vld1_u8(low_places), high = vadd_u8(low, vdup_n_u8(1));
    struct i8mm_x *steps = (struct i8mm_x *)(void *)to.unit;
    int32_t pair = to.at / 2, at = to.at % 2 * I8MM_STEP;
    for (int32_t i = 0; i < I8MM_STEPS; i++) {
        uint8x16_t bytes = vreinterpretq_u8_s16(vld1q_s16(x + i * I8MM_STEP));
        vst1_u8(steps[i].high[pair] + at, vqtbl1_u8(bytes, high));
        vst1_u8(steps[i].low[pair] + at, vqtbl1_u8(bytes, low));
    }
    tiles_store_scales(to, scale, sums);
}

static void i8mm_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    tiles_prepare(job, tile, run, I8MM_TOKENS, i8mm_store_x);
}

static void i8mm_strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    strassen_prepare(job, tile, run, I8MM_TOKENS, i8mm_store_x);
}

/* ---- panels */

/* The first four columns of sixteen rows, and the next four. */
SIMD_INLINE void i8mm_store_rows(i8mm_rows to, line first, line second)
{
    SIMD_UNROLL
    for (int i = 0; i < 2; i++) {
        uint32x4_t a[2] = {first.half[i].a, first.half[i].b};
        uint32x4_t b[2] = {second.half[i].a, second.half[i].b};
        SIMD_UNROLL
        for (int k = 0; k < 2; k++) {
            vst1q_u8(to[4 * i + 2 * k], vreinterpretq_u8_u32(vzip1q_u32(a[k], b[k])));
            vst1q_u8(to[4 * i + 2 * k + 1], vreinterpretq_u8_u32(vzip2q_u32(a[k], b[k])));
        }
    }
}

/* 32 columns of a block as four steps. */
SIMD_INLINE void i8mm_unpack_bits(i8mm_rows *to, const unsigned char *lines, int bits)
{
    SIMD_UNROLL
    for (int s = 0; s < BLOCK_PAIRS / 4; s++)
        i8mm_store_rows(to[s], block_quad(lines, 2 * s, bits), block_quad(lines, 2 * s + 1, bits));
}

static void i8mm_unpack(uint32_t (*lines)[INTEGER_BLOCK], const unsigned char *packed, int32_t bits)
{
    i8mm_rows *to = (i8mm_rows *)(void *)lines;
    switch (bits) {
    case 2:
        i8mm_unpack_bits(to, packed, 2);
        return;
    case 3:
        i8mm_unpack_bits(to, packed, 3);
        return;
    case 4:
        i8mm_unpack_bits(to, packed, 4);
        return;
    case 5:
        i8mm_unpack_bits(to, packed, 5);
        return;
    case 6:
        i8mm_unpack_bits(to, packed, 6);
        return;
    default:
        i8mm_unpack_bits(to, packed, 8);
        return;
    }
}

static void i8mm_fill_dense(struct i8mm *s, const struct linear_job *job, int32_t row,
                            int32_t n_rows, struct integer_run run)
{
    tiles_fill_dense(&s->filling, job, row, n_rows, run);
    memcpy(s->panel.scales, s->filling.scales, sizeof s->panel.scales);
    for (int32_t i = 0; i < integer_units(run.n) * I8MM_STEPS; i++) {
        line a = line_load(s->filling.lines[4 * i]), b = line_load(s->filling.lines[4 * i + 1]);
        line c = line_load(s->filling.lines[4 * i + 2]), d = line_load(s->filling.lines[4 * i + 3]);
        i8mm_store_rows(s->panel.low[i], line_low_bytes(a, b), line_low_bytes(c, d));
        i8mm_store_rows(s->panel.high[i], line_high_bytes(a, b), line_high_bytes(c, d));
    }
}

/* A panel of n_rows <= 16 rows from `row` on. */
static void i8mm_fill(struct i8mm *s, const struct linear_job *job, int32_t row, int32_t n_rows,
                      struct integer_run run)
{
    if (job->blocks)
        tiles_fill_block((uint32_t(*)[INTEGER_BLOCK])(void *)s->panel.low, BLOCK_PAIRS / 2,
                         s->panel.scales, s->panel.biases, job, row, run, i8mm_unpack);
    else
        i8mm_fill_dense(s, job, row, n_rows, run);
}

/* ---- products */

/* Some columns of a panel, all of one scale, and the tile that they meet. */
struct i8mm_part {
    const i8mm_rows *low, *high;
    const struct i8mm_x *x;
    const float *scales, *biases; /* of the 16 rows; biases NULL where no group ends */
    const float *x_scales, *x_sums;
    int32_t n_steps;
};

/* Of a pair of rows, for two tokens each. */
SIMD_INLINE float32x4_t i8mm_of_rows(const float *values)
{
    float32x2_t pair = vld1_f32(values);
    return vcombine_f32(vdup_lane_f32(pair, 0), vdup_lane_f32(pair, 1));
}

/* Of a pair of tokens, for two rows each. */
SIMD_INLINE float32x4_t i8mm_of_tokens(const float *values)
{
    float32x2_t pair = vld1_f32(values);
    return vcombine_f32(pair, pair);
}

SIMD_INLINE void i8mm_add_sums(i8mm_y y, const struct i8mm_part *part, int pair, int tokens,
                               int32x4_t sums)
{
    float32x4_t scales = vmulq_f32(i8mm_of_rows(part->scales + 2 * pair),
                                   i8mm_of_tokens(part->x_scales + 2 * tokens));
    float32x4_t v = vfmaq_f32(vld1q_f32(y[pair][tokens]), vcvtq_f32_s32(sums), scales);
    if (part->biases)
        v = vfmaq_f32(v, i8mm_of_rows(part->biases + 2 * pair),
                      i8mm_of_tokens(part->x_sums + 2 * tokens));
    vst1q_f32(y[pair][tokens], v);
}

/* Four pairs of rows from `first` on. */
SIMD_INLINE void i8mm_multiply_affine(i8mm_y y, const struct i8mm_part *part, int first)
{
    int32x4_t high[4][2];
    uint32x4_t low[4][2];
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        high[i / 2][i % 2] = vdupq_n_s32(0);
        low[i / 2][i % 2] = vdupq_n_u32(0);
    }
    for (int32_t step = 0; step < part->n_steps; step++) {
        const struct i8mm_x *x = &part->x[step];
        SIMD_UNROLL
        for (int i = 0; i < 4; i++) {
            uint8x16_t w = vld1q_u8(part->low[step][first + i]);
            SIMD_UNROLL
            for (int t = 0; t < 2; t++) {
                int8x16_t x_high = vreinterpretq_s8_u8(vld1q_u8(x->high[t]));
                high[i][t] = vusmmlaq_s32(high[i][t], w, x_high);
                low[i][t] = vmmlaq_u32(low[i][t], w, vld1q_u8(x->low[t]));
            }
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        int32x4_t sums = vshlq_n_s32(high[i / 2][i % 2], 8);
        sums = vaddq_s32(sums, vreinterpretq_s32_u32(low[i / 2][i % 2]));
        i8mm_add_sums(y, part, first + i / 2, i % 2, sums);
    }
}

/* Two pairs of rows from `first` on. Signed bytes are an instruction's second operand, so the sums
 * of high bytes of w come with tokens before rows. */
SIMD_INLINE void i8mm_multiply_dense(i8mm_y y, const struct i8mm_part *part, int first)
{
    int32x4_t high[2][2], middle[2][2], turned[2][2];
    uint32x4_t low[2][2];
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        high[i / 2][i % 2] = middle[i / 2][i % 2] = turned[i / 2][i % 2] = vdupq_n_s32(0);
        low[i / 2][i % 2] = vdupq_n_u32(0);
    }
    for (int32_t step = 0; step < part->n_steps; step++) {
        const struct i8mm_x *x = &part->x[step];
        SIMD_UNROLL
        for (int i = 0; i < 2; i++) {
            uint8x16_t w_low = vld1q_u8(part->low[step][first + i]);
            int8x16_t w_high = vreinterpretq_s8_u8(vld1q_u8(part->high[step][first + i]));
            SIMD_UNROLL
            for (int t = 0; t < 2; t++) {
                int8x16_t x_high = vreinterpretq_s8_u8(vld1q_u8(x->high[t]));
                uint8x16_t x_low = vld1q_u8(x->low[t]);
                high[i][t] = vmmlaq_s32(high[i][t], w_high, x_high);
                middle[i][t] = vusmmlaq_s32(middle[i][t], w_low, x_high);
                turned[i][t] = vusmmlaq_s32(turned[i][t], x_low, w_high);
                low[i][t] = vmmlaq_u32(low[i][t], w_low, x_low);
            }
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        int32x4_t other = turned[i / 2][i % 2];
        other = vzip1q_s32(other, vextq_s32(other, other, 2)); /* rows before tokens */
        int32x4_t sums = vaddq_s32(vshlq_n_s32(high[i / 2][i % 2], 8), middle[i / 2][i % 2]);
        sums = vshlq_n_s32(vaddq_s32(sums, other), 8);
        sums = vaddq_s32(sums, vreinterpretq_s32_u32(low[i / 2][i % 2]));
        i8mm_add_sums(y, part, first + i / 2, i % 2, sums);
    }
}

/* Adds the panel's columns to y of a tile. `x`: its units of this run. */
static void i8mm_multiply(const struct i8mm_panel *panel, const struct linear_job *job,
                          struct integer_run run, const int32_t *x, i8mm_y y)
{
    bool affine = job->w.type == WEIGHT_AFFINE;
    int32_t n = affine ? integer_part(&job->w) : INTEGER_UNIT; /* columns that have one scale */
    int32_t group = affine ? job->w.group : INTEGER_UNIT;
    for (int32_t c = 0; c < run.n; c += n) {
        const int32_t *unit = x + c / INTEGER_UNIT * I8MM_TOKENS * TILES_UNIT_WORDS;
        const float *scales = (const float *)(const void *)(unit + I8MM_TOKENS * TILES_PAIRS);
        int32_t half = c % INTEGER_UNIT != 0, g = c / group;
        struct i8mm_part part = {
            .low = panel->low + c / I8MM_STEP,
            .high = panel->high + c / I8MM_STEP,
            .x = (const struct i8mm_x *)(const void *)unit + half * I8MM_STEPS / 2,
            .scales = panel->scales[g],
            .biases = affine && (c + n) % group == 0 ? panel->biases[g] : NULL,
            .x_scales = scales,
            .x_sums = scales + (1 + half) * I8MM_TOKENS,
            .n_steps = n / I8MM_STEP,
        };
        for (int pair = 0; pair < I8MM_PAIRS; pair += affine ? 4 : 2)
            if (affine)
                i8mm_multiply_affine(y, &part, pair);
            else
                i8mm_multiply_dense(y, &part, pair);
    }
}

/* ---- y */

/* Tokens one after another, sixteen rows each, in the same place. */
static void i8mm_order(tiles_sums y, int32_t tokens)
{
    for (int32_t first = 0; first < tokens; first += I8MM_TOKENS) {
        float ordered[I8MM_TOKENS][INTEGER_BLOCK];
        float(*made)[2][4] = (void *)y[first];
        for (int32_t t = 0; t < I8MM_TOKENS; t++)
            for (int32_t r = 0; r < INTEGER_BLOCK; r++)
                ordered[t][r] = made[r / 2][t / 2][r % 2 * 2 + t % 2];
        memcpy(y[first], ordered, sizeof ordered);
    }
}

/* All tiles and the panel, whose columns are those of `run`. `next_row`, `next`: of the panel after
 * it, whose weights are brought near meanwhile if they are dense. */
static void i8mm_tiles(const struct linear_job *job, const struct i8mm_panel *panel, tiles_sums y,
                       struct integer_run run, int32_t next_row, int32_t next)
{
    int32_t n_tiles = (job->x.rows + I8MM_TOKENS - 1) / I8MM_TOKENS;
    int32_t next_rows = tiles_min(job->w.rows - next_row, INTEGER_BLOCK);
    for (int32_t tile = 0; tile < n_tiles; tile++) {
        if (job->w.type != WEIGHT_AFFINE)
            tiles_prefetch(job, next_row, next_rows, next, tile, n_tiles);
        i8mm_multiply(panel, job, run, tiles_unit(job, I8MM_TOKENS, tile, run.first / INTEGER_UNIT),
                      (void *)y[tile * I8MM_TOKENS]);
    }
}

/* Adds rows [row, row + n_rows) of w, at most I8MM_PANELS times 16, and all tokens. */
static void i8mm_add_rows(const struct linear_job *job, float *scratch, tiles_sums *y, int32_t row,
                          int32_t n_rows)
{
    const int32_t most = TILES_UNITS * INTEGER_UNIT;
    struct i8mm *s = (struct i8mm *)scratch;
    int32_t panels = (n_rows + INTEGER_BLOCK - 1) / INTEGER_BLOCK;
    for (int32_t c = 0; c < job->w.cols; c += most) {
        struct integer_run run = {c, tiles_min(job->w.cols - c, most)};
        for (int32_t p = 0; p < panels; p++) {
            int32_t first = row + p * INTEGER_BLOCK;
            bool last = p + 1 == panels;
            i8mm_fill(s, job, first, tiles_min(row + n_rows - first, INTEGER_BLOCK), run);
            i8mm_tiles(job, &s->panel, y[p], run, last ? row : first + INTEGER_BLOCK,
                       last ? c + most : c);
        }
    }
}

static int32_t i8mm_tokens(int32_t tokens)
{
    return (tokens + I8MM_TOKENS - 1) / I8MM_TOKENS * I8MM_TOKENS;
}

static void i8mm_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    const int32_t most = I8MM_PANELS * INTEGER_BLOCK;
    tiles_sums *y = ((struct i8mm *)scratch)->y[0];
    int32_t tokens = i8mm_tokens(job->x.rows);
    for (int32_t row = first; row < first + n; row += most) {
        int32_t n_rows = tiles_min(first + n - row, most);
        tiles_clear(y, n_rows, tokens);
        i8mm_add_rows(job, scratch, y, row, n_rows);
        for (int32_t p = 0; p * INTEGER_BLOCK < n_rows; p++)
            i8mm_order(y[p], tokens);
        tiles_store_rows(job, row, n_rows, y[0][0], TILES_TOKENS);
    }
}

static void i8mm_strassen_rows(const struct linear_job *job, int32_t first, int32_t n,
                               float *scratch)
{
    strassen_blocks(job, first, n,
                    &(struct strassen){
                        .sums = ((struct i8mm *)scratch)->y[0],
                        .panels = I8MM_PANELS,
                        .tokens = i8mm_tokens(strassen_tokens(job)),
                        .scratch = scratch,
                        .add = i8mm_add_rows,
                        .order = i8mm_order,
                    });
}
