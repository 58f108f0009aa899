/* The pool: every chunk runs once, by one of the threads, and its writes are seen afterwards. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/cpu/threads.h"

enum {
    MOST_CHUNKS = 1000
};

struct tally {
    int32_t runs[MOST_CHUNKS]; /* plain on purpose: TSan sees a chunk that two threads run */
    int64_t sum_by_thread[8];
    int n_threads;
    _Atomic bool bad_thread;
};

static void count_chunk(void *context, int32_t chunk, int32_t thread)
{
    struct tally *tally = context;
    if (thread < 0 || thread >= tally->n_threads) {
        atomic_store(&tally->bad_thread, true);
        return;
    }
    tally->runs[chunk]++;
    tally->sum_by_thread[thread] += chunk; /* races if two threads have one number */
}

static void check_loop(struct threads *pool, int32_t n_chunks)
{
    struct tally tally = {.n_threads = threads_count(pool)};
    threads_run(pool, count_chunk, &tally, n_chunks);
    assert_false(atomic_load(&tally.bad_thread));
    int64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += tally.sum_by_thread[i];
    assert_int_equal(sum, (int64_t)n_chunks * (n_chunks - 1) / 2);
    for (int32_t i = 0; i < MOST_CHUNKS; i++)
        assert_int_equal(tally.runs[i], i < n_chunks ? 1 : 0);
}

static void every_chunk_runs_once(void **state)
{
    (void)state;
    for (int n_threads = 1; n_threads <= 8; n_threads++) {
        struct threads *pool = threads_open(n_threads, NULL);
        assert_non_null(pool);
        assert_int_equal(threads_count(pool), n_threads);
        static const int32_t sizes[] = {0, 1, 2, 3, 7, 8, 64, MOST_CHUNKS};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_loop(pool, sizes[i]);
        threads_close(pool);
    }
}

/* Loops that follow each other closely: late workers meet the next loop with another context. */
static void short_loops_do_not_mix(void **state)
{
    (void)state;
    for (int n_threads = 2; n_threads <= 4; n_threads++) {
        struct threads *pool = threads_open(n_threads, NULL);
        assert_non_null(pool);
        for (int i = 0; i < 2000; i++)
            check_loop(pool, 2 + i % 13);
        threads_close(pool);
    }
}

static void sleepers_wake(void **state)
{
    (void)state;
    struct threads *pool = threads_open(3, NULL);
    assert_non_null(pool);
    for (int i = 0; i < 5; i++) {
        usleep(20000);
        check_loop(pool, 100);
    }
    threads_close(pool);
}

static void *use_a_pool(void *argument)
{
    (void)argument;
    struct threads *pool = threads_open(0, NULL);
    assert_non_null(pool);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 61; i++)
            check_loop(pool, 2 + i);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 250);
    threads_close(pool);
    return NULL;
}

/* Four threads a processor, long enough for the pools to notice each other. */
static void pools_beside_each_other(void **state)
{
    (void)state;
    pthread_t others[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&others[i], NULL, use_a_pool, NULL), 0);
    use_a_pool(NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(others[i], NULL), 0);
}

struct slow {
    int32_t values[16];
};

static void slow_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    struct slow *slow = context;
    if (chunk > 0)
        usleep(5000);
    slow->values[chunk] = chunk + 1;
}

static void caller_waits_for_slow_chunks(void **state)
{
    (void)state;
    struct threads *pool = threads_open(4, NULL);
    assert_non_null(pool);
    struct slow slow;
    memset(&slow, 0, sizeof slow);
    threads_run(pool, slow_chunk, &slow, 16);
    for (int32_t i = 0; i < 16; i++)
        assert_int_equal(slow.values[i], i + 1);
    threads_close(pool);
}

static void bad_counts_are_refused(void **state)
{
    (void)state;
    static const int counts[] = {-1, 257, 1 << 30};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct vlmd_error err = {.code = VLMD_OK};
        assert_null(threads_open(counts[i], &err));
        assert_int_equal(err.code, VLMD_INVALID);
        assert_string_equal(err.field, "threads");
    }
}

static void zero_means_available(void **state)
{
    (void)state;
    assert_true(threads_available() >= 1);
    struct threads *pool = threads_open(0, NULL);
    assert_non_null(pool);
    assert_int_equal(threads_count(pool), threads_available());
    threads_close(pool);
    threads_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_runs_once),   cmocka_unit_test(short_loops_do_not_mix),
        cmocka_unit_test(sleepers_wake),           cmocka_unit_test(caller_waits_for_slow_chunks),
        cmocka_unit_test(pools_beside_each_other), cmocka_unit_test(bad_counts_are_refused),
        cmocka_unit_test(zero_means_available),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
