/* Attention: cuts batches and runs into tasks of queries that share their keys. */
#include "backend/cpu/backend.h"

enum {
    LEAST_QUERIES = 16,
    PARTS = 8, /* of one head in a task, at most */
};

/* The rows of one item or run, against all its keys. */
struct sequence {
    int32_t first_row, n_rows;
    int32_t visible;          /* tokens that the first row sees */
    struct attention_keys kv; /* of kv head 0 */
};

struct attention_loop {
    const struct cpu_backend *cpu;
    struct tensor out, q;
    int32_t head_dim, heads_per_kv, n_kv_heads;
    int32_t queries_per_task;
    int32_t parts_per_task;
    bool causal;
    size_t head_stride; /* floats from one kv head's keys to the next's */
    int32_t n_sequences;
    struct sequence (*sequence)(const struct attention_loop *loop, int32_t i);
    /* paged */
    const struct kv_shape *shape;
    const struct kv_layer *layer;
    const struct kv_batch *batch;
    /* runs */
    struct tensor k, v;
    const int32_t *start;
};

static struct sequence paged_sequence(const struct attention_loop *loop, int32_t i)
{
    const struct kv_shape *shape = loop->shape;
    size_t token = (size_t)shape->head_dim;
    size_t block = token * (size_t)shape->block_tokens * (size_t)shape->n_kv_heads;
    int32_t first = loop->batch->row_start[i];
    return (struct sequence){
        .first_row = first,
        .n_rows = loop->batch->row_start[i + 1] - first,
        .visible = loop->batch->context[i] + 1,
        .kv = {.keys = loop->layer->keys,
               .values = loop->layer->values,
               .blocks = loop->batch->blocks[i],
               .block_tokens = shape->block_tokens,
               .block_stride = block,
               .key_stride = token,
               .value_stride = token},
    };
}

static struct sequence run_sequence(const struct attention_loop *loop, int32_t i)
{
    int32_t first = loop->start[i];
    int32_t n = loop->start[i + 1] - first;
    return (struct sequence){
        .first_row = first,
        .n_rows = n,
        .visible = n,
        .kv = {.keys = tensor_rows(loop->k, first, n).data,
               .values = tensor_rows(loop->v, first, n).data,
               .key_stride = (size_t)loop->k.stride,
               .value_stride = (size_t)loop->v.stride},
    };
}

static int32_t tasks_per_head(const struct attention_loop *loop, const struct sequence *s)
{
    int32_t queries = s->n_rows * loop->heads_per_kv;
    return (queries + loop->queries_per_task - 1) / loop->queries_per_task;
}

static int32_t count_tasks(const struct attention_loop *loop)
{
    int32_t n = 0;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        n += tasks_per_head(loop, &s) * loop->n_kv_heads;
    }
    return n;
}

/* Queries are counted row by row, and within a row head by head of those that share kv_head. */
static struct attention_task make_task(const struct attention_loop *loop, const struct sequence *s,
                                       int32_t kv_head, int32_t first)
{
    struct attention_task task = {.kv = s->kv, .head_dim = loop->head_dim};
    task.kv.keys += (size_t)kv_head * loop->head_stride;
    task.kv.values += (size_t)kv_head * loop->head_stride;
    int32_t end = first + loop->queries_per_task;
    if (end > s->n_rows * loop->heads_per_kv)
        end = s->n_rows * loop->heads_per_kv;
    for (int32_t query = first; query < end; query++) {
        int32_t row = query / loop->heads_per_kv;
        int32_t head = kv_head * loop->heads_per_kv + query % loop->heads_per_kv;
        size_t column = (size_t)head * (size_t)loop->head_dim;
        int32_t i = task.n_queries++;
        task.q[i] = tensor_rows(loop->q, s->first_row + row, 1).data + column;
        task.out[i] = tensor_rows(loop->out, s->first_row + row, 1).data + column;
        task.visible[i] = s->visible + (loop->causal ? row : 0);
    }
    return task;
}

static void attention_chunk(void *context, int32_t chunk, int32_t thread)
{
    const struct attention_loop *loop = context;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        int32_t per_head = tasks_per_head(loop, &s);
        if (chunk >= per_head * loop->n_kv_heads) {
            chunk -= per_head * loop->n_kv_heads;
            continue;
        }
        int32_t first = chunk % per_head * loop->queries_per_task;
        struct attention_task task = make_task(loop, &s, chunk / per_head, first);
        loop->cpu->kernels.attention(&task, cpu_scratch(loop->cpu, thread));
        return;
    }
}

/* ---- few queries: their tokens are shared out, in parts that do not depend on who takes them */

static int32_t parts_of(const struct attention_loop *loop, const struct sequence *s)
{
    return attention_parts(s->visible + (loop->causal ? s->n_rows - 1 : 0));
}

/* One head's parts, one after another. */
static size_t partials_of(const struct attention_loop *loop, const struct sequence *s)
{
    return (size_t)parts_of(loop, s) *
           attention_partial_floats(s->n_rows * loop->heads_per_kv, loop->head_dim);
}

/* Runs of parts_per_task parts. */
static int32_t runs_of(const struct attention_loop *loop, const struct sequence *s)
{
    return (parts_of(loop, s) + loop->parts_per_task - 1) / loop->parts_per_task;
}

static int32_t count_runs(const struct attention_loop *loop)
{
    int32_t n = 0;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        n += runs_of(loop, &s) * loop->n_kv_heads;
    }
    return n;
}

/* False when it takes other means: too many queries or tokens, or nothing to share out. */
static bool can_share_parts(const struct attention_loop *loop)
{
    size_t floats = 0;
    int32_t most = 0;
    if (!loop->cpu->kernels.attention_parts || loop->head_dim > ATTENTION_DIM)
        return false;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        int32_t parts = parts_of(loop, &s);
        floats += partials_of(loop, &s) * (size_t)loop->n_kv_heads;
        if (s.n_rows * loop->heads_per_kv > ATTENTION_LANES || floats > ATTENTION_PARTIALS)
            return false;
        most = parts > most ? parts : most;
    }
    return most > 1;
}

static void parts_chunk(void *context, int32_t chunk, int32_t thread)
{
    const struct attention_loop *loop = context;
    float *partials = loop->cpu->partials;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        int32_t runs = runs_of(loop, &s), parts = parts_of(loop, &s);
        if (chunk >= runs * loop->n_kv_heads) {
            chunk -= runs * loop->n_kv_heads;
            partials += partials_of(loop, &s) * (size_t)loop->n_kv_heads;
            continue;
        }
        int32_t head = chunk / runs, first = chunk % runs * loop->parts_per_task;
        int32_t left = parts - first, n = left < loop->parts_per_task ? left : loop->parts_per_task;
        struct attention_task task = make_task(loop, &s, head, 0);
        partials += partials_of(loop, &s) / (size_t)parts * (size_t)(head * parts + first);
        loop->cpu->kernels.attention_parts(&task, first, n, partials,
                                           cpu_scratch(loop->cpu, thread));
        return;
    }
}

static void merge_chunk(void *context, int32_t chunk, int32_t thread)
{
    const struct attention_loop *loop = context;
    float *partials = loop->cpu->partials;
    for (int32_t i = 0; i < loop->n_sequences; i++) {
        struct sequence s = loop->sequence(loop, i);
        if (chunk >= loop->n_kv_heads) {
            chunk -= loop->n_kv_heads;
            partials += partials_of(loop, &s) * (size_t)loop->n_kv_heads;
            continue;
        }
        struct attention_task task = make_task(loop, &s, chunk, 0);
        partials += partials_of(loop, &s) * (size_t)chunk;
        loop->cpu->kernels.attention_merge(&task, partials, cpu_scratch(loop->cpu, thread));
        return;
    }
}

/* Many queries share each read of the keys, unless that leaves threads without work. */
static void run_attention(struct attention_loop *loop)
{
    struct threads *pool = loop->cpu->threads;
    loop->queries_per_task = ATTENTION_QUERIES;
    if (can_share_parts(loop)) {
        loop->parts_per_task = PARTS;
        while (loop->parts_per_task > 1 && count_runs(loop) < 4 * threads_count(pool))
            loop->parts_per_task /= 2;
        threads_run(pool, parts_chunk, loop, count_runs(loop));
        threads_run(pool, merge_chunk, loop, loop->n_sequences * loop->n_kv_heads);
        return;
    }
    while (loop->queries_per_task > LEAST_QUERIES && count_tasks(loop) < 4 * threads_count(pool))
        loop->queries_per_task /= 2;
    threads_run(pool, attention_chunk, loop, count_tasks(loop));
}

void cpu_attention(struct backend *be, const struct kv_shape *shape, const struct kv_layer *layer,
                   const struct kv_batch *batch, struct tensor out, struct tensor q)
{
    struct attention_loop loop = {
        .cpu = cpu_backend_of(be),
        .out = out,
        .q = q,
        .head_dim = shape->head_dim,
        .heads_per_kv = q.cols / shape->head_dim / shape->n_kv_heads,
        .n_kv_heads = shape->n_kv_heads,
        .causal = true,
        .head_stride = (size_t)shape->head_dim * (size_t)shape->block_tokens,
        .n_sequences = batch->n_items,
        .sequence = paged_sequence,
        .shape = shape,
        .layer = layer,
        .batch = batch,
    };
    run_attention(&loop);
}

void cpu_attention_runs(struct backend *be, struct tensor out, struct tensor q, struct tensor k,
                        struct tensor v, int32_t head_dim, const int32_t *start, int32_t n_runs)
{
    struct attention_loop loop = {
        .cpu = cpu_backend_of(be),
        .out = out,
        .q = q,
        .head_dim = head_dim,
        .heads_per_kv = 1,
        .n_kv_heads = q.cols / head_dim,
        .head_stride = (size_t)head_dim,
        .n_sequences = n_runs,
        .sequence = run_sequence,
        .k = k,
        .v = v,
        .start = start,
    };
    run_attention(&loop);
}

static void append_row(const struct kv_shape *shape, float *to, const float *from, int32_t block,
                       int32_t place)
{
    size_t head_dim = (size_t)shape->head_dim, tokens = (size_t)shape->block_tokens;
    float *at = to + (size_t)block * (size_t)shape->n_kv_heads * tokens * head_dim +
                (size_t)place * head_dim;
    for (int32_t head = 0; head < shape->n_kv_heads; head++) {
        memcpy(at, from, head_dim * sizeof(float));
        at += tokens * head_dim;
        from += head_dim;
    }
}

void cpu_kv_append(struct backend *be, const struct kv_shape *shape, struct kv_layer *layer,
                   const struct kv_batch *batch, struct tensor k, struct tensor v)
{
    (void)be; /* a copy of some kilobytes: not worth waking threads for */
    for (int32_t i = 0; i < batch->n_items; i++)
        for (int32_t row = batch->row_start[i]; row < batch->row_start[i + 1]; row++) {
            int32_t token = batch->context[i] + row - batch->row_start[i];
            int32_t block = batch->blocks[i][token / shape->block_tokens];
            int32_t place = token % shape->block_tokens;
            append_row(shape, layer->keys, tensor_rows(k, row, 1).data, block, place);
            append_row(shape, layer->values, tensor_rows(v, row, 1).data, block, place);
        }
}
