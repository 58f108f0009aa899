/* linear and embed: every format, shape class and batch size; rows that do not depend on the batch;
 * and agreement with what MLX makes of the same packed weights. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/check.h"

static const int32_t all_bits[] = {2, 3, 4, 5, 6, 8};
static const int32_t all_groups[] = {32, 64, 128};
static const enum weight_type dense_types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16};
static const int32_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 65, 200};

enum {
    N_BITS = 6,
    N_GROUPS = 3,
    N_DENSE = 3,
    N_BATCHES = 12
};

static void name_weight(char *name, size_t size, const struct weight_source *s)
{
    if (s->type == WEIGHT_AFFINE)
        snprintf(name, size, "%d bits, group %d, %s scales, %d x %d", s->bits, s->group,
                 weight_type_name(s->scale_type), s->rows, s->cols);
    else
        snprintf(name, size, "%s, %d x %d", weight_type_name(s->type), s->rows, s->cols);
}

/* Row by row must give the same bits as all rows at once. */
static void check_rows_alone(struct check *c, const struct test_weight *w,
                             const struct weight *bias, struct tensor x, struct tensor y,
                             const char *name)
{
    struct tensor alone = guarded_tensor(y.rows, y.cols, y.stride);
    int32_t step = x.rows > 8 ? x.rows / 5 : 1;
    bool same = true;
    for (int32_t r = 0; r < x.rows; r += step) {
        c->tested->ops->linear(c->tested, tensor_rows(alone, r, 1), tensor_rows(x, r, 1),
                               &w->in_tested, bias);
        same = same && same_bits(tensor_rows(alone, r, 1), tensor_rows(y, r, 1));
    }
    verdict(c, same, "linear, %s: a row of %d differs from the same row alone", name, x.rows);
    guarded_free(alone);
}

/* An x, or a product, below this may count as nothing: integer activations take an x below 1e-30
 * for zero, "amxbf16" what is denormal. */
#define ALMOST_NOTHING 1e-24

/* Units of nothing, of almost nothing, and with single elements far beyond the others: what matters
 * to whoever scales x. */
static void disturb(struct check *c, struct tensor x)
{
    static const float sizes[] = {0.0f, 1e-38f, 1e-20f, 1e3f, 1e20f};
    for (int32_t r = 0; r < x.rows; r++) {
        float *row = x.data + (size_t)r * (size_t)x.stride;
        int32_t first = random_below(c, x.cols), n = random_below(c, 200);
        float size = sizes[random_below(c, 5)];
        for (int32_t i = first; i < first + n && i < x.cols && size < 1.0f; i++)
            row[i] *= size;
        if (size > 1.0f)
            row[first] *= size;
    }
}

/* Each row by itself, or one that is far greater than the others would hide them. */
static void compare_rows(struct check *c, const struct test_weight *w, struct tensor x,
                         struct tensor want, struct tensor got, const char *name, const char *bias)
{
    double weight = size_of_weight(c, w), worst = 0;
    for (int32_t r = 0; r < x.rows; r++) {
        double size = size_of(tensor_rows(x, r, 1));
        double floor = weight * (size + ALMOST_NOTHING) + ALMOST_NOTHING;
        double distance = relative_l2(tensor_rows(want, r, 1), tensor_rows(got, r, 1), floor);
        worst = distance > worst ? distance : worst;
    }
    verdict(c, worst <= c->linear_bound && guarded_intact(got),
            "linear, %s, %d tokens%s: relative L2 of a row %.3g (at most %.3g)", name, x.rows, bias,
            worst, c->linear_bound);
}

static void check_batch(struct check *c, const struct test_weight *w,
                        const struct test_weight *bias, int32_t n)
{
    char name[96];
    name_weight(name, sizeof name, &w->source);
    int32_t x_gap = random_below(c, 3), y_gap = random_below(c, 3);
    struct tensor x = guarded_tensor(n, w->source.cols, w->source.cols + x_gap);
    struct tensor want = guarded_tensor(n, w->source.rows, w->source.rows + y_gap);
    struct tensor got = guarded_tensor(n, w->source.rows, w->source.rows + y_gap);
    fill_random(c, x);
    if (random_below(c, 2))
        disturb(c, x);
    c->oracle->ops->linear(c->oracle, want, x, &w->in_oracle, bias ? &bias->in_oracle : NULL);
    c->tested->ops->linear(c->tested, got, x, &w->in_tested, bias ? &bias->in_tested : NULL);
    if (c->linear_bound > 0)
        compare_rows(c, w, x, want, got, name, bias ? ", bias" : "");
    else
        verdict(c, same_bits(want, got) && guarded_intact(got),
                "linear, %s, %d tokens%s: not the same bits as plain C", name, n,
                bias ? ", bias" : "");
    check_rows_alone(c, w, bias ? &bias->in_tested : NULL, x, got, name);
    guarded_free(got);
    guarded_free(want);
    guarded_free(x);
}

/* Keeps the plain C oracle, and emulated processors, from taking minutes. */
static bool is_too_slow(const struct weight_source *s, int32_t n)
{
    return (double)s->rows * (double)s->cols * (double)n > 1e6;
}

/* With a bias for every other batch; one token every time, and all batches or one of them. */
static void check_weight(struct check *c, struct test_weight w, bool all_batches)
{
    struct test_weight bias = dense_weight(c, dense_types[random_below(c, 3)], 1, w.source.rows);
    load_weight(c, &w);
    load_weight(c, &bias);
    int32_t between = 1 + random_below(c, N_BATCHES - 2);
    for (int32_t i = 0; i < N_BATCHES; i++)
        if (i == 0 || ((all_batches || i == between) && !is_too_slow(&w.source, batches[i])))
            check_batch(c, &w, random_below(c, 2) ? &bias : NULL, batches[i]);
    free_weight(c, &bias);
    free_weight(c, &w);
}

static void check_dense_linear(struct check *c)
{
    static const int32_t shapes[][2] = {{1, 1},   {3, 5},    {16, 64},  {17, 63},  {5, 257},
                                        {33, 80}, {19, 512}, {40, 255}, {2, 1025}, {130, 1176}};
    for (int i = 0; i < N_DENSE; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            check_weight(c, dense_weight(c, dense_types[i], shapes[s][0], shapes[s][1]), true);
}

static void check_affine_linear(struct check *c)
{
    static const int32_t row_counts[] = {1, 2, 7, 16, 37, 67};
    static const int32_t group_counts[] = {1, 2, 3, 5, 9, 20};
    for (int b = 0; b < N_BITS; b++)
        for (int g = 0; g < N_GROUPS; g++)
            for (int s = 0; s < N_DENSE; s++)
                for (int k = 0; k < 6; k++) {
                    int32_t rows = row_counts[random_below(c, 6)];
                    int32_t cols = group_counts[k] * all_groups[g];
                    check_weight(
                        c, affine_weight(c, rows, cols, all_bits[b], all_groups[g], dense_types[s]),
                        false);
                }
    /* Longer than one round of scales (4096 columns), and all batches. */
    check_weight(c, affine_weight(c, 21, 4096 + 64, 4, 64, WEIGHT_BF16), true);
    check_weight(c, affine_weight(c, 6, 8192 + 32, 4, 32, WEIGHT_F16), true);
    check_weight(c, affine_weight(c, 6, 8192 + 128, 4, 128, WEIGHT_F32), true);
}

/* What is not finite must show in all that depends on it, and nowhere else. */
static void check_not_finite(struct check *c, struct test_weight w, float odd)
{
    load_weight(c, &w);
    struct tensor x = guarded_tensor(7, w.source.cols, w.source.cols);
    struct tensor y = guarded_tensor(7, w.source.rows, w.source.rows);
    fill_random(c, x);
    x.data[3 * x.stride + random_below(c, x.cols)] = odd;
    c->tested->ops->linear(c->tested, y, x, &w.in_tested, NULL);
    bool right = guarded_intact(y);
    for (int32_t r = 0; r < y.rows; r++)
        for (int32_t i = 0; i < y.cols; i++)
            right = right && isfinite(y.data[r * y.stride + i]) == (r != 3);
    verdict(c, right, "linear, x with %g: not finite in that row alone", (double)odd);
    guarded_free(y);
    guarded_free(x);
    free_weight(c, &w);
}

struct timed {
    const struct test_weight *w;
    struct tensor x, y;
    struct backend *oracle;
};

static void run_linear(void *context, struct backend *be)
{
    struct timed *t = context;
    const struct weight *w = be == t->oracle ? &t->w->in_oracle : &t->w->in_tested;
    be->ops->linear(be, t->y, t->x, w, NULL);
}

static void time_linear(struct check *c, struct test_weight w, int32_t n)
{
    char name[96], what[128];
    load_weight(c, &w);
    struct timed t = {.w = &w, .oracle = c->oracle};
    t.x = guarded_tensor(n, w.source.cols, w.source.cols);
    t.y = guarded_tensor(n, w.source.rows, w.source.rows);
    fill_random(c, t.x);
    name_weight(name, sizeof name, &w.source);
    snprintf(what, sizeof what, "%d: %s", n, name);
    double elements = (double)w.source.rows * (double)w.source.cols;
    double size = w.source.type == WEIGHT_AFFINE ? w.source.bits / 8.0 + 4.0 / w.source.group
                                                 : (w.source.type == WEIGHT_F32 ? 4 : 2);
    report_speed(c, what, seconds_of(run_linear, &t, c->tested),
                 seconds_of(run_linear, &t, c->oracle), elements * size, 2 * elements * n);
    guarded_free(t.y);
    guarded_free(t.x);
    free_weight(c, &w);
}

static void time_affine(struct check *c)
{
    static const int32_t counts[] = {1, 2, 3, 4, 8, 16, 96};
    for (int i = 0; i < 7; i++)
        time_linear(c, affine_weight(c, 2048, 2048, 4, 64, WEIGHT_BF16), counts[i]);
    for (int i = 0; i < N_BITS; i++)
        time_linear(c, affine_weight(c, 2048, 2048, all_bits[i], 64, WEIGHT_BF16), 1);
}

static void time_all(struct check *c)
{
    time_affine(c);
    for (int i = 0; i < N_DENSE; i++) {
        time_linear(c, dense_weight(c, dense_types[i], 2048, 2048), 1);
        time_linear(c, dense_weight(c, dense_types[i], 2048, 2048), 96);
    }
}

void check_linear(struct check *c)
{
    if (c->bench) {
        time_all(c);
        return;
    }
    check_dense_linear(c);
    check_affine_linear(c);
}

/* Dense weights that take a way of their own: bf16 of layers that always meet many rows. */
static struct test_weight many_rows_weight(struct check *c, int32_t rows, int32_t cols)
{
    struct test_weight w = dense_weight(c, WEIGHT_BF16, rows, cols);
    w.source.many_rows = true;
    return w;
}

/* Runs of weights that are zero, almost zero, and single ones that are far beyond the others. */
static void disturb_weights(struct check *c, const struct weight_source *s)
{
    static const uint16_t values[] = {0, 0x8000, 0x1234, 0x2000, 0x5015, 0xc955}; /* bf16 */
    for (int32_t k = 0; k < 4; k++) {
        int32_t n = s->rows * s->cols, first = random_below(c, n), i = random_below(c, 6);
        int32_t run = i < 4 ? random_below(c, 200) : 1;
        for (int32_t at = first; at < n && at < first + run; at++)
            memcpy((unsigned char *)s->data + 2 * (size_t)at, &values[i], sizeof *values);
    }
}

/* Not of one row: that is a vector, and float32. */
static void check_many_rows_linear(struct check *c)
{
    static const int32_t shapes[][2] = {{2, 1},   {3, 5},    {16, 64},  {17, 63},  {5, 257},
                                        {33, 80}, {19, 512}, {40, 255}, {2, 1025}, {130, 1176}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        check_weight(c, many_rows_weight(c, shapes[s][0], shapes[s][1]), true);
        struct test_weight odd = many_rows_weight(c, shapes[s][0], shapes[s][1]);
        disturb_weights(c, &odd.source);
        check_weight(c, odd, true);
    }
    /* More tokens than are taken at a time, of few columns and of many; more columns, and rows; and
     * more weights than threads have room for at a time. */
    static const int32_t many[][3] = {
        {5, 70, 1000}, {5, 6000, 700}, {40, 4200, 50}, {700, 40, 50}, {1500, 2500, 17}};
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        struct test_weight w = many_rows_weight(c, many[i][0], many[i][1]);
        load_weight(c, &w);
        check_batch(c, &w, NULL, many[i][2]);
        free_weight(c, &w);
    }
}

/* The greatest numbers there are, whose products still are finite. */
static void check_greatest(struct check *c)
{
    struct test_weight w = many_rows_weight(c, 20, 100);
    load_weight(c, &w);
    struct tensor x = guarded_tensor(3, w.source.cols, w.source.cols);
    struct tensor want = guarded_tensor(3, w.source.rows, w.source.rows);
    struct tensor got = guarded_tensor(3, w.source.rows, w.source.rows);
    fill_random(c, x);
    x.data[random_below(c, x.cols)] = FLT_MAX;
    x.data[x.stride + random_below(c, x.cols)] = -FLT_MAX;
    c->oracle->ops->linear(c->oracle, want, x, &w.in_oracle, NULL);
    c->tested->ops->linear(c->tested, got, x, &w.in_tested, NULL);
    if (c->linear_bound > 0)
        compare_rows(c, &w, x, want, got, "the greatest numbers", "");
    else
        verdict(c, same_bits(want, got), "linear, the greatest numbers: not as plain C");
    guarded_free(got);
    guarded_free(want);
    guarded_free(x);
    free_weight(c, &w);
}

/* Every count of tokens that a batch of sequences may have, and where tiles change their width or
 * weights are unpacked in another way. */
static void check_counts(struct check *c)
{
    static const int32_t more[] = {47, 48, 49, 72, 73, 143, 144, 145};
    static const enum weight_type types[] = {WEIGHT_F16, WEIGHT_BF16, WEIGHT_F32};
    for (int g = 0; g < N_GROUPS; g++) {
        struct test_weight w =
            affine_weight(c, 37, 3 * 128 + all_groups[g], 4, all_groups[g], types[g]);
        load_weight(c, &w);
        for (int32_t n = 1; n <= 33; n++)
            check_batch(c, &w, NULL, n);
        for (size_t i = 0; i < sizeof more / sizeof *more; i++)
            check_batch(c, &w, NULL, more[i]);
        free_weight(c, &w);
    }
}

void check_integers(struct check *c)
{
    if (c->bench) {
        time_affine(c);
        return;
    }
    check_affine_linear(c);
    check_counts(c);
    check_embed(c);
    check_not_finite(c, affine_weight(c, 9, 5 * 64, 4, 64, WEIGHT_BF16), NAN);
    check_not_finite(c, affine_weight(c, 9, 5 * 64, 4, 64, WEIGHT_BF16), -INFINITY);
}

void check_many_rows(struct check *c)
{
    if (c->bench) {
        time_linear(c, many_rows_weight(c, 2048, 2048), 96);
        time_linear(c, many_rows_weight(c, 2048, 2048), 480);
        return;
    }
    check_many_rows_linear(c);
    check_greatest(c);
    check_not_finite(c, many_rows_weight(c, 9, 5 * 64), NAN);
    check_not_finite(c, many_rows_weight(c, 9, 5 * 64), -INFINITY);
}

/* ---- embed */

static void check_table(struct check *c, struct test_weight table)
{
    int32_t ids[9], n = 9;
    char name[96];
    name_weight(name, sizeof name, &table.source);
    load_weight(c, &table);
    for (int32_t i = 0; i < n; i++)
        ids[i] = i == 0 ? table.source.rows - 1 : random_below(c, table.source.rows);
    struct tensor want = guarded_tensor(n, table.source.cols, table.source.cols + 1);
    struct tensor got = guarded_tensor(n, table.source.cols, table.source.cols + 1);
    c->oracle->ops->embed(c->oracle, want, &table.in_oracle, ids);
    c->tested->ops->embed(c->tested, got, &table.in_tested, ids);
    compare(c, want, got, 0, 1e-7, "embed, %s", name);
    guarded_free(got);
    guarded_free(want);
    free_weight(c, &table);
}

void check_embed(struct check *c)
{
    if (c->bench)
        return;
    for (int s = 0; s < N_DENSE; s++) {
        check_table(c, dense_weight(c, dense_types[s], 13, 77));
        check_table(c, dense_weight(c, dense_types[s], 1, 300));
        for (int b = 0; b < N_BITS; b++)
            for (int g = 0; g < N_GROUPS; g++)
                check_table(c, affine_weight(c, 11, 5 * all_groups[g], all_bits[b], all_groups[g],
                                             dense_types[s]));
    }
}
