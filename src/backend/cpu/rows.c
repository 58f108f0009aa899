/* Ops that treat each row by itself. Rows are shared out in chunks that are worth waking for. */
#include "backend/cpu/backend.h"

enum {
    CHUNK_FLOATS = 16 * 1024
};

struct rows_loop {
    const struct cpu_kernels *kernels;
    void (*row)(const struct rows_loop *loop, int32_t row);
    int32_t rows_per_chunk;
    struct tensor to, from; /* to.rows rows; some ops change `to` in place */
    const float *vector;
    struct weight_source table;
    const void *blocks; /* of the table, when it was repacked */
    const int32_t *index;
    struct tensor cos, sin;
    int32_t head_dim;
    float eps;
};

static float *row_of(struct tensor t, int32_t row)
{
    return t.data + (size_t)row * (size_t)t.stride;
}

static void rows_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    const struct rows_loop *loop = context;
    int32_t first = chunk * loop->rows_per_chunk;
    int32_t left = loop->to.rows - first;
    int32_t n = left < loop->rows_per_chunk ? left : loop->rows_per_chunk;
    for (int32_t row = first; row < first + n; row++)
        loop->row(loop, row);
}

static void run_rows(struct backend *be, struct rows_loop loop)
{
    struct cpu_backend *cpu = cpu_backend_of(be);
    if (loop.to.rows < 1 || loop.to.cols < 1)
        return;
    loop.kernels = &cpu->kernels;
    loop.rows_per_chunk = CHUNK_FLOATS / loop.to.cols + 1;
    int32_t n_chunks =
        loop.to.rows / loop.rows_per_chunk + (loop.to.rows % loop.rows_per_chunk != 0);
    threads_run(cpu->threads, rows_chunk, &loop, n_chunks);
}

static void embed_row(const struct rows_loop *loop, int32_t row)
{
    float *to = row_of(loop->to, row);
    if (loop->blocks)
        repacked_row(to, &loop->table, loop->blocks, loop->index[row]);
    else
        loop->kernels->embed_row(to, &loop->table, loop->index[row]);
}

void cpu_embed(struct backend *be, struct tensor y, const struct weight *table, const int32_t *ids)
{
    run_rows(be, (struct rows_loop){.row = embed_row,
                                    .to = y,
                                    .table = cpu_weight_values(table),
                                    .blocks = cpu_weight_blocks(table),
                                    .index = ids});
}

static void rms_norm_row(const struct rows_loop *loop, int32_t row)
{
    loop->kernels->rms_norm(row_of(loop->to, row), row_of(loop->from, row), loop->vector,
                            loop->to.cols, loop->eps);
}

void cpu_rms_norm(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                  float eps)
{
    run_rows(be, (struct rows_loop){
                     .row = rms_norm_row, .to = y, .from = x, .vector = w->prepared, .eps = eps});
}

static void add_row(const struct rows_loop *loop, int32_t row)
{
    loop->kernels->add(row_of(loop->to, row), row_of(loop->from, row), loop->to.cols);
}

void cpu_add(struct backend *be, struct tensor x, struct tensor y)
{
    run_rows(be, (struct rows_loop){.row = add_row, .to = x, .from = y});
}

static void silu_mul_row(const struct rows_loop *loop, int32_t row)
{
    loop->kernels->silu_mul(row_of(loop->to, row), row_of(loop->from, row), loop->to.cols);
}

void cpu_silu_mul(struct backend *be, struct tensor gate, struct tensor up)
{
    run_rows(be, (struct rows_loop){.row = silu_mul_row, .to = gate, .from = up});
}

static void gelu_row(const struct rows_loop *loop, int32_t row)
{
    loop->kernels->gelu(row_of(loop->to, row), loop->to.cols);
}

void cpu_gelu(struct backend *be, struct tensor x)
{
    run_rows(be, (struct rows_loop){.row = gelu_row, .to = x});
}

static void rope_row(const struct rows_loop *loop, int32_t row)
{
    loop->kernels->rope(row_of(loop->to, row), loop->to.cols / loop->head_dim, loop->head_dim,
                        row_of(loop->cos, row), row_of(loop->sin, row));
}

void cpu_rope(struct backend *be, struct tensor x, int32_t head_dim, struct tensor cos,
              struct tensor sin)
{
    run_rows(be, (struct rows_loop){
                     .row = rope_row, .to = x, .head_dim = head_dim, .cos = cos, .sin = sin});
}

static void copy_row(float *to, const float *from, int32_t cols)
{
    memcpy(to, from, (size_t)cols * sizeof(float));
}

static void gather_row(const struct rows_loop *loop, int32_t row)
{
    copy_row(row_of(loop->to, row), row_of(loop->from, loop->index[row]), loop->to.cols);
}

void cpu_gather_rows(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                     int32_t n)
{
    y.rows = n;
    run_rows(be, (struct rows_loop){.row = gather_row, .to = y, .from = x, .index = index});
}

void cpu_scatter_rows(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                      int32_t n)
{
    (void)be; /* not shared out: an index may come twice, and then the last one counts */
    for (int32_t i = 0; i < n; i++)
        copy_row(row_of(y, index[i]), row_of(x, i), y.cols);
}
