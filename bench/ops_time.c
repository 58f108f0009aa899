#include "ops_time.h"

#include <stdlib.h>
#include <string.h>

#include "measure.h"

enum {
    MOST_LINES = 64
};

struct line {
    const char *op;
    int32_t rows, cols; /* of a linear layer's weights, or 0 */
    int calls;
    double seconds, operations;
};

static struct {
    const struct ops *original;
    struct ops timed;
    struct line lines[MOST_LINES];
    int n;
} state;

static void count(struct line line, double start)
{
    double seconds = measure_seconds() - start;
    int i = 0;
    while (i < state.n && (strcmp(state.lines[i].op, line.op) != 0 ||
                           state.lines[i].rows != line.rows || state.lines[i].cols != line.cols))
        i++;
    if (i == MOST_LINES)
        return;
    if (i == state.n)
        state.lines[state.n++] = line;
    else
        state.lines[i].operations += line.operations;
    state.lines[i].calls++;
    state.lines[i].seconds += seconds;
}

static void count_op(const char *op, double operations, double start)
{
    count((struct line){.op = op, .operations = operations}, start);
}

static void timed_embed(struct backend *be, struct tensor y, const struct weight *table,
                        const int32_t *ids)
{
    double start = measure_seconds();
    state.original->embed(be, y, table, ids);
    count_op("embed", 0, start);
}

static void timed_linear(struct backend *be, struct tensor y, struct tensor x,
                         const struct weight *w, const struct weight *bias)
{
    double start = measure_seconds();
    state.original->linear(be, y, x, w, bias);
    double operations = 2.0 * x.rows * w->source.rows * w->source.cols;
    count((struct line){"linear", w->source.rows, w->source.cols, 0, 0, operations}, start);
}

static void timed_rms_norm(struct backend *be, struct tensor y, struct tensor x,
                           const struct weight *w, float eps)
{
    double start = measure_seconds();
    state.original->rms_norm(be, y, x, w, eps);
    count_op("rms_norm", 0, start);
}

static void timed_add(struct backend *be, struct tensor x, struct tensor y)
{
    double start = measure_seconds();
    state.original->add(be, x, y);
    count_op("add", 0, start);
}

static void timed_silu_mul(struct backend *be, struct tensor gate, struct tensor up)
{
    double start = measure_seconds();
    state.original->silu_mul(be, gate, up);
    count_op("silu_mul", 0, start);
}

static void timed_gelu(struct backend *be, struct tensor x)
{
    double start = measure_seconds();
    state.original->gelu(be, x);
    count_op("gelu", 0, start);
}

static void timed_rope(struct backend *be, struct tensor x, int32_t head_dim, struct tensor cos,
                       struct tensor sin)
{
    double start = measure_seconds();
    state.original->rope(be, x, head_dim, cos, sin);
    count_op("rope", 0, start);
}

static void timed_kv_append(struct backend *be, const struct kv_shape *shape,
                            struct kv_layer *layer, const struct kv_batch *batch, struct tensor k,
                            struct tensor v)
{
    double start = measure_seconds();
    state.original->kv_append(be, shape, layer, batch, k, v);
    count_op("kv_append", 0, start);
}

static void timed_attention(struct backend *be, const struct kv_shape *shape,
                            const struct kv_layer *layer, const struct kv_batch *batch,
                            struct tensor out, struct tensor q)
{
    double start = measure_seconds();
    state.original->attention(be, shape, layer, batch, out, q);
    count_op("attention", 0, start);
}

static void timed_attention_runs(struct backend *be, struct tensor out, struct tensor q,
                                 struct tensor k, struct tensor v, int32_t head_dim,
                                 const int32_t *at, int32_t n_runs)
{
    double start = measure_seconds(), operations = 0;
    state.original->attention_runs(be, out, q, k, v, head_dim, at, n_runs);
    for (int32_t i = 0; i < n_runs; i++)
        operations += 4.0 * (at[i + 1] - at[i]) * (at[i + 1] - at[i]) * q.cols;
    count_op(n_runs == 1 ? "attention, one run" : "attention, runs", operations, start);
}

static void timed_gather_rows(struct backend *be, struct tensor y, struct tensor x,
                              const int32_t *index, int32_t n)
{
    double start = measure_seconds();
    state.original->gather_rows(be, y, x, index, n);
    count_op("gather_rows", 0, start);
}

static void timed_scatter_rows(struct backend *be, struct tensor y, struct tensor x,
                               const int32_t *index, int32_t n)
{
    double start = measure_seconds();
    state.original->scatter_rows(be, y, x, index, n);
    count_op("scatter_rows", 0, start);
}

void ops_time_begin(struct backend *be)
{
    state.original = be->ops;
    state.timed = *be->ops;
    state.timed.embed = timed_embed;
    state.timed.linear = timed_linear;
    state.timed.rms_norm = timed_rms_norm;
    state.timed.add = timed_add;
    state.timed.silu_mul = timed_silu_mul;
    state.timed.gelu = timed_gelu;
    state.timed.rope = timed_rope;
    state.timed.kv_append = timed_kv_append;
    state.timed.attention = timed_attention;
    state.timed.attention_runs = timed_attention_runs;
    state.timed.gather_rows = timed_gather_rows;
    state.timed.scatter_rows = timed_scatter_rows;
    be->ops = &state.timed;
}

static int longer_first(const void *a, const void *b)
{
    double x = ((const struct line *)a)->seconds, y = ((const struct line *)b)->seconds;
    return (x < y) - (x > y);
}

void ops_time_print(FILE *to)
{
    qsort(state.lines, (size_t)state.n, sizeof state.lines[0], longer_first);
    for (int i = 0; i < state.n; i++) {
        const struct line *l = &state.lines[i];
        char shape[32] = "";
        if (l->rows > 0)
            snprintf(shape, sizeof shape, "%d x %d", l->rows, l->cols);
        fprintf(to, "op %-18s %-14s %8.4f s %6d calls", l->op, shape, l->seconds, l->calls);
        if (l->operations > 0)
            fprintf(to, " %8.1f GOP/s", l->operations / l->seconds * 1e-9);
        fputc('\n', to);
    }
    state.n = 0;
}
