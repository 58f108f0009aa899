#include "kernels/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BAND = 64
}; /* floats on each side */

static const uint32_t poison = 0x7fc0dead; /* a NaN */

/* ---- random numbers */

uint64_t random_bits(struct check *c)
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int32_t random_below(struct check *c, int32_t n)
{
    return (int32_t)(random_bits(c) % (uint64_t)n);
}

float random_float(struct check *c)
{
    float sum = 0; /* of four uniform numbers with variance 1/12 each */
    for (int i = 0; i < 4; i++)
        sum += (float)(random_bits(c) >> 40) * 0x1p-24f - 0.5f;
    return sum * 1.7320508f;
}

static float *row_of(struct tensor t, int32_t row)
{
    return t.data + (size_t)row * (size_t)t.stride;
}

void fill_random(struct check *c, struct tensor t)
{
    for (int32_t r = 0; r < t.rows; r++)
        for (int32_t i = 0; i < t.cols; i++)
            row_of(t, r)[i] = random_float(c);
}

/* ---- guarded memory */

static void *need(void *memory)
{
    if (!memory) {
        fputs("kernels: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static size_t floats_of(struct tensor t)
{
    return (size_t)t.rows * (size_t)t.stride;
}

static void poison_floats(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(p + i, &poison, sizeof poison);
}

static bool is_poison(const float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(p + i, &poison, sizeof poison) != 0)
            return false;
    return true;
}

struct tensor guarded_tensor(int32_t rows, int32_t cols, int32_t stride)
{
    struct tensor t = {NULL, rows, cols, stride};
    size_t floats = floats_of(t) + 2 * (size_t)BAND;
    float *memory = need(malloc(floats * sizeof *memory));
    poison_floats(memory, floats);
    t.data = memory + BAND;
    return t;
}

void guarded_poison(struct tensor t)
{
    poison_floats(t.data, floats_of(t));
}

bool guarded_intact(struct tensor t)
{
    if (!is_poison(t.data - BAND, BAND) || !is_poison(t.data + floats_of(t), BAND))
        return false;
    for (int32_t r = 0; r < t.rows; r++)
        if (!is_poison(row_of(t, r) + t.cols, (size_t)(t.stride - t.cols)))
            return false;
    return true;
}

void guarded_free(struct tensor t)
{
    free(t.data - BAND);
}

struct tensor guarded_copy(struct tensor t)
{
    struct tensor copy = guarded_tensor(t.rows, t.cols, t.stride);
    memcpy(copy.data, t.data, floats_of(t) * sizeof *t.data);
    return copy;
}

/* ---- weights */

/* Memory whose last byte is the last one and whose first is at an odd address. */
static unsigned char *unaligned(size_t bytes, void **memory)
{
    *memory = need(malloc(bytes + 1));
    return (unsigned char *)*memory + 1;
}

static size_t size_of_type(enum weight_type type)
{
    return type == WEIGHT_F32 ? 4 : 2;
}

/* n numbers of a magnitude between 2^low and 2^(low + 4), of either sign or positive, each an exact
 * number of the type. */
static void *random_dense(struct check *c, enum weight_type type, size_t n, int low, bool positive,
                          void **memory)
{
    unsigned char *data = unaligned(n * size_of_type(type), memory);
    for (size_t i = 0; i < n; i++) {
        uint32_t r = (uint32_t)random_bits(c);
        uint32_t sign = positive ? 0 : r >> 31, step = r >> 29 & 3;
        uint32_t f32 = sign << 31 | (uint32_t)(127 + low + (int)step) << 23 | (r & 0x7fffff);
        uint16_t f16 =
            (uint16_t)(sign << 15 | (uint32_t)(15 + low + (int)step) << 10 | (r & 0x3ff));
        uint16_t bf16 = (uint16_t)(f32 >> 16);
        if (type == WEIGHT_F32)
            memcpy(data + 4 * i, &f32, 4);
        else
            memcpy(data + 2 * i, type == WEIGHT_F16 ? &f16 : &bf16, 2);
    }
    return data;
}

struct test_weight dense_weight(struct check *c, enum weight_type type, int32_t rows, int32_t cols)
{
    struct test_weight w = {.source = {.type = type, .rows = rows, .cols = cols}};
    size_t n = (size_t)rows * (size_t)cols;
    w.source.data = random_dense(c, type, n, -6, false, &w.memory[0]);
    return w;
}

struct test_weight affine_weight(struct check *c, int32_t rows, int32_t cols, int32_t bits,
                                 int32_t group, enum weight_type scale_type)
{
    struct test_weight w = {.source = {.type = WEIGHT_AFFINE,
                                       .scale_type = scale_type,
                                       .rows = rows,
                                       .cols = cols,
                                       .bits = bits,
                                       .group = group}};
    size_t bytes = (size_t)rows * (size_t)cols / 8 * (size_t)bits;
    unsigned char *packed = unaligned(bytes, &w.memory[0]);
    for (size_t i = 0; i < bytes; i++)
        packed[i] = (unsigned char)random_bits(c);
    size_t groups = (size_t)rows * (size_t)(cols / group);
    w.source.data = packed;
    w.source.scales = random_dense(c, scale_type, groups, -10, true, &w.memory[1]);
    w.source.biases = random_dense(c, scale_type, groups, -8, false, &w.memory[2]);
    return w;
}

static void load_into(struct backend *be, struct weight *w, const struct weight_source *source)
{
    struct vlmd_error err;
    if (be->ops->weight_load(be, w, source, &err) == 0 && be->ops->weights_end(be, &err) == 0)
        return;
    fprintf(stderr, "kernels: weight_load: %s: %s\n", err.field, err.text);
    exit(2);
}

void load_weight(struct check *c, struct test_weight *w)
{
    load_into(c->oracle, &w->in_oracle, &w->source);
    load_into(c->tested, &w->in_tested, &w->source);
}

void free_weight(struct check *c, struct test_weight *w)
{
    c->oracle->ops->weight_free(c->oracle, &w->in_oracle);
    c->tested->ops->weight_free(c->tested, &w->in_tested);
    for (int i = 0; i < 3; i++)
        free(w->memory[i]);
}

const char *weight_type_name(enum weight_type type)
{
    static const char *const names[] = {"f32", "f16", "bf16", "affine"};
    return names[type];
}

/* ---- verdicts */

double relative_l2(struct tensor want, struct tensor got, double floor)
{
    double difference = 0, size = 0;
    for (int32_t r = 0; r < want.rows; r++)
        for (int32_t i = 0; i < want.cols; i++) {
            double a = (double)row_of(want, r)[i], b = (double)row_of(got, r)[i];
            if (!isfinite(a) || !isfinite(b))
                return INFINITY;
            difference += (a - b) * (a - b);
            size += a * a;
        }
    return difference == 0 ? 0 : sqrt(difference) / fmax(sqrt(size), floor);
}

bool same_bits(struct tensor a, struct tensor b)
{
    for (int32_t r = 0; r < a.rows; r++)
        if (memcmp(row_of(a, r), row_of(b, r), (size_t)a.cols * sizeof(float)) != 0)
            return false;
    return true;
}

static void judge(struct check *c, bool ok, const char *reason, const char *format, va_list args)
{
    if (ok) {
        c->passed++;
        return;
    }
    c->failed++;
    printf("FAILED %s %s, %d threads: ", c->isa, c->activations, c->threads);
    vprintf(format, args);
    printf("%s\n", reason);
}

void verdict(struct check *c, bool ok, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    judge(c, ok, "", format, args);
    va_end(args);
}

static double squares_of(struct tensor t)
{
    double sum = 0;
    for (int32_t r = 0; r < t.rows; r++)
        for (int32_t i = 0; i < t.cols; i++)
            sum += (double)row_of(t, r)[i] * (double)row_of(t, r)[i];
    return sum;
}

double size_of_weight(struct check *c, const struct test_weight *w)
{
    struct tensor row = guarded_tensor(1, w->source.cols, w->source.cols);
    double sum = 0;
    for (int32_t r = 0; r < w->source.rows; r++) {
        c->oracle->ops->embed(c->oracle, row, &w->in_oracle, &r);
        sum += squares_of(row);
    }
    guarded_free(row);
    return sqrt(sum / w->source.cols);
}

double size_of(struct tensor t)
{
    return sqrt(squares_of(t));
}

void compare(struct check *c, struct tensor want, struct tensor got, double floor, double bound,
             const char *format, ...)
{
    double distance = relative_l2(want, got, floor);
    bool intact = guarded_intact(want) && guarded_intact(got);
    char reason[96];
    snprintf(reason, sizeof reason, ": relative L2 %.3g (at most %.3g)%s", distance, bound,
             intact ? "" : ", memory around the output was written");
    va_list args;
    va_start(args, format);
    judge(c, intact && distance <= bound, reason, format, args);
    va_end(args);
}

/* ---- timing */

/* Time that this process computed, all its threads together: timing uses one. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double seconds_of(void (*run)(void *context, struct backend *be), void *context, struct backend *be)
{
    run(context, be);
    double best = INFINITY, end = now() + 0.1;
    do {
        double start = now();
        run(context, be);
        double took = now() - start;
        best = took < best ? took : best;
    } while (now() < end);
    return best;
}

void report_speed(struct check *c, const char *what, double tested, double oracle, double bytes,
                  double flops)
{
    printf("%-44s %-5s %-7s %10.1f us  %7.2f GB/s  %7.2f GFLOP/s  %6.1f x C\n", what, c->isa,
           c->activations, tested * 1e6, bytes / tested * 1e-9, flops / tested * 1e-9,
           oracle / tested);
}
