/* Attention on eight lanes; included by one file per instruction set. Keys come in segments; each
 * query keeps the greatest score so far, the sum of e^(score - greatest) and the weighted values,
 * and rescales them when a segment brings a greater score (online softmax, arXiv 1805.02867; by
 * blocks as in arXiv 2205.14135). Where segments end depends on the token numbers alone. */
#pragma once

#include <math.h>

#include "backend/cpu/c_kernels.h"
#include "backend/cpu/simd.h"

enum {
    SEGMENT = 64,
    MOST_DIM = 256, /* wider heads take the plain C way */
    BLOCK_QUERIES = 3,
    BLOCK_KEYS = 4,
    BLOCK_VALUES = 4, /* queries that share a read of values */
};

struct attention_state {
    float q[ATTENTION_QUERIES][MOST_DIM]; /* times 1 / sqrt(head_dim); zeros beyond head_dim */
    float sums[ATTENTION_QUERIES][MOST_DIM];
    float p[ATTENTION_QUERIES][SEGMENT]; /* scores, then e^(score - greatest) */
    float greatest[ATTENTION_QUERIES];
    float total[ATTENTION_QUERIES];
};
_Static_assert(sizeof(struct attention_state) <= KERNEL_SCRATCH * sizeof(float),
               "scratch is too small");

/* Up to SEGMENT tokens that lie one after another. */
struct segment {
    const float *keys, *values;
    size_t key_stride, value_stride;
    int32_t first, n; /* token numbers */
};

static void start_queries(struct attention_state *state, const struct attention_task *task)
{
    float scale = 1.0f / sqrtf((float)task->head_dim);
    for (int32_t i = 0; i < task->n_queries; i++) {
        memset(state->q[i], 0, sizeof state->q[i]);
        memset(state->sums[i], 0, sizeof state->sums[i]);
        for (int32_t d = 0; d < task->head_dim; d++)
            state->q[i][d] = task->q[i][d] * scale;
        state->greatest[i] = -INFINITY;
        state->total[i] = 0.0f;
    }
}

/* The segment that starts at token `first`. */
static struct segment segment_at(const struct attention_keys *kv, int32_t first, int32_t visible)
{
    int32_t end = (first / SEGMENT + 1) * SEGMENT;
    if (kv->blocks) {
        int32_t block_end = (first / kv->block_tokens + 1) * kv->block_tokens;
        end = block_end < end ? block_end : end;
    }
    return (struct segment){
        .keys = attention_key(kv, first),
        .values = attention_value(kv, first),
        .key_stride = kv->key_stride,
        .value_stride = kv->value_stride,
        .first = first,
        .n = (visible < end ? visible : end) - first,
    };
}

/* Scores of n_queries queries with n_keys keys. */
SIMD_INLINE void score_block(struct attention_state *state, const struct segment *s, int32_t dim,
                             int32_t query, int32_t key, int n_queries, int n_keys)
{
    v8 sums[BLOCK_QUERIES][BLOCK_KEYS];
    const float *keys = s->keys + (size_t)key * s->key_stride;
    SIMD_UNROLL
    for (int i = 0; i < n_queries; i++) {
        SIMD_UNROLL
        for (int k = 0; k < BLOCK_KEYS; k++)
            sums[i][k] = v8_zero();
    }
    int32_t d = 0;
    for (; d + 8 <= dim; d += 8) {
        SIMD_UNROLL
        for (int k = 0; k < n_keys; k++) {
            v8 value = v8_load(keys + (size_t)k * s->key_stride + d);
            SIMD_UNROLL
            for (int i = 0; i < n_queries; i++)
                sums[i][k] = v8_fma(v8_load(state->q[query + i] + d), value, sums[i][k]);
        }
    }
    SIMD_UNROLL
    for (int k = 0; k < n_keys && d < dim; k++) {
        v8 value = v8_load_partial(keys + (size_t)k * s->key_stride + d, dim - d);
        SIMD_UNROLL
        for (int i = 0; i < n_queries; i++)
            sums[i][k] = v8_fma(v8_load(state->q[query + i] + d), value, sums[i][k]);
    }
    SIMD_UNROLL
    for (int i = 0; i < n_queries; i++) {
        float scores[BLOCK_KEYS];
        v8_store_sums4(scores, sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
        memcpy(&state->p[query + i][key], scores, (size_t)n_keys * sizeof *scores);
    }
}

SIMD_INLINE void score_queries(struct attention_state *state, const struct segment *s, int32_t dim,
                               int32_t query, int n_queries)
{
    int32_t key = 0;
    for (; key + BLOCK_KEYS <= s->n; key += BLOCK_KEYS)
        score_block(state, s, dim, query, key, n_queries, BLOCK_KEYS);
    for (; key < s->n; key++)
        score_block(state, s, dim, query, key, n_queries, 1);
}

static void score(struct attention_state *state, const struct segment *s, int32_t dim,
                  int32_t first, int32_t n_queries)
{
    int32_t query = first;
    for (; query + BLOCK_QUERIES <= n_queries; query += BLOCK_QUERIES)
        score_queries(state, s, dim, query, BLOCK_QUERIES);
    for (; query < n_queries; query++)
        score_queries(state, s, dim, query, 1);
}

static float greatest_of(const float *scores, float greatest)
{
    v8 m = v8_set1(greatest);
    for (int32_t i = 0; i < SEGMENT; i += 8)
        m = v8_max(m, v8_load(scores + i));
    return v8_greatest(m);
}

static void rescale(struct attention_state *state, int32_t query, int32_t dim, float greatest)
{
    v8 factor = v8_exp(v8_set1(state->greatest[query] - greatest));
    for (int32_t d = 0; d < dim; d += 8)
        v8_store(&state->sums[query][d], v8_mul(v8_load(&state->sums[query][d]), factor));
    float first[8];
    v8_store(first, factor);
    state->total[query] *= first[0];
    state->greatest[query] = greatest;
}

/* Scores of the first n tokens become weights; those of the others 0. */
static void weigh(struct attention_state *state, int32_t query, int32_t dim, int32_t n)
{
    float *p = state->p[query];
    for (int32_t i = n; i < SEGMENT; i++)
        p[i] = -INFINITY;
    float greatest = greatest_of(p, state->greatest[query]);
    if (greatest > state->greatest[query])
        rescale(state, query, dim, greatest);
    v8 sum = v8_zero(), shift = v8_set1(greatest);
    for (int32_t i = 0; i < SEGMENT; i += 8) {
        if (i >= n) {
            v8_store(p + i, v8_zero());
            continue;
        }
        v8_store(p + i, v8_exp(v8_sub(v8_load(p + i), shift)));
        for (int32_t k = n; k < i + 8; k++)
            p[k] = 0.0f;
        sum = v8_add(sum, v8_load(p + i));
    }
    state->total[query] += v8_sum(sum);
}

/* n_vectors vectors of the weighted values, from element d on; the last has `last` elements. */
SIMD_INLINE void add_values(struct attention_state *state, const struct segment *s, int32_t query,
                            int32_t d, int n_queries, int n_vectors, int32_t last)
{
    v8 sums[BLOCK_VALUES][2];
    SIMD_UNROLL
    for (int i = 0; i < n_queries; i++) {
        SIMD_UNROLL
        for (int k = 0; k < n_vectors; k++)
            sums[i][k] = v8_load(&state->sums[query + i][d + 8 * k]);
    }
    for (int32_t token = 0; token < s->n; token++) {
        const float *at = s->values + (size_t)token * s->value_stride + d;
        v8 values[2] = {v8_zero(), v8_zero()};
        SIMD_UNROLL
        for (int k = 0; k < n_vectors; k++)
            values[k] = last < 8 ? v8_load_partial(at + 8 * k, last) : v8_load(at + 8 * k);
        SIMD_UNROLL
        for (int i = 0; i < n_queries; i++) {
            v8 p = v8_set1(state->p[query + i][token]);
            SIMD_UNROLL
            for (int k = 0; k < n_vectors; k++)
                sums[i][k] = v8_fma(p, values[k], sums[i][k]);
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < n_queries; i++) {
        SIMD_UNROLL
        for (int k = 0; k < n_vectors; k++)
            v8_store(&state->sums[query + i][d + 8 * k], sums[i][k]);
    }
}

SIMD_INLINE void add_values_of(struct attention_state *state, const struct segment *s, int32_t dim,
                               int32_t query, int n_queries)
{
    int32_t d = 0;
    for (; d + 16 <= dim; d += 16)
        add_values(state, s, query, d, n_queries, 2, 8);
    for (; d + 8 <= dim; d += 8)
        add_values(state, s, query, d, n_queries, 1, 8);
    if (d < dim)
        add_values(state, s, query, d, n_queries, 1, dim - d);
}

static void attend_segment(struct attention_state *state, const struct attention_task *task,
                           const struct segment *s)
{
    int32_t dim = task->head_dim, first = 0;
    while (task->visible[first] <= s->first)
        first++;
    score(state, s, dim, first, task->n_queries);
    for (int32_t i = first; i < task->n_queries; i++) {
        int32_t n = task->visible[i] - s->first;
        weigh(state, i, dim, n < s->n ? n : s->n);
    }
    int32_t query = first;
    for (; query + BLOCK_VALUES <= task->n_queries; query += BLOCK_VALUES)
        add_values_of(state, s, dim, query, BLOCK_VALUES);
    for (; query < task->n_queries; query++)
        add_values_of(state, s, dim, query, 1);
}

static void simd_attention(const struct attention_task *task, float *scratch)
{
    if (task->head_dim > MOST_DIM) {
        c_attention(task, scratch);
        return;
    }
    struct attention_state *state = (struct attention_state *)scratch;
    start_queries(state, task);
    int32_t visible = task->visible[task->n_queries - 1];
    for (int32_t token = 0; token < visible;) {
        struct segment s = segment_at(&task->kv, token, visible);
        attend_segment(state, task, &s);
        token += s.n;
    }
    for (int32_t i = 0; i < task->n_queries; i++)
        for (int32_t d = 0; d < task->head_dim; d++)
            task->out[i][d] = state->sums[i][d] / state->total[i];
}
