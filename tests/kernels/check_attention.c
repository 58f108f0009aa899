/* attention over scattered kv blocks, attention_runs and kv_append. The expected output is also
 * made here, from contiguous copies and by the definition, so that the way through blocks and tasks
 * is not checked against itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/check.h"

enum {
    MOST_ITEMS = 8,
    MOST_TOKENS = 600
};

static const double bound = 2e-6;

/* A ragged batch whose items' first `context` tokens were appended before. */
struct batch {
    struct kv_shape shape;
    struct kv_layer layer;
    struct kv_batch kv;
    int32_t row_start[MOST_ITEMS + 1], context[MOST_ITEMS];
    const int32_t *blocks[MOST_ITEMS];
    int32_t block_lists[MOST_ITEMS][MOST_TOKENS];
    struct tensor keys[MOST_ITEMS], values[MOST_ITEMS]; /* the whole timelines */
    struct tensor cache[2];
    struct tensor q, k, v;
    int32_t heads;
};

static void open_cache(struct check *c, struct batch *b)
{
    struct kv_shape *s = &b->shape;
    b->cache[0] =
        guarded_tensor(s->n_blocks * s->n_kv_heads * s->block_tokens, s->head_dim, s->head_dim);
    b->cache[1] = guarded_copy(b->cache[0]);
    b->layer = (struct kv_layer){b->cache[0].data, b->cache[1].data};
    int32_t free_blocks[MOST_ITEMS * MOST_TOKENS], n = s->n_blocks;
    for (int32_t i = 0; i < n; i++)
        free_blocks[i] = i;
    for (int32_t i = 0; i < b->kv.n_items; i++) {
        int32_t tokens = b->keys[i].rows;
        for (int32_t t = 0; t * s->block_tokens < tokens; t++) {
            int32_t pick = random_below(c, n--);
            b->block_lists[i][t] = free_blocks[pick];
            free_blocks[pick] = free_blocks[n];
        }
        b->blocks[i] = b->block_lists[i];
    }
}

/* Appends rows [first, end) of item i's timeline as a batch of its own. */
static void append_alone(struct check *c, struct batch *b, int32_t i, int32_t first, int32_t end)
{
    int32_t starts[2] = {0, end - first};
    struct kv_batch kv = {1, starts, &first, &b->blocks[i]};
    if (end > first)
        c->tested->ops->kv_append(c->tested, &b->shape, &b->layer, &kv,
                                  tensor_rows(b->keys[i], first, end - first),
                                  tensor_rows(b->values[i], first, end - first));
}

static struct batch *open_batch(struct check *c, int32_t n_items, int32_t kv_heads, int32_t ratio,
                                int32_t head_dim, int32_t block_tokens, int32_t most_rows)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        exit(2);
    b->heads = kv_heads * ratio;
    b->kv = (struct kv_batch){n_items, b->row_start, b->context, b->blocks};
    b->shape = (struct kv_shape){block_tokens, 3, kv_heads, head_dim};
    for (int32_t i = 0; i < n_items; i++) {
        int32_t rows = 1 + random_below(c, most_rows);
        int32_t longest = most_rows > 1 ? 200 : 580; /* more than two parts, where it is quick */
        b->context[i] = random_below(c, 4) == 0 ? 0 : random_below(c, longest);
        b->row_start[i + 1] = b->row_start[i] + rows;
        int32_t tokens = b->context[i] + rows;
        b->shape.n_blocks += tokens / block_tokens + 1;
        b->keys[i] = guarded_tensor(tokens, kv_heads * head_dim, kv_heads * head_dim);
        b->values[i] = guarded_tensor(tokens, kv_heads * head_dim, kv_heads * head_dim);
        fill_random(c, b->keys[i]);
        fill_random(c, b->values[i]);
    }
    int32_t rows = b->row_start[n_items], width = (b->heads + 2 * kv_heads) * head_dim;
    struct tensor qkv = guarded_tensor(rows, width, width + 1);
    fill_random(c, qkv);
    b->q = tensor_columns(qkv, 0, b->heads * head_dim);
    b->k = tensor_columns(qkv, b->heads * head_dim, kv_heads * head_dim);
    b->v = tensor_columns(qkv, (b->heads + kv_heads) * head_dim, kv_heads * head_dim);
    open_cache(c, b);
    for (int32_t i = 0; i < n_items; i++) {
        append_alone(c, b, i, 0, b->context[i]);
        for (int32_t r = b->row_start[i]; r < b->row_start[i + 1]; r++) {
            int32_t token = b->context[i] + r - b->row_start[i];
            size_t bytes = (size_t)(kv_heads * head_dim) * sizeof(float);
            memcpy(tensor_rows(b->k, r, 1).data, tensor_rows(b->keys[i], token, 1).data, bytes);
            memcpy(tensor_rows(b->v, r, 1).data, tensor_rows(b->values[i], token, 1).data, bytes);
        }
    }
    c->tested->ops->kv_append(c->tested, &b->shape, &b->layer, &b->kv, b->k, b->v);
    return b;
}

static void close_batch(struct batch *b)
{
    for (int32_t i = 0; i < b->kv.n_items; i++) {
        guarded_free(b->keys[i]);
        guarded_free(b->values[i]);
    }
    guarded_free(b->q);
    guarded_free(b->cache[0]);
    guarded_free(b->cache[1]);
    free(b);
}

/* out[head_dim] of one query by the definition. */
static void attend(float *out, const float *q, struct tensor keys, struct tensor values,
                   int32_t column, int32_t head_dim, int32_t visible)
{
    double scores[MOST_TOKENS * 4], greatest = -INFINITY, total = 0;
    for (int32_t t = 0; t < visible; t++) {
        const float *k = tensor_rows(keys, t, 1).data + column;
        scores[t] = 0;
        for (int32_t d = 0; d < head_dim; d++)
            scores[t] += (double)q[d] * (double)k[d] / sqrt((double)head_dim);
        greatest = fmax(greatest, scores[t]);
    }
    for (int32_t t = 0; t < visible; t++)
        total += scores[t] = exp(scores[t] - greatest);
    for (int32_t d = 0; d < head_dim; d++) {
        double sum = 0;
        for (int32_t t = 0; t < visible; t++)
            sum += scores[t] / total * (double)tensor_rows(values, t, 1).data[column + d];
        out[d] = (float)sum;
    }
}

static void by_definition(const struct batch *b, struct tensor out)
{
    int32_t dim = b->shape.head_dim, ratio = b->heads / b->shape.n_kv_heads;
    for (int32_t i = 0; i < b->kv.n_items; i++)
        for (int32_t r = b->row_start[i]; r < b->row_start[i + 1]; r++)
            for (int32_t h = 0; h < b->heads; h++)
                attend(tensor_rows(out, r, 1).data + h * dim,
                       tensor_rows(b->q, r, 1).data + h * dim, b->keys[i], b->values[i],
                       h / ratio * dim, dim, b->context[i] + r - b->row_start[i] + 1);
}

/* Each row alone, as if the tokens had come one by one in other company. */
static void rows_alone(struct check *c, const struct batch *b, struct tensor out)
{
    for (int32_t i = 0; i < b->kv.n_items; i++)
        for (int32_t r = b->row_start[i]; r < b->row_start[i + 1]; r++) {
            int32_t starts[2] = {0, 1}, context = b->context[i] + r - b->row_start[i];
            struct kv_batch kv = {1, starts, &context, &b->blocks[i]};
            c->tested->ops->attention(c->tested, &b->shape, &b->layer, &kv, tensor_rows(out, r, 1),
                                      tensor_rows(b->q, r, 1));
        }
}

static void check_paged(struct check *c, int32_t n_items, int32_t kv_heads, int32_t ratio,
                        int32_t head_dim, int32_t block_tokens, int32_t most_rows)
{
    struct batch *b = open_batch(c, n_items, kv_heads, ratio, head_dim, block_tokens, most_rows);
    int32_t rows = b->q.rows, cols = b->q.cols;
    struct tensor defined = guarded_tensor(rows, cols, cols);
    struct tensor want = guarded_tensor(rows, cols, cols + 2);
    struct tensor got = guarded_tensor(rows, cols, cols + 2);
    struct tensor alone = guarded_tensor(rows, cols, cols);
    by_definition(b, defined);
    c->oracle->ops->attention(c->oracle, &b->shape, &b->layer, &b->kv, want, b->q);
    c->tested->ops->attention(c->tested, &b->shape, &b->layer, &b->kv, got, b->q);
    rows_alone(c, b, alone);
    char name[128];
    snprintf(name, sizeof name,
             "attention, %d items, %d rows, %d kv heads x %d, dim %d, blocks of %d", n_items, rows,
             kv_heads, ratio, head_dim, block_tokens);
    compare(c, defined, want, 0, bound, "%s: oracle against definition", name);
    compare(c, want, got, 0, bound, "%s", name);
    verdict(c, same_bits(got, alone), "%s: rows alone differ", name);
    verdict(c, guarded_intact(b->cache[0]) && guarded_intact(b->cache[1]),
            "%s: memory around the cache was written", name);
    guarded_free(alone);
    guarded_free(got);
    guarded_free(want);
    guarded_free(defined);
    close_batch(b);
}

static void check_runs(struct check *c, int32_t heads, int32_t head_dim, const int32_t *start,
                       int32_t n_runs)
{
    int32_t rows = start[n_runs], width = heads * head_dim;
    struct tensor qkv = guarded_tensor(rows, 3 * width, 3 * width + 1);
    fill_random(c, qkv);
    struct tensor q = tensor_columns(qkv, 0, width), k = tensor_columns(qkv, width, width);
    struct tensor v = tensor_columns(qkv, 2 * width, width);
    struct tensor defined = guarded_tensor(rows, width, width);
    struct tensor want = guarded_tensor(rows, width, width + 1);
    struct tensor got = guarded_tensor(rows, width, width + 1);
    for (int32_t s = 0; s < n_runs; s++)
        for (int32_t r = start[s]; r < start[s + 1]; r++)
            for (int32_t h = 0; h < heads; h++)
                attend(tensor_rows(defined, r, 1).data + h * head_dim,
                       tensor_rows(q, r, 1).data + h * head_dim,
                       tensor_rows(k, start[s], start[s + 1] - start[s]),
                       tensor_rows(v, start[s], start[s + 1] - start[s]), h * head_dim, head_dim,
                       start[s + 1] - start[s]);
    c->oracle->ops->attention_runs(c->oracle, want, q, k, v, head_dim, start, n_runs);
    c->tested->ops->attention_runs(c->tested, got, q, k, v, head_dim, start, n_runs);
    compare(c, defined, want, 0, bound,
            "attention_runs, %d heads of %d, %d runs: oracle against definition", heads, head_dim,
            n_runs);
    compare(c, want, got, 0, bound, "attention_runs, %d heads of %d, %d runs", heads, head_dim,
            n_runs);
    guarded_free(got);
    guarded_free(want);
    guarded_free(defined);
    guarded_free(qkv);
}

struct timed {
    struct batch *b;
    struct tensor out;
};

static void run_attention(void *context, struct backend *be)
{
    struct timed *t = context;
    be->ops->attention(be, &t->b->shape, &t->b->layer, &t->b->kv, t->out, t->b->q);
}

static void time_paged(struct check *c, const char *name, int32_t rows)
{
    struct batch *b = open_batch(c, 1, 2, 8, 128, 64, rows);
    struct timed t = {b, guarded_tensor(b->q.rows, b->q.cols, b->q.cols)};
    double pairs = 0;
    for (int32_t r = 0; r < b->q.rows; r++)
        pairs += b->context[0] + r + 1;
    double tokens = b->context[0] + b->q.rows;
    char what[96];
    snprintf(what, sizeof what, "%s: %d rows after %d", name, b->q.rows, b->context[0]);
    report_speed(c, what, seconds_of(run_attention, &t, c->tested),
                 seconds_of(run_attention, &t, c->oracle), tokens * 2 * 2 * 128 * 4,
                 pairs * 16 * 128 * 4);
    guarded_free(t.out);
    close_batch(b);
}

void check_attention(struct check *c)
{
    if (c->bench) {
        time_paged(c, "attention", 1);
        time_paged(c, "attention", 300);
        return;
    }
    static const int32_t dims[] = {64, 80, 128, 36, 260}, ratios[] = {1, 3, 7, 8};
    static const int32_t block_sizes[] = {16, 64, 1, 24, 128};
    for (int d = 0; d < 5; d++)
        for (int r = 0; r < 4; r++) {
            check_paged(c, 1, 2, ratios[r], dims[d], block_sizes[random_below(c, 5)], 1);
            check_paged(c, 5, 1 + random_below(c, 3), ratios[r], dims[d], block_sizes[r], 1);
            check_paged(c, 3, 1, ratios[r], dims[d], block_sizes[random_below(c, 5)], 70);
        }
    static const int32_t windows[] = {0, 64, 128, 129, 145, 145, 200};
    static const int32_t whole[] = {0, 197};
    for (int d = 0; d < 5; d++) {
        check_runs(c, 2, dims[d], windows, 6);
        check_runs(c, 1, dims[d], whole, 1);
    }
}
