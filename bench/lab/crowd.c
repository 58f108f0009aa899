/* What a pool reaches while others want the processors too: loops as in a decode step, by one
 * process alone, by two and by three at once, and beside programs that do nothing but count. Each
 * process has a pool of its own, as each model's worker has. Nice values and real-time priorities
 * of the caller hold for all of them.
 *
 *   crowd [--threads N] [--passes N] [--chunk-us N] */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/cpu/threads.h"
#include "measure.h"

enum {
    MOST_PROCESSES = 8,
    MOST_PASSES = 64,
    CHUNKS_PER_THREAD = 4, /* as linear.c with few tokens */
    SETTLE_MS = 150,       /* in which pools find out that they have company */
    WINDOW_MS = 250,
};

static const struct company {
    const char *name;
    int pools, counters;
} companies[] = {
    {"alone", 1, 0},
    {"two pools", 2, 0},
    {"three pools", 3, 0},
    {"beside 1 counting", 1, 1},
    {"beside 2 counting", 1, 2},
};

enum {
    N_COMPANIES = sizeof companies / sizeof *companies
};

/* Shared by all processes. */
struct board {
    _Alignas(128) _Atomic int64_t loops;
};

struct work {
    int64_t rounds; /* in a chunk */
    volatile float sink;
};

static void turn(struct work *work)
{
    float a = 1, b = 2;
    for (int64_t i = 0; i < work->rounds; i++) {
        a = a * 0.999f + 0.5f;
        b = b * 0.998f + 0.25f;
        __asm__ volatile("" : "+m"(a), "+m"(b));
    }
    work->sink = a + b;
}

static void chunk_of_work(void *context, int32_t chunk, int32_t thread)
{
    (void)chunk;
    (void)thread;
    struct work own = *(const struct work *)context;
    turn(&own);
}

/* Rounds that take so long on a processor of one's own: the best of some tries. */
static int64_t rounds_of(double seconds)
{
    double best = 1;
    for (int i = 0; i < 50; i++) {
        struct work work = {.rounds = 10000};
        double start = measure_seconds();
        turn(&work);
        double took = measure_seconds() - start;
        best = took < best ? took : best;
    }
    return (int64_t)(10000 * seconds / best) + 1;
}

static void run_pool(struct board *board, int n_threads, struct work *work)
{
    struct threads *pool = threads_open(n_threads, NULL);
    if (!pool)
        _exit(1);
    for (;;) {
        threads_run(pool, chunk_of_work, work, CHUNKS_PER_THREAD * threads_count(pool));
        atomic_fetch_add(&board->loops, 1);
    }
}

static void count_on(void)
{
    for (volatile uint64_t n = 0;; n++)
        ;
}

/* Loops a second of all pools together. */
static double loops_in_company(const struct company *company, struct board *board, int n_threads,
                               struct work *work)
{
    pid_t children[MOST_PROCESSES];
    int n = 0;
    for (; n < company->pools + company->counters; n++) {
        children[n] = fork();
        if (children[n] < 0)
            break;
        if (children[n] > 0)
            continue;
        if (n < company->pools)
            run_pool(board, n_threads, work);
        else
            count_on();
    }
    usleep(SETTLE_MS * 1000);
    int64_t before = atomic_load(&board->loops);
    double start = measure_seconds();
    usleep(WINDOW_MS * 1000);
    int64_t loops = atomic_load(&board->loops) - before;
    double seconds = measure_seconds() - start;
    for (int i = 0; i < n; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return (double)loops / seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int n_threads = 0, passes = 9, chunk_us = 50;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            n_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--passes") == 0)
            passes = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--chunk-us") == 0)
            chunk_us = atoi(argv[i + 1]);
    }
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || passes < 1 || passes > MOST_PASSES || chunk_us < 1) {
        fprintf(stderr, "passes: 1 to %d; chunk-us: at least 1\n", MOST_PASSES);
        return 1;
    }
    struct work work = {.rounds = rounds_of(chunk_us * 1e-6)};
    double loops[N_COMPANIES], fractions[N_COMPANIES][MOST_PASSES];
    for (int p = 0; p < passes; p++) {
        for (int c = 0; c < N_COMPANIES; c++) {
            loops[c] = loops_in_company(&companies[c], board, n_threads, &work);
            fractions[c][p] = loops[0] > 0 ? loops[c] / loops[0] : 0;
        }
    }
    printf("chunks of %d us, %d a thread; alone %.0f loops a second; of that", chunk_us,
           CHUNKS_PER_THREAD, loops[0]);
    for (int c = 1; c < N_COMPANIES; c++) {
        qsort(fractions[c], (size_t)passes, sizeof(double), by_size);
        printf("%s %s %.0f %% (%.0f to %.0f)", c > 1 ? "," : "", companies[c].name,
               100 * fractions[c][passes / 2], 100 * fractions[c][0],
               100 * fractions[c][passes - 1]);
    }
    printf("\n");
    return 0;
}
