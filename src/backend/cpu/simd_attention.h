/* Attention; included by one file per instruction set. Queries are lanes: eight or sixteen of them
 * share every key and value that is broadcast, so that nothing is summed across lanes. Tokens come
 * in parts of ATTENTION_PART. For each part a query has the greatest score, the sum of
 * 2^(score - greatest) and the weighted values; the parts are merged in their order (online
 * softmax, arXiv 1805.02867; by blocks as in arXiv 2205.14135). Scores and values are summed token
 * by token and element by element, so a query's bits depend on nothing but itself and its tokens:
 * not on the lanes beside it, on where tokens lie, or on which thread had which part. */
#pragma once

#include <float.h>
#include <math.h>

#include "backend/cpu/c_kernels.h"
#include "backend/cpu/simd_lines.h"

enum {
    MOST_GROUPS = (ATTENTION_QUERIES + ATTENTION_LANES - 1) / ATTENTION_LANES,
    NARROW_TILE = 8, /* of eight queries; of sixteen, LINE_KEYS or LINE_ELEMENTS, or the half: */
    HALF_TILE = 4,
    VALUES = 8,     /* tokens */
    COPY_AHEAD = 8, /* tokens */
};

/* What some tokens make of the queries of a group: dim x lanes sums. */
struct partial {
    float *greatest, *total, *sums; /* of lanes, lanes, dim x lanes */
};

/* Up to ATTENTION_LANES queries; lanes that are left over hold zeros. */
struct group {
    const struct attention_task *task;
    int32_t first, n;    /* queries of the task */
    int32_t n_vectors;   /* of eight lanes: 1 or 2 */
    int32_t least, most; /* visible tokens of the first and of the last one */
    float *q;            /* dim x lanes, times log2(e) / sqrt(dim) */
    struct partial all;  /* the parts so far */
};

struct part {
    int32_t first, n; /* token numbers */
    const float *keys[ATTENTION_PART], *values[ATTENTION_PART];
    const float *next; /* the keys of the token after these, if it is wanted at all */
};

/* One thread's memory for a task, on its scratch. */
struct room {
    float *next;
    float *scores;       /* ATTENTION_PART x lanes */
    float *copy;         /* 2 x ATTENTION_PART x dim; see read_part */
    struct partial part; /* of one group */
};

static float *take_floats(struct room *room, size_t n)
{
    float *at = room->next;
    room->next += (n + 15) / 16 * 16;
    return at;
}

static struct partial partial_at(float *at, int32_t n_vectors)
{
    size_t lanes = (size_t)n_vectors * 8;
    return (struct partial){at, at + lanes, at + 2 * lanes};
}

static struct partial take_partial(struct room *room, int32_t dim)
{
    return partial_at(take_floats(room, ATTENTION_LANES * ((size_t)dim + 2)), 2);
}

static struct room room_on(float *scratch, int32_t dim)
{
    struct room room = {.next = scratch};
    room.scores = take_floats(&room, ATTENTION_PART * ATTENTION_LANES);
    room.copy = take_floats(&room, 2 * (size_t)ATTENTION_PART * (size_t)dim);
    room.part = take_partial(&room, dim);
    return room;
}
_Static_assert(ATTENTION_PART *(ATTENTION_LANES + 2 * ATTENTION_DIM) +
                       ATTENTION_LANES * (ATTENTION_DIM + 2 + 16) * (2 * MOST_GROUPS + 1) <=
                   KERNEL_SCRATCH,
               "scratch is too small");

/* 2^x for x <= 0, with a relative error of at most 8e-8: the exponent's whole part goes into the
 * result's exponent, and 2^r, |r| <= 1/2, is a polynomial of least greatest error (2e-9). 2^0 is 1,
 * and below 2^-126 it is 0. NaN stays. */
SIMD_INLINE v8 v8_exp2_below(v8 x)
{
    const float polynomial[] = {0x1.5f3e5ep-10f, 0x1.3b2d4ep-7f, 0x1.c6aee8p-5f,
                                0x1.ebfbdcp-3f,  0x1.62e43p-1f,  1.0f};
    x = v8_max(v8_set1(-127.0f), x);
    v8 n = v8_round(x), r = v8_sub(x, n);
    v8 sum = v8_set1(0x1.41fbcp-13f);
    SIMD_UNROLL
    for (int i = 0; i < 6; i++)
        sum = v8_fma(sum, r, v8_set1(polynomial[i]));
    return v8_mul(sum, v8_power_of_two(n));
}

/* Eight queries from `query` on, elements d to d + 7, exchanged. */
static void load_queries(v8 to[8], const struct group *g, int32_t query, int32_t d, int32_t n)
{
    float rows[64] = {0};
    for (int32_t i = 0; i < 8 && query + i < g->n; i++)
        memcpy(rows + 8 * i, g->task->q[g->first + query + i] + d, (size_t)n * sizeof *rows);
    v8_transpose64(to, rows);
}

static void start_queries(struct group *g)
{
    int32_t dim = g->task->head_dim, lanes = g->n_vectors * 8;
    v8 scale = v8_set1((float)(1.4426950408889634 / sqrt((double)dim)));
    for (int32_t query = 0; query < lanes; query += 8)
        for (int32_t d = 0; d < dim; d += 8) {
            v8 columns[8];
            int32_t n = dim - d < 8 ? dim - d : 8;
            load_queries(columns, g, query, d, n);
            for (int32_t i = 0; i < n; i++)
                v8_store(g->q + (d + i) * lanes + query, v8_mul(columns[i], scale));
        }
}

/* The group that begins with query `first`, on memory of its own; start_queries comes next. */
static struct group open_group(struct room *room, const struct attention_task *task, int32_t first)
{
    int32_t left = task->n_queries - first, dim = task->head_dim;
    int32_t n = left < ATTENTION_LANES ? left : ATTENTION_LANES;
    struct group g = {
        .task = task,
        .first = first,
        .n = n,
        .n_vectors = n > 8 ? 2 : 1,
        .least = task->visible[first],
        .most = task->visible[first + n - 1],
        .q = take_floats(room, (size_t)dim * ATTENTION_LANES),
        .all = take_partial(room, dim),
    };
    for (int32_t i = 0; i < ATTENTION_LANES; i++)
        g.all.greatest[i] = -INFINITY;
    memset(g.all.total, 0, ATTENTION_LANES * sizeof(float));
    memset(g.all.sums, 0, (size_t)dim * ATTENTION_LANES * sizeof(float));
    return g;
}

static const float *copy_token(float *to, const float *from, size_t ahead, int32_t dim)
{
    for (int32_t d = 0; d < dim; d += 16)
        __builtin_prefetch(from + ahead + d);
    memcpy(to, from, (size_t)dim * sizeof *to);
    return to;
}

/* Finds the tokens of a part. Those of strided rows are copied together if they are read more than
 * once: rows a multiple of a page apart share few places in a cache. */
static void read_part(struct part *part, const struct attention_keys *kv, int32_t dim, float *copy)
{
    for (int32_t i = 0; i < part->n; i++) {
        part->keys[i] = attention_key(kv, part->first + i);
        part->values[i] = attention_value(kv, part->first + i);
    }
    for (int32_t i = 0; copy && i < part->n; i++) {
        size_t ahead = i + COPY_AHEAD < part->n ? COPY_AHEAD : 0;
        part->keys[i] = copy_token(copy, part->keys[i], ahead * kv->key_stride, dim);
        part->values[i] = copy_token(copy + dim, part->values[i], ahead * kv->value_stride, dim);
        copy += 2 * dim;
    }
}

/* Scores of n_keys keys with sixteen queries. */
SIMD_INLINE void score_lines(float *scores, const float *q, const float *const *keys, int32_t dim,
                             int n_keys)
{
    line_floats sums[LINE_KEYS];
    SIMD_UNROLL
    for (int k = 0; k < n_keys; k++)
        sums[k] = line_floats_set1(0.0f);
    for (int32_t d = 0; d < dim; d++) {
        line_floats x = line_floats_load(q + d * 16);
        SIMD_UNROLL
        for (int k = 0; k < n_keys; k++)
            sums[k] = line_floats_fma(line_floats_set1(keys[k][d]), x, sums[k]);
    }
    SIMD_UNROLL
    for (int k = 0; k < n_keys; k++)
        line_floats_store(scores + k * 16, sums[k]);
}

/* Adds n_keys tokens to elements [d, d + n_d) of the sixteen queries' weighted values. */
SIMD_INLINE void value_lines(float *to, const float *p, const float *const *values, int32_t n_keys,
                             int32_t d, int n_d)
{
    line_floats sums[LINE_ELEMENTS];
    SIMD_UNROLL
    for (int k = 0; k < n_d; k++)
        sums[k] = line_floats_load(to + (d + k) * 16);
    for (int32_t token = 0; token < n_keys; token++) {
        const float *value = values[token] + d;
        line_floats x = line_floats_load(p + token * 16);
        SIMD_UNROLL
        for (int k = 0; k < n_d; k++)
            sums[k] = line_floats_fma(line_floats_set1(value[k]), x, sums[k]);
    }
    SIMD_UNROLL
    for (int k = 0; k < n_d; k++)
        line_floats_store(to + (d + k) * 16, sums[k]);
}

/* The next tile's width, so that few tiles are narrow. */
SIMD_INLINE int32_t tile_width(int32_t left, int32_t widest)
{
    if (left == widest || (left > widest && left != 2 * HALF_TILE))
        return widest;
    return left >= HALF_TILE ? HALF_TILE : 1;
}

static void score_wide(float *scores, const float *q, const struct part *part, int32_t dim,
                       int32_t n_keys)
{
    for (int32_t key = 0, n = 0; key < n_keys; key += n) {
        const float *const *keys = part->keys + key;
        n = tile_width(n_keys - key, LINE_KEYS);
        if (n == LINE_KEYS)
            score_lines(scores + key * 16, q, keys, dim, LINE_KEYS);
        else if (n == HALF_TILE)
            score_lines(scores + key * 16, q, keys, dim, HALF_TILE);
        else
            score_lines(scores + key * 16, q, keys, dim, 1);
    }
}

static void add_values_wide(float *to, const float *p, const struct part *part, int32_t dim,
                            int32_t n_keys)
{
    for (int32_t d = 0, n = 0; d < dim; d += n) {
        n = tile_width(dim - d, LINE_ELEMENTS);
        if (n == LINE_ELEMENTS)
            value_lines(to, p, part->values, n_keys, d, LINE_ELEMENTS);
        else if (n == HALF_TILE)
            value_lines(to, p, part->values, n_keys, d, HALF_TILE);
        else
            value_lines(to, p, part->values, n_keys, d, 1);
    }
}

/* The same for eight queries. On the way what lies at `ahead` (or NULL) is fetched, as much as is
 * read here: in the order of its addresses and line by line, since a processor leaves out what is
 * asked for faster than memory gives it. */
SIMD_INLINE void score_tile(float *scores, const float *q, const float *const *keys, int32_t dim,
                            int n_keys, const float *ahead)
{
    v8 sums[NARROW_TILE];
    SIMD_UNROLL
    for (int k = 0; k < n_keys; k++)
        sums[k] = v8_zero();
    for (int32_t d = 0; d < dim; d++) {
        if (ahead)
            __builtin_prefetch(ahead + d * n_keys);
        v8 x = v8_load(q + d * 8);
        SIMD_UNROLL
        for (int k = 0; k < n_keys; k++)
            sums[k] = v8_fma(v8_set1(keys[k][d]), x, sums[k]);
    }
    SIMD_UNROLL
    for (int k = 0; k < n_keys; k++)
        v8_store(scores + k * 8, sums[k]);
}

SIMD_INLINE void value_tile(float *to, const float *p, const float *const *values, int32_t n_keys,
                            int32_t d, int n_d, const float *ahead)
{
    v8 sums[NARROW_TILE];
    SIMD_UNROLL
    for (int k = 0; k < n_d; k++)
        sums[k] = v8_load(to + (d + k) * 8);
    for (int32_t token = 0; token < n_keys; token++) {
        const float *value = values[token] + d;
        if (ahead)
            __builtin_prefetch(ahead + token * n_d);
        v8 x = v8_load(p + token * 8);
        SIMD_UNROLL
        for (int k = 0; k < n_d; k++)
            sums[k] = v8_fma(v8_set1(value[k]), x, sums[k]);
    }
    SIMD_UNROLL
    for (int k = 0; k < n_d; k++)
        v8_store(to + (d + k) * 8, sums[k]);
}

/* With one vector of lanes reading memory is what takes the time. */
static void score_narrow(float *scores, const float *q, const struct part *part, int32_t dim,
                         int32_t n_keys)
{
    int32_t key = 0;
    for (; key + NARROW_TILE <= n_keys; key += NARROW_TILE) {
        const float *const *keys = part->keys + key;
        const float *ahead = key + NARROW_TILE < n_keys ? keys[NARROW_TILE] : part->values[0];
        score_tile(scores + key * 8, q, keys, dim, NARROW_TILE, ahead);
    }
    for (; key < n_keys; key++)
        score_tile(scores + key * 8, q, part->keys + key, dim, 1, NULL);
}

/* Some tokens at a time, and the next ones are fetched. */
static void add_values_narrow(float *to, const float *p, const struct part *part, int32_t dim,
                              int32_t n_keys)
{
    for (int32_t first = 0, n = 0; first < n_keys; first += n) {
        const float *const *values = part->values + first;
        n = n_keys - first < VALUES ? n_keys - first : VALUES;
        const float *ahead = first + n < n_keys ? values[n] : part->next;
        int32_t d = 0;
        for (; d + NARROW_TILE <= dim; d += NARROW_TILE)
            value_tile(to, p + first * 8, values, n, d, NARROW_TILE, ahead + d * n);
        for (; d < dim; d++)
            value_tile(to, p + first * 8, values, n, d, 1, NULL);
    }
}

/* Scores of tokens that a query does not see become -infinity. */
static void hide_scores(const struct group *g, const struct part *part, float *scores, int32_t n)
{
    int32_t lanes = g->n_vectors * 8;
    int32_t from = g->least > part->first ? g->least - part->first : 0;
    for (int32_t i = from; i < n; i++)
        for (int32_t query = 0; query < g->n; query++)
            if (g->task->visible[g->first + query] <= part->first + i)
                scores[i * lanes + query] = -INFINITY;
}

/* Scores become weights; eight queries. */
static void weigh(float *p, int32_t stride, int32_t n, float *greatest, float *total)
{
    v8 m = v8_set1(-INFINITY), sum = v8_zero();
    for (int32_t i = 0; i < n; i++)
        m = v8_max(m, v8_load(p + i * stride));
    v8_store(greatest, m);
    /* A query that sees none of these: any finite number keeps its weights 0. */
    m = v8_max(v8_set1(-FLT_MAX), m);
    for (int32_t i = 0; i < n; i++) {
        v8 weight = v8_exp2_below(v8_sub(v8_load(p + i * stride), m));
        v8_store(p + i * stride, weight);
        sum = v8_add(sum, weight);
    }
    v8_store(total, sum);
}

static void attend_part(const struct group *g, const struct part *part, float *p, struct partial to)
{
    int32_t dim = g->task->head_dim, lanes = g->n_vectors * 8;
    int32_t left = g->most - part->first, n = left < part->n ? left : part->n;
    memset(to.sums, 0, (size_t)dim * (size_t)lanes * sizeof *to.sums);
    if (g->n_vectors == 2)
        score_wide(p, g->q, part, dim, n);
    else
        score_narrow(p, g->q, part, dim, n);
    hide_scores(g, part, p, n);
    for (int32_t query = 0; query < lanes; query += 8)
        weigh(p + query, lanes, n, to.greatest + query, to.total + query);
    if (g->n_vectors == 2)
        add_values_wide(to.sums, p, part, dim, n);
    else
        add_values_narrow(to.sums, p, part, dim, n);
}

/* The next part joins those before it. */
static void merge_part(const struct group *g, struct partial part)
{
    int32_t dim = g->task->head_dim, lanes = g->n_vectors * 8;
    for (int32_t query = 0; query < lanes; query += 8) {
        v8 old = v8_load(g->all.greatest + query), new = v8_load(part.greatest + query);
        v8 greatest = v8_max(old, new);
        v8 a = v8_exp2_below(v8_sub(old, greatest)), b = v8_exp2_below(v8_sub(new, greatest));
        v8 total = v8_mul(v8_load(part.total + query), b);
        v8_store(g->all.greatest + query, greatest);
        v8_store(g->all.total + query, v8_fma(v8_load(g->all.total + query), a, total));
        for (int32_t d = 0; d < dim; d++) {
            float *at = g->all.sums + d * lanes + query;
            v8 sum = v8_mul(v8_load(part.sums + d * lanes + query), b);
            v8_store(at, v8_fma(v8_load(at), a, sum));
        }
    }
}

/* Eight queries from `query` on, elements d to d + n - 1. */
static void store_outputs(const struct group *g, int32_t query, int32_t d, int32_t n)
{
    int32_t lanes = g->n_vectors * 8;
    v8 rows[8], total = v8_load(g->all.total + query);
    float columns[64] = {0};
    for (int32_t i = 0; i < n; i++)
        v8_store(columns + 8 * i, v8_div(v8_load(g->all.sums + (d + i) * lanes + query), total));
    v8_transpose64(rows, columns);
    for (int32_t i = 0; i < 8 && query + i < g->n; i++)
        v8_store_partial(g->task->out[g->first + query + i] + d, rows[i], n);
}

static void finish_group(const struct group *g)
{
    int32_t dim = g->task->head_dim;
    for (int32_t query = 0; query < g->n; query += 8)
        for (int32_t d = 0; d < dim; d += 8)
            store_outputs(g, query, d, dim - d < 8 ? dim - d : 8);
}

static void part_at(struct part *part, const struct attention_task *task, int32_t first,
                    float *copy)
{
    int32_t left = task->visible[task->n_queries - 1] - first;
    part->first = first;
    part->n = left < ATTENTION_PART ? left : ATTENTION_PART;
    read_part(part, &task->kv, task->head_dim, copy);
    part->next = part->n < left ? attention_key(&task->kv, first + part->n) : part->keys[0];
}

static void simd_attention(const struct attention_task *task, float *scratch)
{
    int32_t dim = task->head_dim, n_groups = 0;
    if (dim > ATTENTION_DIM) {
        c_attention(task, scratch);
        return;
    }
    struct room room = room_on(scratch, dim);
    struct group groups[MOST_GROUPS];
    for (int32_t first = 0; first < task->n_queries; first += ATTENTION_LANES)
        groups[n_groups++] = open_group(&room, task, first);
    for (int32_t i = 0; i < n_groups; i++)
        start_queries(&groups[i]);
    bool copies = n_groups > 1 && task->kv.key_stride != (size_t)dim;
    for (int32_t first = 0; first < groups[n_groups - 1].most; first += ATTENTION_PART) {
        struct part part;
        part_at(&part, task, first, copies ? room.copy : NULL);
        for (int32_t i = 0; i < n_groups; i++) {
            if (groups[i].most <= first)
                continue;
            attend_part(&groups[i], &part, room.scores, room.part);
            merge_part(&groups[i], room.part);
        }
    }
    for (int32_t i = 0; i < n_groups; i++)
        finish_group(&groups[i]);
}

static void simd_attention_parts(const struct attention_task *task, int32_t first, int32_t n,
                                 float *partials, float *scratch)
{
    struct room room = room_on(scratch, task->head_dim);
    struct group g = open_group(&room, task, 0);
    struct part part;
    size_t floats = attention_partial_floats(task->n_queries, task->head_dim);
    start_queries(&g);
    for (int32_t i = 0; i < n; i++) {
        part_at(&part, task, (first + i) * ATTENTION_PART, NULL);
        attend_part(&g, &part, room.scores, partial_at(partials, g.n_vectors));
        partials += floats;
    }
}

static void simd_attention_merge(const struct attention_task *task, float *partials, float *scratch)
{
    struct room room = room_on(scratch, task->head_dim);
    struct group g = open_group(&room, task, 0);
    size_t floats = attention_partial_floats(task->n_queries, task->head_dim);
    for (int32_t i = 0; i < attention_parts(g.most); i++)
        merge_part(&g, partial_at(partials + (size_t)i * floats, g.n_vectors));
    finish_group(&g);
}
