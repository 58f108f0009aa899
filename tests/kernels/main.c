/* Checks every slot of the CPU backend, in every instruction set that this processor has, against
 * the plain C oracle, with fresh random inputs each time.
 *
 *   kernels [--seed N] [--isa c|avx2|neon] [--fixtures FOLDER] [--bench]
 *
 * The seed is printed; the same seed repeats a run. --bench times instead of checking. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/cpu.h"
#include "kernels/check.h"

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

/* Returns false when this processor has no such kernels. */
static bool check_isa(struct check *c, const char *isa, int threads)
{
    struct vlmd_error err;
    c->tested = backend_cpu_open(threads, isa, &err);
    if (!c->tested)
        return false;
    c->isa = isa;
    c->threads = threads;
    int failed = c->failed, passed = c->passed;
    check_all(c);
    c->tested->ops->close(c->tested);
    if (!c->bench)
        printf("%-5s %d threads: %d passed, %d failed\n", isa, threads, c->passed - passed,
               c->failed - failed);
    return true;
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
        fputs("usage: kernels [--seed N] [--isa c|avx2|neon] [--fixtures FOLDER] [--bench]\n",
              stderr);
        return 2;
    }
    struct vlmd_error err;
    struct check c = {.random = o.seed, .fixtures = o.fixtures, .bench = o.bench};
    c.oracle = backend_cpu_open(1, "c", &err);
    if (!c.oracle) {
        fprintf(stderr, "kernels: %s\n", err.text);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)o.seed);
    static const char *const isas[] = {"c", "avx2", "neon"};
    int found = 0;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (o.isa && strcmp(o.isa, isas[i]) != 0)
            continue;
        found += check_isa(&c, isas[i], o.bench ? 1 : 3);
    }
    c.oracle->ops->close(c.oracle);
    if (found == 0) {
        fputs("kernels: this processor has none of the kernels asked for\n", stderr);
        return 2;
    }
    printf("%d passed, %d failed\n", c.passed, c.failed);
    return c.failed > 0;
}
