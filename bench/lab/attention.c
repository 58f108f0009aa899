/* Attention at the shapes of Qwen2.5-VL 3B: first checked against plain C on a smaller piece, then
 * timed in turns with the machine's own ceilings, multiply-adds and bytes read.
 *
 *   attention [--threads N] [--passes N] [--isa ISA] [CASE]      CASE: decode, prefill, windows,
 * full */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/threads.h"
#include "measure.h"
#include "ops/ops.h"

enum {
    LAYERS = 8, /* whose keys and values take turns, so that none is left in a cache */
    BLOCK = 32,
    HEADS = 16,
    KV_HEADS = 2,
    TEXT_DIM = 128,
    VISION_DIM = 80,
    VISION_STRIDE = 3 * HEADS * VISION_DIM,
};

struct lab {
    struct backend *tested, *oracle;
    struct measure_reader *reader;
    const char *only;
    int threads, passes;
    bool failed;
};

/* One op on its own data; each run takes the next layer. */
struct problem {
    struct kv_shape shape;
    struct kv_layer layers[LAYERS];
    int32_t layer;
    int32_t *blocks;
    int32_t context, rows;
    struct tensor q, k, v, out;
    int32_t *start, n_runs;
};

static float *random_floats(struct backend *be, size_t n, uint32_t seed)
{
    float *floats = be->ops->alloc(be, n * sizeof *floats);
    if (!floats)
        exit(2);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        floats[i] = (float)(int32_t)seed * 0x1p-30f;
    }
    return floats;
}

static struct tensor random_tensor(struct backend *be, int32_t rows, int32_t cols)
{
    return (struct tensor){random_floats(be, (size_t)rows * (size_t)cols, 7), rows, cols, cols};
}

static struct problem open_paged(struct backend *be, int32_t context, int32_t rows)
{
    struct problem p = {.context = context, .rows = rows};
    int32_t tokens = context + rows, n_blocks = (tokens + BLOCK - 1) / BLOCK;
    p.shape = (struct kv_shape){BLOCK, n_blocks, KV_HEADS, TEXT_DIM};
    for (int i = 0; i < LAYERS; i++) {
        size_t floats = (size_t)n_blocks * KV_HEADS * BLOCK * TEXT_DIM;
        p.layers[i].keys = random_floats(be, floats, 2 * (uint32_t)i);
        p.layers[i].values = random_floats(be, floats, 2 * (uint32_t)i + 1);
    }
    p.blocks = malloc((size_t)n_blocks * sizeof *p.blocks);
    if (!p.blocks)
        exit(2);
    for (int32_t i = 0; i < n_blocks; i++)
        p.blocks[i] = n_blocks - 1 - i;
    p.q = random_tensor(be, rows, HEADS * TEXT_DIM);
    p.out = random_tensor(be, rows, HEADS * TEXT_DIM);
    return p;
}

static struct problem open_runs(struct backend *be, int32_t rows, int32_t run, int32_t heads)
{
    struct problem p = {.rows = rows, .n_runs = (rows + run - 1) / run};
    struct tensor qkv = random_tensor(be, rows, VISION_STRIDE);
    p.q = tensor_columns(qkv, 0, heads * VISION_DIM);
    p.k = tensor_columns(qkv, HEADS * VISION_DIM, heads * VISION_DIM);
    p.v = tensor_columns(qkv, 2 * HEADS * VISION_DIM, heads * VISION_DIM);
    p.out = random_tensor(be, rows, heads * VISION_DIM);
    p.start = malloc((size_t)(p.n_runs + 1) * sizeof *p.start);
    if (!p.start)
        exit(2);
    for (int32_t i = 0; i <= p.n_runs; i++)
        p.start[i] = i * run < rows ? i * run : rows;
    return p;
}

static void close_problem(struct problem *p)
{
    for (int i = 0; i < LAYERS; i++) {
        free(p->layers[i].keys);
        free(p->layers[i].values);
    }
    free(p->blocks);
    free(p->q.data);
    free(p->out.data);
    free(p->start);
}

static void run(struct problem *p, struct backend *be, struct tensor out)
{
    if (p->start) {
        be->ops->attention_runs(be, out, p->q, p->k, p->v, VISION_DIM, p->start, p->n_runs);
        return;
    }
    const int32_t row_start[] = {0, p->rows}, *blocks = p->blocks;
    const struct kv_batch batch = {1, row_start, &p->context, &blocks};
    be->ops->attention(be, &p->shape, &p->layers[p->layer], &batch, out, p->q);
    p->layer = (p->layer + 1) % LAYERS;
}

static double pairs_of(const struct problem *p)
{
    double pairs = 0;
    for (int32_t i = 0; i < p->n_runs; i++)
        pairs += pow(p->start[i + 1] - p->start[i], 2) * (p->q.cols / VISION_DIM);
    if (!p->start)
        pairs = HEADS * ((double)p->rows * p->context + p->rows * (p->rows + 1.0) / 2);
    return pairs;
}

static double bytes_of(const struct problem *p)
{
    if (p->start)
        return 4.0 * p->rows * p->q.cols * 4;
    return 2.0 * (p->context + p->rows) * KV_HEADS * TEXT_DIM * 4;
}

static void check(struct lab *lab, struct problem p)
{
    struct tensor want = random_tensor(lab->oracle, p.out.rows, p.out.cols);
    run(&p, lab->oracle, want);
    p.layer = 0;
    run(&p, lab->tested, p.out);
    double error = 0, size = 0;
    for (size_t i = 0; i < (size_t)want.rows * (size_t)want.cols; i++) {
        error += pow((double)want.data[i] - (double)p.out.data[i], 2);
        size += pow((double)want.data[i], 2);
    }
    double relative = sqrt(error / size);
    bool ok = relative < 2e-6;
    printf(ok ? "agrees with plain C to %.1e; " : "DIFFERS from plain C by %.1e; ", relative);
    lab->failed |= !ok;
    free(want.data);
    close_problem(&p);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The problem and the reading of memory in turns. */
static void report(struct lab *lab, struct problem p, double fma)
{
    double seconds[64], rates[64];
    for (int i = 0; i < lab->passes; i++) {
        rates[i] = measure_read(lab->reader);
        run(&p, lab->tested, p.out);
        double start = measure_seconds();
        run(&p, lab->tested, p.out);
        seconds[i] = measure_seconds() - start;
    }
    qsort(seconds, (size_t)lab->passes, sizeof *seconds, by_size);
    qsort(rates, (size_t)lab->passes, sizeof *rates, by_size);
    double s = seconds[lab->passes / 2], read = rates[lab->passes / 2];
    int32_t dim = p.start ? VISION_DIM : TEXT_DIM;
    double flops = pairs_of(&p) * dim * 4 / s, bytes = bytes_of(&p) / s;
    printf("%9.1f us %7.1f GFLOP/s (%2.0f %%) %6.2f GB/s (%2.0f %%)\n", s * 1e6, flops * 1e-9,
           flops / fma * 100, bytes * 1e-9, bytes / read * 100);
    close_problem(&p);
}

static void run_cases(struct lab *lab)
{
    static const struct {
        const char *name;
        int32_t context, rows, run, heads;
    } cases[] = {
        {"decode", 512, 1, 0, 0},     {"decode", 2048, 1, 0, 0},    {"decode", 8192, 1, 0, 0},
        {"prefill", 0, 512, 0, 0},    {"prefill", 1536, 512, 0, 0}, {"windows", 0, 2048, 64, HEADS},
        {"full", 0, 784, 784, HEADS}, {"full", 0, 5476, 5476, 1},
    };
    double fma = measure_fma_peak(lab->threads);
    printf("%d threads: float32 %.0f GFLOP/s; fractions of that, and of reading in turns\n",
           lab->threads, fma * 1e-9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t context = cases[i].context, rows = cases[i].rows, length = cases[i].run;
        if (lab->only && strcmp(lab->only, cases[i].name) != 0)
            continue;
        printf("%-8s %4d rows after %4d: ", cases[i].name, rows, context);
        int32_t few = rows < 70 ? rows : 70;
        check(lab, length ? open_runs(lab->tested, few + 200, length, 1)
                          : open_paged(lab->tested, context, few));
        report(lab,
               length ? open_runs(lab->tested, rows, length, cases[i].heads)
                      : open_paged(lab->tested, context, rows),
               fma);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct lab lab = {.passes = 9};
    struct cpu_options options = {0};
    const struct cpu_options plain = {1, "c", NULL};
    struct vlmd_error err;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            options.threads = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--passes") == 0)
            lab.passes = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--isa") == 0)
            options.isa = argv[++i];
        else
            lab.only = argv[i];
    }
    lab.threads = options.threads > 0 ? options.threads : threads_available();
    if (lab.passes < 1 || lab.passes > 64)
        return 1;
    lab.tested = backend_cpu_open(&options, &err);
    lab.oracle = backend_cpu_open(&plain, &err);
    lab.reader = measure_reader_open(lab.threads);
    if (!lab.tested || !lab.oracle || !lab.reader) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s\n", lab.tested->ops->name);
    run_cases(&lab);
    measure_reader_close(lab.reader);
    lab.tested->ops->close(lab.tested);
    lab.oracle->ops->close(lab.oracle);
    return lab.failed;
}
