/* Linear layers for many tokens in integers (src/backend/cpu/tiles.h), at the shapes of Qwen2.5-VL
 * 3B: each is checked against plain C on some tokens, to the last bit or, where "amxbf16" sums
 * floats, as closely as those can be, then timed in turns with what the processor's integers can do
 * at most in registers, one thread's times their number. Layers take turns as in a model, so that
 * their weights come from memory.
 *
 *   tiles [--isa avx2|avxvnni|avx512|amx|amxbf16|neon|dotprod|i8mm] [--tokens N] [--passes N]
 *         [--threads N]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "measure.h"

enum {
    COPIES = 6, /* of each matrix */
    CHECKED_TOKENS = 13,
    CHECKED_ROWS = 48,
    GROUP = 64,
};

struct shape {
    const char *name;
    int32_t rows, cols;
    bool affine;
};

static const struct shape shapes[] = {
    {"tower qkv", 3840, 1280, false},  {"tower gate", 3420, 1280, false},
    {"tower down", 1280, 3420, false}, {"tower proj", 1280, 1280, false},
    {"text gate", 11008, 2048, true},  {"text down", 2048, 11008, true},
};

struct options {
    const char *isa;
    int tokens, rounds, threads;
};

static uint32_t next_random(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void *need(void *memory)
{
    if (!memory) {
        fputs("tiles: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

/* n bf16 numbers of either sign between 2^-7 and 2^-3. */
static uint16_t *random_bf16(size_t n)
{
    uint16_t *values = need(malloc(n * sizeof *values));
    for (size_t i = 0; i < n; i++) {
        uint32_t r = next_random();
        values[i] = (uint16_t)((r & 0x807f) | (120 + (r >> 20 & 3)) << 7);
    }
    return values;
}

static struct weight_source random_weight(const struct shape *s)
{
    size_t n = (size_t)s->rows * (size_t)s->cols;
    struct weight_source w = {.type = WEIGHT_BF16, .rows = s->rows, .cols = s->cols};
    w.many_rows = true;
    if (!s->affine) {
        w.data = random_bf16(n);
        return w;
    }
    unsigned char *packed = need(malloc(n / 2));
    for (size_t i = 0; i < n / 2; i++)
        packed[i] = (unsigned char)next_random();
    w.type = WEIGHT_AFFINE;
    w.scale_type = WEIGHT_BF16;
    w.bits = 4;
    w.group = GROUP;
    w.data = packed;
    w.scales = random_bf16(n / GROUP);
    w.biases = random_bf16(n / GROUP);
    return w;
}

static void free_source(struct weight_source *w)
{
    free((void *)w->data);
    free((void *)w->scales);
    free((void *)w->biases);
}

static struct tensor new_tensor(int32_t rows, int32_t cols)
{
    size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
    return (struct tensor){need(aligned_alloc(64, (bytes + 63) / 64 * 64)), rows, cols, cols};
}

static struct backend *open_backend(const char *isa, int threads, const char *activations)
{
    struct vlmd_error err;
    struct backend *be = backend_cpu_open(&(struct cpu_options){threads, isa, activations}, &err);
    if (!be) {
        fprintf(stderr, "tiles: %s\n", err.text);
        exit(2);
    }
    return be;
}

static void load(struct backend *be, struct weight *w, const struct weight_source *source)
{
    struct vlmd_error err;
    if (be->ops->weight_load(be, w, source, &err) != 0 || be->ops->weights_end(be, &err) != 0) {
        fprintf(stderr, "tiles: %s\n", err.text);
        exit(2);
    }
}

/* |a - b| / |a| */
static double distance(struct tensor a, struct tensor b)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < (size_t)a.rows * (size_t)a.cols; i++) {
        double d = (double)a.data[i] - (double)b.data[i];
        difference += d * d;
        size += (double)a.data[i] * (double)a.data[i];
    }
    return sqrt(difference / size);
}

/* The first rows and tokens on both. */
static bool same_as_plain_c(struct backend *be, struct weight_source source, struct tensor x)
{
    bool sums_floats = source.type != WEIGHT_AFFINE && strstr(be->ops->name, "amxbf16");
    struct backend *c = open_backend("c", 1, sums_floats ? "float32" : "int16");
    struct weight in_c, in_be;
    struct tensor want = new_tensor(CHECKED_TOKENS, CHECKED_ROWS);
    struct tensor got = new_tensor(CHECKED_TOKENS, CHECKED_ROWS);
    source.rows = CHECKED_ROWS;
    load(c, &in_c, &source);
    load(be, &in_be, &source);
    c->ops->linear(c, want, tensor_rows(x, 0, CHECKED_TOKENS), &in_c, NULL);
    be->ops->linear(be, got, tensor_rows(x, 0, CHECKED_TOKENS), &in_be, NULL);
    size_t bytes = (size_t)CHECKED_TOKENS * CHECKED_ROWS * sizeof *want.data;
    bool same = sums_floats ? distance(want, got) < 2e-5 : memcmp(want.data, got.data, bytes) == 0;
    c->ops->weight_free(c, &in_c);
    be->ops->weight_free(be, &in_be);
    c->ops->close(c);
    free(want.data);
    free(got.data);
    return same;
}

static double ceiling(const char *isa)
{
    double vnni = measure_dpwssd_peak();
    return vnni > 0 && strcmp(isa, "avx2") != 0 ? vnni : measure_madd_peak();
}

static bool time_shape(struct backend *be, const struct options *o, const struct shape *s)
{
    struct weight_source sources[COPIES];
    struct weight weights[COPIES];
    struct tensor x = new_tensor(o->tokens, s->cols), y = new_tensor(o->tokens, s->rows);
    for (size_t i = 0; i < (size_t)x.rows * (size_t)x.cols; i++)
        x.data[i] = (float)(int32_t)(next_random() % 65536 - 32768) * 0x1p-15f;
    for (int i = 0; i < COPIES; i++) {
        sources[i] = random_weight(s);
        load(be, &weights[i], &sources[i]);
    }
    bool same = same_as_plain_c(be, sources[0], x);
    double operations = 2.0 * s->rows * s->cols * o->tokens, best = 0, most = 0;
    for (int round = 0; round < o->rounds; round++) {
        double start = measure_seconds();
        be->ops->linear(be, y, x, &weights[round % COPIES], NULL);
        double rate = operations / (measure_seconds() - start), now = o->threads * ceiling(o->isa);
        best = rate > best ? rate : best;
        most = now > most ? now : most;
    }
    printf("%-11s %5d x %5d, %4d tokens: %s %6.1f GOP/s of %6.1f, %3.0f %%\n", s->name, s->rows,
           s->cols, o->tokens, same ? "as plain C," : "NOT AS PLAIN C,", best * 1e-9, most * 1e-9,
           100 * best / most);
    for (int i = 0; i < COPIES; i++) {
        be->ops->weight_free(be, &weights[i]);
        free_source(&sources[i]);
    }
    free(x.data);
    free(y.data);
    return same;
}

int main(int argc, char **argv)
{
    struct options o = {"auto", 240, 2 * COPIES, 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--isa") == 0)
            o.isa = argv[i + 1];
        else if (strcmp(argv[i], "--tokens") == 0)
            o.tokens = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--passes") == 0)
            o.rounds = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = atoi(argv[i + 1]);
    }
    if (argc % 2 == 0 || o.tokens < CHECKED_TOKENS || o.rounds < 1) {
        fputs("usage: tiles [--isa avx2|avxvnni|avx512|amx|amxbf16|neon|dotprod|i8mm] [--tokens N] "
              "[--passes N] [--threads N]\n",
              stderr);
        return 2;
    }
    struct backend *be = open_backend(o.isa, o.threads, "int16");
    bool same = true;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        same = time_shape(be, &o, &shapes[i]) && same;
    be->ops->close(be);
    return same ? 0 : 1;
}
