/* Times the linear layers of whole decode steps at the shapes of Qwen2.5-VL 3B and 7B: random 4-bit
 * weights, group 64, bf16 scales, in memory; a step reads every layer's own weights once, as a
 * model does. Prints the time a step, bytes a second, and the fraction of the read bandwidth
 * measured just before and after.
 *
 * With --cached, a step is instead one matrix of that many rows, CACHED_TIMES over: small enough,
 * it stays in a cache, and what is left is the arithmetic.
 *
 *   decode_shapes [3b|7b] [--threads N] [--tokens N] [--isa NAME] [--activations NAME]
 *                 [--steps N] [--layers N] [--cached ROWS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/threads.h"
#include "measure.h"

enum {
    GROUP = 64,
    BITS = 4,
    PER_LAYER = 7,
    MOST_WEIGHTS = 36 * PER_LAYER + 1,
    CACHED_TIMES = 1000,
};

struct shapes {
    const char *name;
    int32_t layers, hidden, kv, inner, vocab;
};

static const struct shapes known[] = {
    {"3b", 36, 2048, 256, 11008, 151936},
    {"7b", 28, 3584, 512, 18944, 152064},
};

struct options {
    const struct shapes *shapes;
    const char *isa, *activations;
    int threads, tokens, steps, layers;
    int cached; /* rows of the one matrix, or 0 */
};

struct step {
    struct backend *be;
    int n_weights, times; /* how often all of them in a step */
    struct weight weights[MOST_WEIGHTS];
    void *memory[MOST_WEIGHTS];
    size_t bytes;
    struct tensor x, y; /* as wide as the widest */
};

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "3b") == 0 || strcmp(argv[i], "7b") == 0)
            o->shapes = &known[argv[i][0] == '7'];
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            o->threads = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--tokens") == 0)
            o->tokens = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--isa") == 0)
            o->isa = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--activations") == 0)
            o->activations = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0)
            o->steps = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--layers") == 0)
            o->layers = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--cached") == 0)
            o->cached = atoi(argv[++i]);
        else
            return false;
    }
    if (o->layers < 1 || o->layers > o->shapes->layers)
        o->layers = o->shapes->layers;
    if (o->cached < 0 || o->cached > o->shapes->vocab)
        return false;
    return o->threads >= 1 && o->tokens >= 1 && o->tokens <= 4096 && o->steps >= 1;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Random integers; scales 2^-7 and biases -8 * 2^-7, which centres them. */
static int add_weight(struct step *step, int32_t rows, int32_t cols)
{
    static uint64_t random = 88172645463325252u;
    size_t packed = (size_t)rows * (size_t)cols / 8 * BITS;
    size_t groups = (size_t)rows * (size_t)(cols / GROUP);
    unsigned char *memory = malloc(packed + 4 * groups);
    if (!memory)
        return -1;
    step->memory[step->n_weights] = memory;
    for (size_t i = 0; i + 8 <= packed; i += 8) {
        uint64_t bits = next_random(&random);
        memcpy(memory + i, &bits, sizeof bits);
    }
    uint16_t *scales = (uint16_t *)(void *)(memory + packed);
    for (size_t i = 0; i < groups; i++) {
        scales[i] = 0x3c00;          /* 2^-7 in bf16 */
        scales[groups + i] = 0xbd80; /* -2^-4 */
    }
    struct weight_source source = {.type = WEIGHT_AFFINE,
                                   .scale_type = WEIGHT_BF16,
                                   .rows = rows,
                                   .cols = cols,
                                   .bits = BITS,
                                   .group = GROUP,
                                   .data = memory,
                                   .scales = scales,
                                   .biases = scales + groups};
    struct vlmd_error err;
    const struct ops *ops = step->be->ops;
    if (ops->weight_load(step->be, &step->weights[step->n_weights], &source, &err) != 0 ||
        ops->weights_end(step->be, &err) != 0) {
        fprintf(stderr, "%s: %s\n", err.field, err.text);
        return -1;
    }
    step->n_weights++;
    step->bytes += packed + 4 * groups;
    return 0;
}

static int add_weights(struct step *step, const struct shapes *s, int layers)
{
    int rc = 0;
    for (int i = 0; i < layers && rc == 0; i++)
        rc = add_weight(step, s->hidden, s->hidden) | add_weight(step, s->kv, s->hidden) |
             add_weight(step, s->kv, s->hidden) | add_weight(step, s->hidden, s->hidden) |
             add_weight(step, s->inner, s->hidden) | add_weight(step, s->inner, s->hidden) |
             add_weight(step, s->hidden, s->inner);
    return rc | add_weight(step, s->vocab, s->hidden);
}

static void run_step(struct step *step)
{
    for (int i = 0; i < step->times * step->n_weights; i++) {
        const struct weight *w = &step->weights[i % step->n_weights];
        struct tensor x = tensor_columns(step->x, 0, w->source.cols);
        struct tensor y = tensor_columns(step->y, 0, w->source.rows);
        step->be->ops->linear(step->be, y, x, w, NULL);
    }
}

static int open_step(struct step *step, const struct options *o)
{
    const struct shapes *s = o->shapes;
    step->x = (struct tensor){.rows = o->tokens, .cols = s->inner, .stride = s->inner};
    step->y = (struct tensor){.rows = o->tokens, .cols = s->vocab, .stride = s->vocab};
    step->x.data = calloc((size_t)o->tokens * (size_t)s->inner, sizeof(float));
    step->y.data = calloc((size_t)o->tokens * (size_t)s->vocab, sizeof(float));
    if (!step->x.data || !step->y.data)
        return -1;
    for (size_t i = 0; i < (size_t)o->tokens * (size_t)s->inner; i++)
        step->x.data[i] = (float)(i % 17) * 0.1f - 0.8f;
    step->times = o->cached ? CACHED_TIMES : 1;
    int rc = o->cached ? add_weight(step, o->cached, s->hidden) : add_weights(step, s, o->layers);
    step->bytes *= (size_t)step->times;
    return rc;
}

static void close_step(struct step *step)
{
    for (int i = 0; i < step->n_weights; i++)
        step->be->ops->weight_free(step->be, &step->weights[i]);
    for (int i = 0; i < MOST_WEIGHTS; i++)
        free(step->memory[i]);
    free(step->x.data);
    free(step->y.data);
    if (step->be)
        step->be->ops->close(step->be);
    free(step);
}

struct result {
    double seconds, bandwidth; /* the best of all turns */
    double fraction;           /* the median of the turns' */
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int take_turns(struct step *step, int threads, int steps, struct result *result)
{
    double *fractions = calloc((size_t)steps, sizeof *fractions);
    struct measure_reader *reader = measure_reader_open(threads);
    if (!fractions || !reader) {
        free(fractions);
        measure_reader_close(reader);
        return -1;
    }
    *result = (struct result){.seconds = 1e9};
    run_step(step);
    for (int i = 0; i < steps; i++) {
        double bandwidth = measure_read(reader);
        double start = measure_seconds();
        run_step(step);
        double seconds = measure_seconds() - start;
        fractions[i] = (double)step->bytes / seconds / bandwidth;
        if (seconds < result->seconds)
            result->seconds = seconds;
        if (bandwidth > result->bandwidth)
            result->bandwidth = bandwidth;
    }
    qsort(fractions, (size_t)steps, sizeof *fractions, by_size);
    result->fraction = fractions[steps / 2];
    measure_reader_close(reader);
    free(fractions);
    return 0;
}

static void report(const struct step *step, const struct options *o, const struct result *r)
{
    double rate = (double)step->bytes / r->seconds;
    double weights = (double)step->bytes / (BITS / 8.0 + 4.0 / GROUP);
    printf("%s, %s, %d threads, %d tokens: %.1f ms a step, %.2f steps/s\n", o->shapes->name,
           step->be->ops->name, o->threads, o->tokens, r->seconds * 1e3, 1 / r->seconds);
    printf(
        "  %.3f GB of weights at %.2f GB/s = %.0f %% of the %.2f GB/s read in this run (median of "
        "the turns %.0f %%)\n",
        (double)step->bytes * 1e-9, rate * 1e-9, 100 * rate / r->bandwidth, r->bandwidth * 1e-9,
        100 * r->fraction);
    printf("  %.1f GFLOP/s\n", 2e-9 * weights * o->tokens / r->seconds);
}

int main(int argc, char **argv)
{
    struct options o = {
        .shapes = &known[0], .threads = threads_available(), .tokens = 1, .steps = 9};
    if (!parse(argc, argv, &o)) {
        fputs("usage: decode_shapes [3b|7b] [--threads N] [--tokens N] [--isa NAME] "
              "[--activations NAME] [--steps N] [--layers N] [--cached ROWS]\n",
              stderr);
        return 2;
    }
    struct vlmd_error err = {.text = "out of memory"};
    int status = 1;
    struct step *step = calloc(1, sizeof *step);
    if (!step)
        return 1;
    const struct cpu_options backend = {o.threads, o.isa, o.activations};
    step->be = backend_cpu_open(&backend, &err);
    if (!step->be || open_step(step, &o) != 0) {
        fprintf(stderr, "decode_shapes: %s\n", err.text);
        goto out;
    }
    struct result result;
    if (take_turns(step, o.threads, o.steps, &result) != 0) {
        fputs("decode_shapes: out of memory\n", stderr);
        goto out;
    }
    report(step, &o, &result);
    status = 0;
out:
    close_step(step);
    return status;
}
