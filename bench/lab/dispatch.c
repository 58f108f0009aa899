/* What handing a loop to the threads costs: an empty one, while the threads wait for the next and
 * after they went to sleep; and how evenly chunks of equal work end. First it is checked that every
 * chunk runs exactly once.
 *
 *   dispatch [--threads N] [--passes N] */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/threads.h"
#include "measure.h"

enum {
    MOST_CHUNKS = 1024,
    LOOPS = 2000 /* in a pass */
};

struct loop {
    _Atomic int32_t runs[MOST_CHUNKS];
};

static void count(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    struct loop *loop = context;
    atomic_fetch_add_explicit(&loop->runs[chunk], 1, memory_order_relaxed);
}

static void nothing(void *context, int32_t chunk, int32_t thread)
{
    (void)context;
    (void)chunk;
    (void)thread;
}

static bool runs_each_once(struct threads *pool)
{
    for (int32_t n = 1; n <= MOST_CHUNKS; n += n) {
        struct loop loop = {0};
        threads_run(pool, count, &loop, n);
        for (int32_t i = 0; i < MOST_CHUNKS; i++)
            if (loop.runs[i] != (i < n))
                return false;
    }
    return true;
}

static double seconds_of_loops(struct threads *pool, int32_t n_chunks)
{
    double start = measure_seconds();
    for (int i = 0; i < LOOPS; i++)
        threads_run(pool, nothing, NULL, n_chunks);
    return (measure_seconds() - start) / LOOPS;
}

static double seconds_after_sleep(struct threads *pool)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    nanosleep(&pause, NULL);
    double start = measure_seconds();
    threads_run(pool, nothing, NULL, 2 * threads_count(pool));
    return measure_seconds() - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return values[n / 2];
}

int main(int argc, char **argv)
{
    int n_threads = 0, passes = 25;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            n_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--passes") == 0)
            passes = atoi(argv[i + 1]);
    }
    struct vlmd_error err;
    struct threads *pool = threads_open(n_threads, &err);
    if (!pool || passes < 1 || passes > 64) {
        fprintf(stderr, "%s\n", pool ? "passes: 1 to 64" : err.text);
        return 1;
    }
    bool ok = runs_each_once(pool);
    double few[64], many[64], asleep[64];
    for (int i = 0; i < passes; i++) {
        few[i] = seconds_of_loops(pool, 2);
        many[i] = seconds_of_loops(pool, 8 * threads_count(pool));
        asleep[i] = seconds_after_sleep(pool);
    }
    printf("%d threads: %s; ", threads_count(pool), ok ? "each chunk once" : "WRONG");
    printf("a loop of 2 chunks %.2f us, of %d %.2f us, after sleep %.1f us\n",
           median(few, passes) * 1e6, 8 * threads_count(pool), median(many, passes) * 1e6,
           median(asleep, passes) * 1e6);
    threads_close(pool);
    return !ok;
}
