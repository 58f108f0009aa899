/* Integer layers for many tokens (tiles.h) with AMX: the processor multiplies 16 tokens by 64
 * columns with 64 columns by 16 rows in one instruction (Intel 64 Architectures Software
 * Developer's Manual 1, chapter 18, and 2, TDPBSSD), but bytes only. So 16-bit integers are written
 * as 256 h + l, h signed and l not, and sums of products of those are put together again; what
 * exceeds 32 bits on the way falls out, since the sum of a part does not. The bits are tiles.h's.
 */
#pragma once

#include "backend/cpu/simd_amx.h"
#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_strassen.h"
#include "backend/cpu/simd_tiles_panel.h"
#include "backend/cpu/simd_tiles_x.h"
#include "backend/cpu/tiles.h"

enum {
    AMX_PANELS = 4, /* that meet a tile of x while it is in the first-level cache */
    AMX_QUADS = INTEGER_UNIT / 4,
    AMX_SUMS = 4, /* tiles of sums that are made together */
    /* Sums are added while the next ones are made: what tiles store is not forwarded to loads,
     * which would wait for it to reach the cache. */
    AMX_WAITING = 2,
};

/* The tile registers. Instructions want their numbers as texts, so no enum will do. */
#define AMX_X_HIGH  0
#define AMX_X_LOW   1
#define AMX_W       2
#define AMX_W_OTHER 3 /* of a second panel, or the high bytes of dense weights */
#define AMX_SUM_0   4
#define AMX_SUM_1   5
#define AMX_SUM_2   6
#define AMX_SUM_3   7

/* A panel as bytes: for each four columns a line of 16 rows x 4 bytes. Affine weights have no high
 * bytes. */
struct amx_panel {
    _Alignas(64) uint32_t low[TILES_UNITS * AMX_QUADS][INTEGER_BLOCK];
    uint32_t high[TILES_UNITS * AMX_QUADS][INTEGER_BLOCK];
    float scales[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
    float biases[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
};

struct amx_sums {
    _Alignas(64) int32_t of[AMX_TOKENS][INTEGER_BLOCK];
};

/* How scratch is used. */
struct amx {
    struct amx_panel panels[AMX_PANELS];
    struct integer_panel filling;
    struct amx_sums sums[AMX_WAITING][AMX_SUMS];
    tiles_sums y[STRASSEN_SUMS][AMX_PANELS];
};
_Static_assert(sizeof(struct amx) <= KERNEL_SCRATCH * sizeof(float), "too little scratch");

/* Sums of a part that are in memory, and what they are to be multiplied by and added to. */
struct amx_part {
    const struct amx_sums *sums;
    float (*y[2])[INTEGER_BLOCK]; /* of each panel */
    const struct amx_panel *panels[2];
    const float *x_scales, *x_sums;
    int32_t n_panels, width;
    int32_t scale, bias; /* numbers of the panels' scales and biases; bias -1: no group ends */
};

static void amx_begin(int32_t width, int32_t part)
{
    struct amx_shapes shapes = {.palette = 1};
    for (int i = AMX_X_HIGH; i <= AMX_X_LOW; i++) {
        shapes.rows[i] = (uint8_t)width;
        shapes.bytes[i] = (uint16_t)part;
    }
    for (int i = AMX_W; i <= AMX_W_OTHER; i++) {
        shapes.rows[i] = (uint8_t)(part / 4);
        shapes.bytes[i] = INTEGER_LINE;
    }
    for (int i = AMX_SUM_0; i <= AMX_SUM_3; i++) {
        shapes.rows[i] = (uint8_t)width;
        shapes.bytes[i] = INTEGER_LINE;
    }
    amx_see_memory();
    _tile_loadconfig(&shapes);
}

/* ---- x and panels as bytes */

/* A unit of a tile: for each token 64 high bytes, for each token 64 low bytes, then scales and sums
 * as everywhere. */
static void amx_store_x(struct tiles_x to, const int16_t *x, float scale, const float sums[2])
{
    unsigned char *bytes = (unsigned char *)to.unit + to.at * INTEGER_UNIT;
    for (int32_t i = 0; i < 2; i++) {
        /* Even words to the lower half of 64 bits, odd ones to the upper. */
        __m512i pairs = _mm512_loadu_si512(x + 32 * i), odd = _mm512_srli_epi64(pairs, 32);
        __m256i high = _mm512_cvtepi64_epi32(line_high_bytes(pairs, odd));
        __m256i low = _mm512_cvtepi64_epi32(line_low_bytes(pairs, odd));
        _mm256_storeu_si256((__m256i *)(void *)(bytes + 32 * i), high);
        bytes += to.width * INTEGER_UNIT;
        _mm256_storeu_si256((__m256i *)(void *)(bytes + 32 * i), low);
        bytes -= to.width * INTEGER_UNIT;
    }
    tiles_store_scales(to, scale, sums);
}

static void amx_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    tiles_prepare(job, tile, run, tiles_width(job->x.rows, AMX_TOKENS), amx_store_x);
}

static void amx_strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    int32_t width = tiles_width(strassen_tokens(job), AMX_TOKENS);
    strassen_prepare(job, tile, run, width, amx_store_x);
}

static void amx_fill_dense(struct amx *s, struct amx_panel *panel, const struct linear_job *job,
                           int32_t row, int32_t n_rows, struct integer_run run)
{
    tiles_fill_dense(&s->filling, job, row, n_rows, run);
    memcpy(panel->scales, s->filling.scales, sizeof panel->scales);
    for (int32_t q = 0; q < integer_units(run.n) * AMX_QUADS; q++) {
        line a = line_load(s->filling.lines[2 * q]), b = line_load(s->filling.lines[2 * q + 1]);
        line_store(panel->low[q], line_low_bytes(a, b));
        line_store(panel->high[q], line_high_bytes(a, b));
    }
}

static void amx_fill(struct amx *s, const struct linear_job *job, int32_t row, int32_t n_rows,
                     struct integer_run run)
{
    for (int32_t p = 0; p * INTEGER_BLOCK < n_rows; p++) {
        int32_t done = p * INTEGER_BLOCK;
        if (job->blocks)
            tiles_fill_block(s->panels[p].low, BLOCK_PAIRS / 2, s->panels[p].scales,
                             s->panels[p].biases, job, row + done, run, block_unpack_quads);
        else
            amx_fill_dense(s, &s->panels[p], job, row + done,
                           tiles_min(n_rows - done, INTEGER_BLOCK), run);
    }
}

/* ---- products */

/* Sums of q times the high bytes of x and times the low ones, of one or two panels. */
static void amx_multiply_affine(struct amx_sums *sums, const uint32_t *w, const uint32_t *other)
{
    _tile_loadd(AMX_W, w, INTEGER_LINE);
    _tile_zero(AMX_SUM_0);
    _tile_zero(AMX_SUM_1);
    _tile_dpbsud(AMX_SUM_0, AMX_X_HIGH, AMX_W);
    _tile_dpbuud(AMX_SUM_1, AMX_X_LOW, AMX_W);
    if (other) {
        _tile_loadd(AMX_W_OTHER, other, INTEGER_LINE);
        _tile_zero(AMX_SUM_2);
        _tile_zero(AMX_SUM_3);
        _tile_dpbsud(AMX_SUM_2, AMX_X_HIGH, AMX_W_OTHER);
        _tile_dpbuud(AMX_SUM_3, AMX_X_LOW, AMX_W_OTHER);
        _tile_stored(AMX_SUM_2, sums[2].of, INTEGER_LINE);
        _tile_stored(AMX_SUM_3, sums[3].of, INTEGER_LINE);
    }
    _tile_stored(AMX_SUM_0, sums[0].of, INTEGER_LINE);
    _tile_stored(AMX_SUM_1, sums[1].of, INTEGER_LINE);
}

/* Sums of high times high, of high times low and low times high, of low times low. */
static void amx_multiply_dense(struct amx_sums *sums, const uint32_t *low, const uint32_t *high)
{
    _tile_loadd(AMX_W, low, INTEGER_LINE);
    _tile_loadd(AMX_W_OTHER, high, INTEGER_LINE);
    _tile_zero(AMX_SUM_0);
    _tile_zero(AMX_SUM_1);
    _tile_zero(AMX_SUM_2);
    _tile_dpbssd(AMX_SUM_0, AMX_X_HIGH, AMX_W_OTHER);
    _tile_dpbsud(AMX_SUM_1, AMX_X_HIGH, AMX_W);
    _tile_dpbuud(AMX_SUM_2, AMX_X_LOW, AMX_W);
    _tile_dpbusd(AMX_SUM_1, AMX_X_LOW, AMX_W_OTHER);
    _tile_stored(AMX_SUM_0, sums[0].of, INTEGER_LINE);
    _tile_stored(AMX_SUM_2, sums[2].of, INTEGER_LINE);
    _tile_stored(AMX_SUM_1, sums[1].of, INTEGER_LINE);
}

/* Whole sums of token t and 16 rows. */
SIMD_INLINE __m512i amx_whole_affine(const struct amx_sums *sums, int32_t t)
{
    __m512i high = _mm512_slli_epi32(line_load(sums[0].of[t]), 8);
    return _mm512_add_epi32(high, line_load(sums[1].of[t]));
}

SIMD_INLINE __m512i amx_whole_dense(const struct amx_sums *sums, int32_t t)
{
    __m512i high = _mm512_slli_epi32(line_load(sums[0].of[t]), 16);
    __m512i middle = _mm512_slli_epi32(line_load(sums[1].of[t]), 8);
    return _mm512_add_epi32(_mm512_add_epi32(high, middle), line_load(sums[2].of[t]));
}

SIMD_INLINE void amx_add_panel(const struct amx_part *part, int32_t p, bool dense, bool ends)
{
    line_floats scales = line_floats_load(part->panels[p]->scales[part->scale]);
    line_floats biases = line_floats_set1(0.0f);
    const struct amx_sums *sums = part->sums + 2 * p;
    const float *x_scales = part->x_scales, *x_sums = part->x_sums;
    float(*y)[INTEGER_BLOCK] = part->y[p];
    if (ends)
        biases = line_floats_load(part->panels[p]->biases[part->bias]);
    for (int32_t t = 0; t < part->width; t++) {
        __m512i whole = dense ? amx_whole_dense(sums, t) : amx_whole_affine(sums, t);
        line_floats both = line_floats_mul(scales, line_floats_set1(x_scales[t]));
        line_floats v = line_floats_fma(line_from_sums(whole), both, line_floats_load(y[t]));
        if (ends)
            v = line_floats_fma(biases, line_floats_set1(x_sums[t]), v);
        line_floats_store(y[t], v);
    }
}

/* y = fma(sums, scales, y), and the biases where a group ends. */
static void amx_add(const struct amx_part *part, bool dense)
{
    for (int32_t p = 0; p < part->n_panels; p++)
        if (dense)
            amx_add_panel(part, p, true, false);
        else if (part->bias >= 0)
            amx_add_panel(part, p, false, true);
        else
            amx_add_panel(part, p, false, false);
}

/* A run of a layer in which panels and tiles of x meet, and its parts that are yet to be added:
 * number i is in waiting[i % AMX_WAITING]. */
struct amx_run {
    const struct linear_job *job;
    tiles_sums *y; /* of each panel */
    struct integer_run columns;
    int32_t panels, width;
    struct amx_part waiting[AMX_WAITING];
    int32_t n_made, n_added;
};

static void amx_add_next(struct amx_run *run, bool dense)
{
    amx_add(&run->waiting[run->n_added % AMX_WAITING], dense);
    run->n_added++;
}

/* A part of a tile of x and all panels; `quad` is the number of the panels' lines. */
static void amx_multiply_part(struct amx *s, struct amx_run *run, struct amx_part part,
                              const uint32_t *x, int32_t tile, int32_t quad)
{
    bool dense = run->job->w.type != WEIGHT_AFFINE;
    int32_t together = dense ? 1 : 2;
    _tile_loadd(AMX_X_HIGH, x, INTEGER_UNIT);
    _tile_loadd(AMX_X_LOW, x + run->width * AMX_QUADS, INTEGER_UNIT);
    for (int32_t p = 0; p < run->panels; p += together) {
        const struct amx_panel *panel = &s->panels[p];
        if (run->n_made - run->n_added == AMX_WAITING)
            amx_add_next(run, dense);
        struct amx_sums *sums = s->sums[run->n_made % AMX_WAITING];
        part.sums = sums;
        part.n_panels = tiles_min(run->panels - p, together);
        for (int32_t i = 0; i < part.n_panels; i++) {
            part.panels[i] = panel + i;
            part.y[i] = &run->y[p + i][tile * run->width];
        }
        if (dense)
            amx_multiply_dense(sums, panel->low[quad], panel->high[quad]);
        else
            amx_multiply_affine(sums, panel->low[quad],
                                part.n_panels == 2 ? panel[1].low[quad] : NULL);
        run->waiting[run->n_made++ % AMX_WAITING] = part;
    }
}

static void amx_multiply(struct amx *s, struct amx_run *run, int32_t tile)
{
    const struct linear_job *job = run->job;
    bool dense = job->w.type != WEIGHT_AFFINE;
    int32_t n = dense ? INTEGER_UNIT : integer_part(&job->w), width = run->width;
    int32_t group = dense ? INTEGER_UNIT : job->w.group, in_group = 0, g = 0;
    const int32_t *unit = tiles_unit(job, width, tile, run->columns.first / INTEGER_UNIT);
    for (int32_t c = 0; c < run->columns.n; c += n) {
        int32_t half = c % INTEGER_UNIT != 0;
        const float *scales = (const float *)(const void *)(unit + width * TILES_PAIRS);
        in_group += n;
        struct amx_part part = {
            .x_scales = scales,
            .x_sums = scales + (1 + half) * width,
            .width = width,
            .scale = g,
            .bias = in_group == group ? g : -1,
        };
        amx_multiply_part(s, run, part, (const uint32_t *)unit + half * AMX_QUADS / 2, tile, c / 4);
        if (in_group == group) {
            in_group = 0;
            g++;
        }
        if ((c + n) % INTEGER_UNIT == 0)
            unit += width * TILES_UNIT_WORDS;
    }
}

/* One of n_parts parts of the weights that the next run will read. */
static void amx_prefetch(const struct linear_job *job, int32_t row, int32_t n_rows, int32_t first,
                         int32_t part, int32_t n_parts)
{
    const struct weight_source *w = &job->w;
    int32_t cols = tiles_min(w->cols - first, TILES_UNITS * INTEGER_UNIT);
    if (!job->blocks) {
        tiles_prefetch(job, row, n_rows, first, part, n_parts);
        return;
    }
    if (cols <= 0)
        return;
    size_t bytes = (size_t)(cols / w->group) * integer_group_bytes(w);
    size_t begin = bytes * (size_t)part / (size_t)n_parts / 64 * 64;
    size_t end = bytes * (size_t)(part + 1) / (size_t)n_parts;
    const unsigned char *at = job->blocks + (size_t)(first / w->group) * integer_group_bytes(w);
    for (int32_t r = row; r < row + n_rows; r += INTEGER_BLOCK)
        for (size_t i = begin; i < end; i += 64)
            __builtin_prefetch(at + (size_t)(r / INTEGER_BLOCK) * integer_block_bytes(w) + i, 0, 2);
}

/* Some columns of up to AMX_PANELS panels, and all tokens. */
static void amx_panel_columns(const struct linear_job *job, struct amx *s, tiles_sums *y,
                              int32_t row, int32_t n_rows, struct integer_run columns)
{
    bool dense = job->w.type != WEIGHT_AFFINE;
    struct amx_run run = {
        .job = job,
        .y = y,
        .columns = columns,
        .panels = (n_rows + INTEGER_BLOCK - 1) / INTEGER_BLOCK,
        .width = tiles_width(job->x.rows, AMX_TOKENS),
    };
    int32_t n_tiles = (job->x.rows + run.width - 1) / run.width;
    amx_fill(s, job, row, n_rows, columns);
    amx_see_memory();
    for (int32_t tile = 0; tile < n_tiles; tile++) {
        amx_prefetch(job, row, n_rows, columns.first + columns.n, tile, n_tiles);
        amx_multiply(s, &run, tile);
    }
    while (run.n_added < run.n_made)
        amx_add_next(&run, dense);
}

/* Adds rows [row, row + n_rows) of w, at most AMX_PANELS times 16, and all tokens. */
static void amx_add_rows(const struct linear_job *job, float *scratch, tiles_sums *y, int32_t row,
                         int32_t n_rows)
{
    const int32_t most = TILES_UNITS * INTEGER_UNIT;
    for (int32_t c = 0; c < job->w.cols; c += most) {
        struct integer_run columns = {c, tiles_min(job->w.cols - c, most)};
        amx_panel_columns(job, (struct amx *)scratch, y, row, n_rows, columns);
    }
}

static void amx_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    const int32_t most = AMX_PANELS * INTEGER_BLOCK;
    tiles_sums *y = ((struct amx *)scratch)->y[0];
    bool affine = job->w.type == WEIGHT_AFFINE;
    amx_begin(tiles_width(job->x.rows, AMX_TOKENS), affine ? integer_part(&job->w) : INTEGER_UNIT);
    for (int32_t row = first; row < first + n; row += most) {
        int32_t n_rows = tiles_min(first + n - row, most);
        tiles_clear(y, n_rows, tiles_whole_tokens(job->x.rows, AMX_TOKENS));
        amx_add_rows(job, scratch, y, row, n_rows);
        tiles_store_rows(job, row, n_rows, y[0][0], TILES_TOKENS);
    }
    _tile_release(); /* or the system saves eight kilobytes at each change of threads */
}

static void amx_strassen_rows(const struct linear_job *job, int32_t first, int32_t n,
                              float *scratch)
{
    int32_t tokens = strassen_tokens(job);
    amx_begin(tiles_width(tokens, AMX_TOKENS), INTEGER_UNIT);
    strassen_blocks(job, first, n,
                    &(struct strassen){
                        .sums = ((struct amx *)scratch)->y[0],
                        .panels = AMX_PANELS,
                        .tokens = tiles_whole_tokens(tokens, AMX_TOKENS),
                        .scratch = scratch,
                        .add = amx_add_rows,
                    });
    _tile_release();
}
