/* Linear layers: splits x into blocks of tokens and the weights into runs of rows. */
#include "backend/cpu/backend.h"

enum {
    LEAST_ROWS = 16,    /* of weights in a chunk */
    PREPARE_TOKENS = 4, /* rows of x prepared in a chunk */
    /* With few tokens the work is to read the weights: long chunks, since what is prefetched beyond
     * a chunk's end is wasted, and its beginning comes late. */
    FEW_TOKENS = 8,
    FEW_CHUNKS_PER_THREAD = 4,
    /* With many, short ones, so that a thread which was held up costs little. */
    MOST_ROWS = 64,
    CHUNKS_PER_THREAD = 8,
};

struct linear_loop {
    const struct cpu_backend *cpu;
    struct linear_job job;
    int32_t rows_per_chunk;
    bool integer;
};

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void prepare_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    const struct linear_loop *loop = context;
    int32_t first = chunk * PREPARE_TOKENS;
    int32_t end = min_of(first + PREPARE_TOKENS, loop->job.x.rows);
    const struct cpu_kernels *kernels = &loop->cpu->kernels;
    for (int32_t t = first; t < end; t++)
        (loop->integer ? kernels->integer_prepare : kernels->linear_prepare)(&loop->job, t);
}

static void rows_chunk(void *context, int32_t chunk, int32_t thread)
{
    const struct linear_loop *loop = context;
    int32_t first = chunk * loop->rows_per_chunk;
    int32_t n = min_of(loop->rows_per_chunk, loop->job.w.rows - first);
    const struct cpu_kernels *kernels = &loop->cpu->kernels;
    (loop->integer ? kernels->integer_rows : kernels->linear_rows)(&loop->job, first, n,
                                                                   cpu_scratch(loop->cpu, thread));
}

static int32_t rows_per_chunk(int32_t rows, int32_t tokens, int threads)
{
    bool few = tokens <= FEW_TOKENS;
    int32_t chunks = threads * (few ? FEW_CHUNKS_PER_THREAD : CHUNKS_PER_THREAD);
    int32_t share = rows / chunks / LEAST_ROWS * LEAST_ROWS;
    if (share < LEAST_ROWS)
        return LEAST_ROWS;
    return few ? share : min_of(share, MOST_ROWS);
}

static int32_t chunks_of(int32_t n, int32_t per_chunk)
{
    return n / per_chunk + (n % per_chunk != 0);
}

void cpu_linear(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                const struct weight *bias)
{
    struct cpu_backend *cpu = cpu_backend_of(be);
    struct linear_loop loop = {
        .cpu = cpu,
        .job = {.w = cpu_weight_values(w),
                .blocks = cpu_weight_blocks(w),
                .bias = bias ? bias->prepared : NULL,
                .prepared = cpu->prepared},
        .integer = cpu->integer && w->source.type == WEIGHT_AFFINE,
        .rows_per_chunk = rows_per_chunk(w->source.rows, x.rows, threads_count(cpu->threads)),
    };
    for (int32_t first = 0; first < x.rows; first += LINEAR_TOKENS) {
        int32_t n = min_of(LINEAR_TOKENS, x.rows - first);
        loop.job.x = tensor_rows(x, first, n);
        loop.job.y = tensor_rows(y, first, n);
        threads_run(cpu->threads, prepare_chunk, &loop, chunks_of(n, PREPARE_TOKENS));
        threads_run(cpu->threads, rows_chunk, &loop,
                    chunks_of(loop.job.w.rows, loop.rows_per_chunk));
    }
}
