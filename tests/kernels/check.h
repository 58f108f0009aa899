/* What the kernel checks share: random inputs, guarded memory, comparison and the tally. A check
 * runs the same op on the plain C oracle and on the backend under test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/ops.h"

struct check {
    struct backend *oracle; /* plain C, one thread */
    struct backend *tested;
    const char *isa, *activations; /* of what is tested */
    int threads;
    uint64_t random;      /* state of the generator */
    const char *fixtures; /* folder */
    bool bench;
    bool slow;           /* what is tested is emulated, instruction by instruction */
    double linear_bound; /* of the linear layers; 0: to the last bit */
    int passed, failed;
};

/* ---- random numbers (splitmix64) */
uint64_t random_bits(struct check *c);
int32_t random_below(struct check *c, int32_t n);
float random_float(struct check *c); /* about normal: mean 0, deviation 1 */
void fill_random(struct check *c, struct tensor t);

/* ---- memory: every buffer lies between guard bands, and starts out as NaNs that name it */
struct tensor guarded_tensor(int32_t rows, int32_t cols, int32_t stride);
void guarded_poison(struct tensor t);
/* False when a band or a gap between rows was written. */
bool guarded_intact(struct tensor t);
void guarded_free(struct tensor t);
struct tensor guarded_copy(struct tensor t);

/* ---- weights: random ones in memory that ends where they end and is aligned to nothing */
struct test_weight {
    struct weight_source source;
    void *memory[3];
    struct weight in_oracle, in_tested;
};
struct test_weight dense_weight(struct check *c, enum weight_type type, int32_t rows, int32_t cols);
struct test_weight affine_weight(struct check *c, int32_t rows, int32_t cols, int32_t bits,
                                 int32_t group, enum weight_type scale_type);
void load_weight(struct check *c, struct test_weight *w); /* into both backends */
void free_weight(struct check *c, struct test_weight *w);
const char *weight_type_name(enum weight_type type);

/* ---- verdicts */
/* |got - want| / max(|want|, floor); infinite if there are NaNs. The floor is the size that want
 * would have if its terms did not happen to cancel, for outputs of few elements. */
double relative_l2(struct tensor want, struct tensor got, double floor);
bool same_bits(struct tensor a, struct tensor b);
void verdict(struct check *c, bool ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Passes when got is within `bound` of want and both are intact. */
void compare(struct check *c, struct tensor want, struct tensor got, double floor, double bound,
             const char *format, ...) __attribute__((format(printf, 6, 7)));

/* sqrt of the sum of squares. */
double size_of(struct tensor t);
/* What it makes of the size of x, if all products of x w^T are independent: a floor for that. */
double size_of_weight(struct check *c, const struct test_weight *w);

/* ---- timing */
/* Runs once and then for at least a tenth of a second; returns the best time of a run in seconds of
 * processor time, which neighbours on the machine disturb least. */
double seconds_of(void (*run)(void *context, struct backend *be), void *context,
                  struct backend *be);
void report_speed(struct check *c, const char *what, double tested, double oracle, double bytes,
                  double flops);

void check_mlx(struct check *c);
void check_linear(struct check *c);
void check_integers(struct check *c);  /* linear with integer activations */
void check_many_rows(struct check *c); /* of dense weights that always meet many rows */
void check_strassen(struct check *c);
void check_embed(struct check *c);
void check_rows(struct check *c);
void check_attention(struct check *c);
void check_loading(struct check *c);
