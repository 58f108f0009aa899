/* Checks every slot of the CPU backend, in every instruction set that this processor has, against
 * the plain C oracle, with fresh random inputs each time.
 *
 *   kernels [--seed N] [--isa NAME[,NAME...]] [--fixtures FOLDER] [--bench]
 *
 * Names are c, avx2, avxvnni, avx512, amx, amxbf16, neon, dotprod and i8mm; all without --isa.
 * The seed is printed; the same seed repeats a run. --bench times instead of checking. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/cpu.h"
#include "kernels/check.h"
#include "kernels/emulate.h"

struct options {
    uint64_t seed;
    const char *isa, *fixtures;
    bool bench;
};

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            o->bench = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--isa") == 0)
            o->isa = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--fixtures") == 0)
            o->fixtures = argv[++i];
        else
            return false;
    }
    return true;
}

static void check_all(struct check *c)
{
    static void (*const checks[])(struct check * c) = {
        check_mlx, check_loading, check_linear, check_embed, check_rows, check_attention,
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i](c);
}

static struct backend *open_backend(const char *isa, const char *activations, int threads)
{
    const struct cpu_options options = {threads, isa, activations};
    struct vlmd_error err;
    return backend_cpu_open(&options, &err);
}

/* Runs the checks on these kernels against c->oracle. Returns false when this processor has no such
 * kernels. */
static bool check_isa(struct check *c, const char *isa, const char *activations,
                      void (*checks)(struct check *))
{
    c->threads = c->bench ? 1 : 3;
    c->tested = open_backend(isa, activations, c->threads);
    if (!c->tested)
        return false;
    c->isa = isa;
    c->activations = activations;
    int failed = c->failed, passed = c->passed;
    checks(c);
    c->tested->ops->close(c->tested);
    if (!c->bench)
        printf("%-7s %-7s %d threads: %d passed, %d failed\n", isa, activations, c->threads,
               c->passed - passed, c->failed - failed);
    return true;
}

/* x as two numbers of bf16 is off by 2^-16 of each at most; six times that where a sum is of few
 * products that cancel. With one number it would be 2^-7. */
#define SPLIT_BOUND 1e-4

/* Float32 against double sums; integers in plain C against that, to their own resolution; and
 * integers in other sets against plain C's to the last bit. "amxbf16" has no integers for dense
 * weights, but sums of floats. */
static bool check_set(struct check *c, const char *isa, struct backend *exact,
                      struct backend *integer)
{
    c->oracle = exact;
    c->linear_bound = 3e-6;
    c->slow = emulate_does(isa);
    bool found = check_isa(c, isa, "float32", check_all);
    bool is_c = strcmp(isa, "c") == 0;
    c->oracle = is_c ? exact : integer;
    c->linear_bound = is_c ? 5e-4 : 0;
    found = check_isa(c, isa, "int16", check_integers) && found;
    if (strcmp(isa, "amxbf16") == 0) {
        c->oracle = exact;
        c->linear_bound = SPLIT_BOUND;
    }
    found = check_isa(c, isa, "int16", check_many_rows) && found;
    return check_isa(c, isa, "int16", check_strassen) && found;
}

/* Whether the list, with commas between, has the name; no list has all. */
static bool is_among(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    }
    return !list;
}

static uint64_t fresh_seed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = fresh_seed(), .fixtures = "tests/kernels"};
    if (!parse(argc, argv, &o)) {
        fputs("usage: kernels [--seed N] "
              "[--isa c,avx2,avxvnni,avx512,amx,amxbf16,neon,dotprod,i8mm] "
              "[--fixtures FOLDER] [--bench]\n",
              stderr);
        return 2;
    }
    struct check c = {.random = o.seed, .fixtures = o.fixtures, .bench = o.bench};
    struct backend *exact = open_backend("c", "float32", 1);
    struct backend *integer = open_backend("c", "int16", 1);
    if (!exact || !integer) {
        fputs("kernels: plain C cannot be opened\n", stderr);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)o.seed);
    static const char *const isas[] = {"c",       "avx2", "avxvnni", "avx512", "amx",
                                       "amxbf16", "neon", "dotprod", "i8mm"};
    if (!o.bench)
        emulate_begin();
    int found = 0;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!is_among(o.isa, isas[i]))
            continue;
        bool there = check_set(&c, isas[i], exact, integer);
        if (there && emulate_does(isas[i]))
            puts("        (this processor lacks its instructions, which were done for it)");
        found += there;
    }
    exact->ops->close(exact);
    integer->ops->close(integer);
    if (found == 0) {
        fputs("kernels: this processor has none of the kernels asked for\n", stderr);
        return 2;
    }
    printf("%d passed, %d failed\n", c.passed, c.failed);
    return c.failed > 0;
}
