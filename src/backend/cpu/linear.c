/* Linear layers: splits x into blocks of tokens and the weights into runs of rows. */
#include "backend/cpu/backend.h"
#include "backend/cpu/strassen.h"
#include "backend/cpu/tiles.h"

enum {
    LEAST_ROWS = 16, /* of weights in a chunk */
    PREPARE_CHUNKS_PER_THREAD = 4,
    BEGIN_TOKENS = 32,
    /* With few tokens the work is to read the weights: long chunks, since what is prefetched beyond
     * a chunk's end is wasted, and its beginning comes late. */
    FEW_TOKENS = 8,
    FEW_TOKENS_4_BITS = 3, /* more are better taken as a tile */
    FEW_CHUNKS_PER_THREAD = 4,
    /* With many, shorter ones, so that a thread which was held up costs little; no more rows than
     * are met while a run of x is in the second-level cache (simd_tiles.h). */
    MOST_ROWS = 128,
    CHUNKS_PER_THREAD = 8,
};

/* What a layer does with its x and its rows. */
struct linear_way {
    void (*prepare)(const struct linear_job *job, int32_t token);
    void (*prepare_tile)(const struct linear_job *job, int32_t tile, int32_t run);
    void (*rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    int32_t most_tokens;
    int32_t tile_tokens;  /* 0: `prepare`, not prepare_tile */
    int32_t run_multiple; /* tokens; 0: tile_tokens */
    bool strassen;        /* rows are those of w's first half */
    bool whole_tiles;     /* of tile_tokens, but for the last; or else all as wide as each other */
    struct linear_share (*share)(const struct linear_job *job, int threads); /* or NULL */
};

struct linear_loop {
    const struct cpu_backend *cpu;
    struct linear_job job;
    struct linear_way way;
    struct linear_share share; /* of a chunk */
    int32_t rows;              /* to share out */
    int32_t n_tiles;
    int32_t n_pieces, pieces_per_chunk; /* tokens, or runs of units of tiles */
};

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Dense weights must take the same way for any number of tokens, since they differ in bits;
 * quantized ones need not. */
static struct linear_way way_of(const struct cpu_backend *cpu, const struct linear_job *job,
                                int32_t tokens)
{
    const struct cpu_kernels *k = &cpu->kernels;
    bool in_file = job->w.type == WEIGHT_AFFINE && k->reads_blocks && !job->blocks;
    bool four_bits = job->blocks && job->w.bits == 4;
    if (!cpu->integer || !tiles_are_for(&job->w) || in_file)
        return (struct linear_way){
            .prepare = k->linear_prepare, .rows = k->linear_rows, .most_tokens = LINEAR_TOKENS};
    if (job->blocks && tokens <= (four_bits ? FEW_TOKENS_4_BITS : FEW_TOKENS))
        return (struct linear_way){
            .prepare = k->integer_prepare, .rows = k->integer_rows, .most_tokens = LINEAR_TOKENS};
    int32_t most = tiles_tokens(job->w.cols);
    if (job->w.type != WEIGHT_AFFINE && k->dense_rows)
        return (struct linear_way){.prepare_tile = k->dense_prepare,
                                   .rows = k->dense_rows,
                                   .most_tokens =
                                       most / k->dense_tile_tokens * k->dense_tile_tokens,
                                   .tile_tokens = k->dense_tile_tokens,
                                   .whole_tiles = true,
                                   .share = k->dense_share};
    if (strassen_is_for(&job->w, tokens))
        return (struct linear_way){.prepare_tile = k->strassen_prepare,
                                   .rows = k->strassen_rows,
                                   .most_tokens = strassen_run(&job->w),
                                   .tile_tokens = k->tile_tokens,
                                   .run_multiple = STRASSEN_RUN,
                                   .strassen = true};
    if (four_bits && tokens <= k->some_tokens)
        return (struct linear_way){.prepare_tile = k->some_prepare,
                                   .rows = k->some_rows,
                                   .most_tokens = most,
                                   .tile_tokens = k->some_tile_tokens};
    return (struct linear_way){.prepare_tile = k->tiles_prepare,
                               .rows = k->tiles_rows,
                               .most_tokens = most,
                               .tile_tokens = k->tile_tokens};
}

/* Tokens at a time: all runs equally long, in whole tiles (or, where runs are part of what is
 * computed, in what is a whole number of them for all kernels). */
static int32_t tokens_per_run(const struct linear_way *way, int32_t tokens)
{
    if (way->tile_tokens == 0 || tokens <= way->most_tokens)
        return way->most_tokens;
    int32_t multiple = way->run_multiple > 0 ? way->run_multiple : way->tile_tokens;
    int32_t runs = (tokens - 1) / way->most_tokens + 1;
    return ((tokens - 1) / runs / multiple + 1) * multiple;
}

static int32_t chunks_of(int32_t n, int32_t per_chunk)
{
    return n / per_chunk + (n % per_chunk != 0);
}

static void begin_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    const struct linear_loop *loop = context;
    int32_t first = chunk * BEGIN_TOKENS;
    int32_t end = min_of(first + BEGIN_TOKENS, strassen_tokens(&loop->job));
    for (int32_t token = first; token < end; token++)
        loop->cpu->kernels.strassen_begin(&loop->job, token);
}

static void prepare_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    const struct linear_loop *loop = context;
    int32_t first = chunk * loop->pieces_per_chunk;
    int32_t end = min_of(first + loop->pieces_per_chunk, loop->n_pieces);
    for (int32_t i = first; i < end; i++)
        if (loop->way.prepare_tile)
            loop->way.prepare_tile(&loop->job, i % loop->n_tiles, i / loop->n_tiles);
        else
            loop->way.prepare(&loop->job, i);
}

static void rows_chunk(void *context, int32_t chunk, int32_t thread)
{
    const struct linear_loop *loop = context;
    struct linear_share share = loop->share;
    struct linear_job job = loop->job;
    int32_t rows = loop->rows, row_chunks = chunks_of(rows, share.rows);
    int32_t first = chunk % row_chunks * share.rows, token = chunk / row_chunks * share.tokens;
    int32_t n_tokens = min_of(share.tokens, job.x.rows - token);
    if (n_tokens < job.x.rows) {
        job.x = tensor_rows(job.x, token, n_tokens);
        job.y = tensor_rows(job.y, token, n_tokens);
        job.prepared += (size_t)token * tiles_prepared_floats(&loop->cpu->kernels, &job.w);
    }
    loop->way.rows(&job, first, min_of(share.rows, rows - first), cpu_scratch(loop->cpu, thread));
}

static int32_t rows_per_chunk(int32_t rows, bool few, int threads)
{
    int32_t chunks = threads * (few ? FEW_CHUNKS_PER_THREAD : CHUNKS_PER_THREAD);
    int32_t share = rows / chunks / LEAST_ROWS * LEAST_ROWS;
    if (share < LEAST_ROWS)
        return LEAST_ROWS;
    return few ? share : min_of(share, MOST_ROWS);
}

static struct linear_share share_of(const struct linear_loop *loop, bool few)
{
    const struct linear_job *job = &loop->job;
    int threads = threads_count(loop->cpu->threads);
    if (loop->way.share)
        return loop->way.share(job, threads);
    return (struct linear_share){rows_per_chunk(loop->rows, few, threads), job->x.rows};
}

/* x of one run of tokens. */
static void prepare(struct linear_loop *loop)
{
    struct threads *pool = loop->cpu->threads;
    int32_t n = loop->job.x.rows, cols = loop->job.w.cols, tile = loop->way.tile_tokens;
    if (loop->way.strassen) {
        n = strassen_tokens(&loop->job);
        threads_run(pool, begin_chunk, loop, chunks_of(n, BEGIN_TOKENS));
        cols = strassen_cols(&loop->job.w);
    }
    if (tile > 0)
        loop->n_tiles = chunks_of(n, loop->way.whole_tiles ? tile : tiles_width(n, tile));
    loop->n_pieces = tile > 0 ? loop->n_tiles * chunks_of(integer_units(cols), TILES_UNITS) : n;
    loop->pieces_per_chunk =
        chunks_of(loop->n_pieces, threads_count(pool) * PREPARE_CHUNKS_PER_THREAD);
    threads_run(pool, prepare_chunk, loop, chunks_of(loop->n_pieces, loop->pieces_per_chunk));
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
    };
    loop.way = way_of(cpu, &loop.job, x.rows);
    loop.rows = loop.way.strassen ? strassen_rows(&loop.job.w) : loop.job.w.rows;
    bool few = x.rows <= FEW_TOKENS && !loop.way.prepare_tile;
    int32_t run = tokens_per_run(&loop.way, x.rows);
    for (int32_t first = 0; first < x.rows; first += run) {
        int32_t n = min_of(run, x.rows - first);
        loop.job.x = tensor_rows(x, first, n);
        loop.job.y = tensor_rows(y, first, n);
        loop.share = share_of(&loop, few);
        prepare(&loop);
        threads_run(cpu->threads, rows_chunk, &loop,
                    chunks_of(loop.rows, loop.share.rows) * chunks_of(n, loop.share.tokens));
    }
}
