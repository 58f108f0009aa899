/* Sums of the products of strassen.h, and y of its quarters; the products are the including file's.
 */
#pragma once

#include "backend/cpu/simd_tiles_panel.h"
#include "backend/cpu/strassen.h"

enum {
    STRASSEN_SUMS = 4, /* of a thread at a time */
};

/* Adds a product of rows [row, row + n_rows) and all tokens to the sums of their panels. */
typedef void (*strassen_add_fn)(const struct linear_job *product, float *scratch, tiles_sums *y,
                                int32_t row, int32_t n_rows);

struct strassen {
    tiles_sums *sums; /* STRASSEN_SUMS times `panels` */
    int32_t panels;   /* that a block has at most */
    int32_t tokens;   /* that sums have */
    float *scratch;
    strassen_add_fn add;
    /* Brings a panel's sums into tiles_sums' order before they are stored; or NULL. */
    void (*order)(tiles_sums y, int32_t tokens);
};

/* Some rows of w's first half and as many of its second. */
struct strassen_block {
    const struct linear_job *job;
    const struct strassen *s;
    int32_t row, n_rows;
};

static void strassen_add(const struct strassen_block *b, tiles_sums *y, enum strassen_number number)
{
    struct linear_terms terms;
    struct linear_job product = strassen_job(b->job, number, &terms);
    b->s->add(&product, b->s->scratch, y, b->row, b->n_rows);
}

/* The same from nothing. */
static void strassen_make(const struct strassen_block *b, tiles_sums *y,
                          enum strassen_number number)
{
    tiles_clear(y, b->n_rows, b->s->tokens);
    strassen_add(b, y, number);
}

static void strassen_copy(const struct strassen_block *b, tiles_sums *to, tiles_sums *from)
{
    for (int32_t p = 0; p * INTEGER_BLOCK < b->n_rows; p++)
        memcpy(to[p], from[p], (size_t)b->s->tokens * sizeof from[p][0]);
}

/* more += plus, less -= minus, plus += minus. */
static void strassen_merge(const struct strassen_block *b, tiles_sums *more, tiles_sums *less,
                           tiles_sums *plus, tiles_sums *minus)
{
    line_floats negative = line_floats_set1(-1.0f);
    for (int32_t p = 0; p * INTEGER_BLOCK < b->n_rows; p++)
        for (int32_t t = 0; t < b->s->tokens; t++) {
            line_floats x = line_floats_load(plus[p][t]), y = line_floats_load(minus[p][t]);
            line_floats_store(more[p][t], line_floats_add(line_floats_load(more[p][t]), x));
            line_floats_store(less[p][t],
                              line_floats_fma(negative, y, line_floats_load(less[p][t])));
            line_floats_store(plus[p][t], line_floats_add(x, y));
        }
}

static void strassen_store(const struct strassen_block *b, tiles_sums *y,
                           struct strassen_quarter quarter)
{
    struct linear_job part = strassen_y(b->job, quarter);
    int32_t n_rows = tiles_min(b->n_rows, part.w.rows - b->row);
    for (int32_t p = 0; b->s->order && p * INTEGER_BLOCK < n_rows; p++)
        b->s->order(y[p], b->s->tokens);
    tiles_store_rows(&part, b->row, n_rows, y[0][0], TILES_TOKENS);
}

static void strassen_block(const struct strassen_block *b)
{
    tiles_sums *first = b->s->sums, *last = first + b->s->panels;
    tiles_sums *plus = last + b->s->panels, *minus = plus + b->s->panels;
    strassen_make(b, first, STRASSEN_M1);
    strassen_copy(b, last, first);
    strassen_add(b, first, STRASSEN_M7);
    strassen_add(b, last, STRASSEN_M6);
    strassen_make(b, plus, STRASSEN_M4);
    strassen_make(b, minus, STRASSEN_M2);
    strassen_merge(b, first, last, plus, minus);
    strassen_store(b, plus, (struct strassen_quarter){1, 0});
    strassen_make(b, plus, STRASSEN_M3);
    strassen_make(b, minus, STRASSEN_M5);
    strassen_merge(b, last, first, plus, minus);
    strassen_store(b, plus, (struct strassen_quarter){0, 1});
    strassen_store(b, first, (struct strassen_quarter){0, 0});
    strassen_store(b, last, (struct strassen_quarter){1, 1});
}

/* Rows [first, first + n) of w's first half and those of its second, and all tokens. */
static void strassen_blocks(const struct linear_job *job, int32_t first, int32_t n,
                            const struct strassen *s)
{
    int32_t most = s->panels * INTEGER_BLOCK;
    for (int32_t row = first; row < first + n; row += most)
        strassen_block(&(struct strassen_block){job, s, row, tiles_min(first + n - row, most)});
}
