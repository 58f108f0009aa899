/* Checks the inner loops of resizing, in every instruction set that this processor has, against
 * plain C to the last bit: random sizes, rows of noise that end where their padding ends, guard
 * bands behind the output.
 *
 *   resize_kernels [SEED [ROUNDS]] */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/resize_kernels.h"

#define GUARD     64
#define MOST_SIDE 1500

static uint64_t state;

static uint32_t random_bits(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static int32_t random_side(void)
{
    static const int32_t edges[] = {1, 2, 3, 4, 5, 8, 28, 56};
    if (random_bits() % 4 == 0)
        return edges[random_bits() % 8];
    return 1 + (int32_t)(random_bits() % MOST_SIDE);
}

/* Of exactly `bytes`, so that a sanitizer or the allocator notices what reads behind them. Some
 * rows are all black or white: there the sums are largest. */
static uint8_t *noise(size_t bytes)
{
    uint8_t *row = malloc(bytes);
    uint32_t kind = random_bits() % 4;
    for (size_t i = 0; row && i < bytes; i++)
        row[i] = (uint8_t)(kind == 0 ? 255 * (random_bits() & 1) : random_bits());
    return row;
}

static bool same(const uint8_t *want, const uint8_t *got, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (got[bytes + i] != 0xA5)
            return false;
    return memcmp(want, got, bytes) == 0;
}

static bool check_across(const struct resize_kernels *k, const struct resize_weights *w, int32_t in,
                         int32_t n)
{
    uint8_t *row = noise((size_t)in * RESIZE_CHANNELS + RESIZE_PADDING);
    size_t bytes = (size_t)n * RESIZE_CHANNELS;
    uint8_t *want = malloc(bytes), *got = malloc(bytes + GUARD);
    bool ok = row && want && got;
    if (ok) {
        memset(got, 0xA5, bytes + GUARD);
        resize_kernels_c.across(row, w, n, want);
        k->across(row, w, n, got);
        ok = same(want, got, bytes);
    }
    free(row);
    free(want);
    free(got);
    return ok;
}

static bool check_down(const struct resize_kernels *k, const struct resize_weights *w, int32_t i)
{
    int32_t bytes = 1 + (int32_t)(random_bits() % 700), count = w->count[i];
    uint8_t **rows = calloc((size_t)count, sizeof *rows);
    uint8_t *want = malloc((size_t)bytes), *got = malloc((size_t)bytes + GUARD);
    bool ok = rows && want && got;
    for (int32_t j = 0; ok && j < count; j++)
        ok = (rows[j] = noise((size_t)bytes + RESIZE_PADDING)) != NULL;
    if (ok) {
        const uint8_t *const *in = (const uint8_t *const *)rows;
        memset(got, 0xA5, (size_t)bytes + GUARD);
        resize_kernels_c.down(in, w, i, bytes, want);
        k->down(in, w, i, bytes, got);
        ok = same(want, got, (size_t)bytes);
    }
    for (int32_t j = 0; rows && j < count; j++)
        free(rows[j]);
    free(rows);
    free(want);
    free(got);
    return ok;
}

static int check(const char *name, const struct resize_kernels *k, int rounds)
{
    int failed = 0;
    for (int round = 0; k && round < rounds; round++) {
        int32_t in = random_side(), n = random_side();
        struct resize_weights w;
        struct vlmd_error err;
        if (resize_weights_make(&w, in, n, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            return rounds;
        }
        if (!check_across(k, &w, in, n)) {
            printf("%s: across differs, %d to %d pixels\n", name, in, n);
            failed++;
        }
        int32_t i = (int32_t)(random_bits() % (uint32_t)n);
        if (!check_down(k, &w, i)) {
            printf("%s: down differs, %d to %d rows, row %d\n", name, in, n, i);
            failed++;
        }
        resize_weights_free(&w);
    }
    if (k)
        printf("resize %s: %d passed, %d failed\n", name, 2 * rounds - failed, failed);
    return failed;
}

int main(int argc, char **argv)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)t.tv_nsec;
    int rounds = argc > 2 ? atoi(argv[2]) : 300;
    state = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    int failed = check("avx2", resize_kernels_avx2(), rounds);
    failed += check("neon", resize_kernels_neon(), rounds);
    if (!resize_kernels_avx2() && !resize_kernels_neon())
        puts("resize: this processor has plain C alone");
    return failed > 0;
}
