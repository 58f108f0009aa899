/* The ops that work row by row, in place where that is allowed, on views with gaps; and values of
 * the definitions that can be looked up. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/check.h"

static const int32_t widths[] = {1, 7, 8, 31, 64, 80, 129, 2048};
static const int32_t heights[] = {1, 3, 50};

enum {
    N_WIDTHS = 8,
    N_HEIGHTS = 3
};

typedef void (*in_place)(struct backend *be, struct tensor x, struct tensor y);

static void run_add(struct backend *be, struct tensor x, struct tensor y)
{
    be->ops->add(be, x, y);
}

static void run_silu_mul(struct backend *be, struct tensor x, struct tensor y)
{
    be->ops->silu_mul(be, x, y);
}

static void run_gelu(struct backend *be, struct tensor x, struct tensor y)
{
    (void)y;
    be->ops->gelu(be, x);
}

static void check_in_place(struct check *c, const char *name, in_place run, float size,
                           int32_t rows, int32_t cols)
{
    struct tensor want = guarded_tensor(rows, cols, cols + random_below(c, 4));
    struct tensor y = guarded_tensor(rows, cols, cols + random_below(c, 4));
    fill_random(c, want);
    fill_random(c, y);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t i = 0; i < cols; i++)
            tensor_rows(want, r, 1).data[i] *= size;
    struct tensor got = guarded_copy(want);
    run(c->oracle, want, y);
    run(c->tested, got, y);
    compare(c, want, got, 1e-20, 1e-6, "%s, %d x %d, inputs about %g", name, rows, cols,
            (double)size);
    guarded_free(got);
    guarded_free(y);
    guarded_free(want);
}

static void check_rms_norm(struct check *c, int32_t rows, int32_t cols)
{
    struct test_weight w = dense_weight(c, (enum weight_type)random_below(c, 3), 1, cols);
    load_weight(c, &w);
    struct tensor x = guarded_tensor(rows, cols, cols + random_below(c, 4));
    struct tensor want = guarded_tensor(rows, cols, cols);
    struct tensor got = guarded_tensor(rows, cols, cols);
    fill_random(c, x);
    c->oracle->ops->rms_norm(c->oracle, want, x, &w.in_oracle, 1e-6f);
    c->tested->ops->rms_norm(c->tested, got, x, &w.in_tested, 1e-6f);
    compare(c, want, got, 1e-20, 1e-6, "rms_norm, %d x %d", rows, cols);
    c->tested->ops->rms_norm(c->tested, x, x, &w.in_tested, 1e-6f);
    verdict(c, same_bits(x, got) && guarded_intact(x), "rms_norm in place, %d x %d", rows, cols);
    guarded_free(got);
    guarded_free(want);
    guarded_free(x);
    free_weight(c, &w);
}

static void check_rope(struct check *c, int32_t rows, int32_t heads, int32_t head_dim)
{
    struct tensor want = guarded_tensor(rows, heads * head_dim, heads * head_dim + 3);
    struct tensor cosines = guarded_tensor(rows, head_dim / 2, head_dim / 2 + 1);
    struct tensor sines = guarded_tensor(rows, head_dim / 2, head_dim / 2);
    fill_random(c, want);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t j = 0; j < head_dim / 2; j++) {
            float angle = 10 * random_float(c);
            tensor_rows(cosines, r, 1).data[j] = cosf(angle);
            tensor_rows(sines, r, 1).data[j] = sinf(angle);
        }
    struct tensor got = guarded_copy(want);
    c->oracle->ops->rope(c->oracle, want, head_dim, cosines, sines);
    c->tested->ops->rope(c->tested, got, head_dim, cosines, sines);
    compare(c, want, got, 1e-20, 1e-6, "rope, %d rows, %d heads of %d", rows, heads, head_dim);
    guarded_free(got);
    guarded_free(sines);
    guarded_free(cosines);
    guarded_free(want);
}

static void shuffle(struct check *c, int32_t *index, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        index[i] = i;
    for (int32_t i = n - 1; i > 0; i--) {
        int32_t j = random_below(c, i + 1), swap = index[i];
        index[i] = index[j];
        index[j] = swap;
    }
}

static void check_gather(struct check *c, int32_t cols)
{
    enum {
        ROWS = 37
    };
    int32_t index[ROWS];
    shuffle(c, index, ROWS);
    struct tensor x = guarded_tensor(ROWS, cols, cols + 2);
    struct tensor y = guarded_tensor(ROWS, cols, cols + 1);
    struct tensor back = guarded_tensor(ROWS, cols, cols);
    fill_random(c, x);
    c->tested->ops->gather_rows(c->tested, y, x, index, ROWS);
    bool ok = guarded_intact(y);
    for (int32_t i = 0; i < ROWS; i++)
        ok = ok && same_bits(tensor_rows(y, i, 1), tensor_rows(x, index[i], 1));
    verdict(c, ok, "gather_rows, %d columns", cols);
    c->tested->ops->scatter_rows(c->tested, back, y, index, ROWS);
    verdict(c, guarded_intact(back) && same_bits(back, x), "scatter_rows, %d columns", cols);
    guarded_free(back);
    guarded_free(y);
    guarded_free(x);
}

static bool near(float value, double want)
{
    return fabs((double)value - want) <= 1e-6 * fmax(1, fabs(want));
}

/* Phi(1) = 0.8413447461, Phi(-2) = 0.0227501320; sigmoid(1) = 0.7310585786, sigmoid(-3) =
 * 0.0474258732; 3 / sqrt(12.5) and 4 / sqrt(12.5). */
static void check_known_values(struct check *c, struct backend *be)
{
    struct tensor x = guarded_tensor(1, 2, 2), y = guarded_tensor(1, 2, 2);
    x.data[0] = 1, x.data[1] = -2;
    be->ops->gelu(be, x);
    verdict(c, near(x.data[0], 0.8413447461) && near(x.data[1], -2 * 0.0227501320),
            "gelu(1), gelu(-2)");
    x.data[0] = 1, x.data[1] = -3, y.data[0] = 2, y.data[1] = 5;
    be->ops->silu_mul(be, x, y);
    verdict(c, near(x.data[0], 2 * 0.7310585786) && near(x.data[1], -15 * 0.0474258732),
            "silu_mul(1, 2), silu_mul(-3, 5)");
    x.data[0] = 0, x.data[1] = 1, y.data[0] = 0.6f, y.data[1] = 0.8f;
    be->ops->rope(be, x, 2, tensor_columns(y, 0, 1), tensor_columns(y, 1, 1));
    verdict(c, near(x.data[0], -0.8) && near(x.data[1], 0.6), "rope of (0, 1)");
    static const float ones[] = {1, 2};
    struct weight_source source = {.type = WEIGHT_F32, .rows = 1, .cols = 2, .data = ones};
    struct weight w;
    verdict(c,
            be->ops->weight_load(be, &w, &source, NULL) == 0 && be->ops->weights_end(be, NULL) == 0,
            "weight_load of a vector");
    x.data[0] = 3, x.data[1] = 4;
    be->ops->rms_norm(be, x, x, &w, 0);
    verdict(c, near(x.data[0], 3 / sqrt(12.5)) && near(x.data[1], 8 / sqrt(12.5)),
            "rms_norm(3, 4)");
    be->ops->weight_free(be, &w);
    guarded_free(y);
    guarded_free(x);
}

struct timed {
    struct tensor x, y;
    in_place run;
};

static void run_timed(void *context, struct backend *be)
{
    struct timed *t = context;
    t->run(be, t->x, t->y);
}

static void time_in_place(struct check *c, const char *name, in_place run)
{
    struct timed t = {.run = run};
    t.x = guarded_tensor(64, 11008, 11008);
    t.y = guarded_tensor(64, 11008, 11008);
    fill_random(c, t.x);
    fill_random(c, t.y);
    double n = 64.0 * 11008;
    report_speed(c, name, seconds_of(run_timed, &t, c->tested),
                 seconds_of(run_timed, &t, c->oracle), 12 * n, n);
    guarded_free(t.y);
    guarded_free(t.x);
}

void check_rows(struct check *c)
{
    if (c->bench) {
        time_in_place(c, "silu_mul, 64 x 11008", run_silu_mul);
        time_in_place(c, "gelu, 64 x 11008", run_gelu);
        return;
    }
    for (int i = 0; i < N_WIDTHS; i++) {
        for (int k = 0; k < N_HEIGHTS; k++) {
            check_in_place(c, "add", run_add, 1, heights[k], widths[i]);
            check_in_place(c, "gelu", run_gelu, 3, heights[k], widths[i]);
            check_in_place(c, "silu_mul", run_silu_mul, 1, heights[k], widths[i]);
            check_in_place(c, "silu_mul", run_silu_mul, 20, heights[k], widths[i]);
            check_in_place(c, "silu_mul", run_silu_mul, 1000, heights[k], widths[i]);
            check_rms_norm(c, heights[k], widths[i]);
        }
        check_gather(c, widths[i]);
    }
    static const int32_t head_dims[] = {2, 6, 16, 36, 64, 80, 128};
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < N_HEIGHTS; k++)
            check_rope(c, heights[k], 1 + random_below(c, 5), head_dims[i]);
    check_known_values(c, c->tested);
}
