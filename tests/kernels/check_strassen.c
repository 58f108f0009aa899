/* Layers that take seven products for eight (backend/cpu/strassen.h): halves that are as long as
 * each other and not, ends of units and of blocks of rows, and more than one run of tokens. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/strassen.h"
#include "kernels/check.h"

struct shape {
    int32_t rows, cols, tokens;
};

struct layer {
    struct test_weight w, bias;
    struct tensor x, want, got;
};

static struct layer open_layer(struct check *c, struct shape s)
{
    struct layer l = {
        .w = dense_weight(c, WEIGHT_BF16, s.rows, s.cols),
        .bias = dense_weight(c, WEIGHT_F32, 1, s.rows),
        .x = guarded_tensor(s.tokens, s.cols, s.cols + random_below(c, 3)),
        .want = guarded_tensor(s.tokens, s.rows, s.rows + random_below(c, 3)),
    };
    l.got = guarded_tensor(s.tokens, s.rows, l.want.stride);
    l.w.source.many_rows = true;
    fill_random(c, l.x);
    return l;
}

static void close_layer(struct check *c, struct layer *l)
{
    guarded_free(l->got);
    guarded_free(l->want);
    guarded_free(l->x);
    free_weight(c, &l->bias);
    free_weight(c, &l->w);
}

/* Rows and single numbers far beyond the others and far below. */
static void disturb(struct check *c, struct layer *l)
{
    static const float sizes[] = {0.0f, 1e-38f, 1e-20f, 1e3f, 1e15f};
    static const uint16_t values[] = {0, 0x8000, 0x1234, 0x2000, 0x5015, 0xc955}; /* bf16 */
    const struct weight_source *s = &l->w.source;
    for (int32_t i = 0; i < 5; i++) {
        float *row = l->x.data + (size_t)random_below(c, l->x.rows) * (size_t)l->x.stride;
        for (int32_t k = 0; k < l->x.cols; k++)
            row[k] *= sizes[i];
        l->x.data[(size_t)random_below(c, l->x.rows) * (size_t)l->x.stride] *= sizes[i];
    }
    for (int32_t i = 0; i < 6; i++)
        for (int32_t k = 0, at = random_below(c, s->rows * s->cols - 100); k < 100; k++)
            memcpy((unsigned char *)s->data + 2 * (size_t)(at + k), &values[i], sizeof *values);
}

/* Rows that share products with others a thousand times their size, and more. */
static void scale_rows(struct check *c, struct layer *l)
{
    static const float sizes[] = {1e3f, 1e-3f, 1e9f, 1e-9f, 0.0f};
    for (int32_t i = 0; i < 40; i++) {
        float *row = l->x.data + (size_t)random_below(c, l->x.rows) * (size_t)l->x.stride;
        for (int32_t k = 0; k < l->x.cols; k++)
            row[k] *= sizes[i % 5];
    }
}

static double worst_row(const struct layer *l)
{
    double worst = 0;
    for (int32_t t = 0; t < l->x.rows; t++) {
        double error = relative_l2(tensor_rows(l->want, t, 1), tensor_rows(l->got, t, 1), 0);
        worst = error > worst ? error : worst;
    }
    return worst;
}

static void run(struct check *c, struct layer *l)
{
    load_weight(c, &l->w);
    load_weight(c, &l->bias);
    c->oracle->ops->linear(c->oracle, l->want, l->x, &l->w.in_oracle, &l->bias.in_oracle);
    c->tested->ops->linear(c->tested, l->got, l->x, &l->w.in_tested, &l->bias.in_tested);
}

static void check_shape(struct check *c, struct shape s)
{
    struct layer l = open_layer(c, s);
    bool bits = c->linear_bound <= 0;
    if (bits)
        disturb(c, &l);
    else
        scale_rows(c, &l);
    run(c, &l);
    if (bits)
        verdict(c, same_bits(l.want, l.got) && guarded_intact(l.got),
                "seven products, %d x %d, %d tokens: not the same bits as plain C", s.rows, s.cols,
                s.tokens);
    else
        verdict(c, worst_row(&l) <= c->linear_bound && guarded_intact(l.got),
                "seven products, %d x %d, %d tokens: relative L2 of a row %.3g (at most %.3g)",
                s.rows, s.cols, s.tokens, worst_row(&l), c->linear_bound);
    close_layer(c, &l);
}

/* It shows in its own row and at most in the one half of a run away. */
static void check_not_finite(struct check *c, struct shape s, float odd)
{
    struct layer l = open_layer(c, s);
    int32_t half = strassen_half(s.tokens, 1), row = random_below(c, half);
    l.x.data[(size_t)row * (size_t)l.x.stride + (size_t)random_below(c, s.cols)] = odd;
    run(c, &l);
    bool right = guarded_intact(l.got);
    for (int32_t t = 0; t < s.tokens; t++)
        for (int32_t i = 0; i < s.rows; i++) {
            float y = l.got.data[(size_t)t * (size_t)l.got.stride + (size_t)i];
            right = right && (t == row + half || !isfinite(y) == (t == row));
        }
    verdict(c, right, "seven products, x with %g: not finite where it should not be", (double)odd);
    close_layer(c, &l);
}

void check_strassen(struct check *c)
{
    static const struct shape shapes[] = {
        {257, 523, 769}, {256, 512, 768}, {300, 704, 800}, {256, 512, 2 * TILES_TOKENS + 7}};
    if (c->bench)
        return;
    for (size_t i = 0; i < (c->slow ? 1 : sizeof shapes / sizeof *shapes); i++)
        check_shape(c, shapes[i]);
    check_not_finite(c, shapes[0], NAN);
    if (!c->slow)
        check_not_finite(c, shapes[1], INFINITY);
}
