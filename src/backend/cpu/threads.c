#include "backend/cpu/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control_group.h"
#include "base/processors.h"

enum {
    MAX_THREADS = 256,
    SPINS = 4000, /* some fifty microseconds: longer than the gaps between the ops of a step */
    CROWDED_SPINS = 400,
};

/* Whoever is preempted so often in a window has company on its processors; for as many windows the
 * pool then makes room. It would be preempted less meanwhile, so that says nothing. */
#define WINDOW_NS 50000000ull
enum {
    CROWDED_SWITCHES = 4,
    CROWDED_WINDOWS = 20,
};

struct worker {
    struct threads *pool;
    pthread_t thread;
    int32_t index;
};

/* `ticket` holds the number of the loop (high half) and how many of its chunks are still to be
 * taken (low half). fn, context and n_chunks are written only while the low half is 0 and read only
 * by who has taken a chunk. */
struct threads {
    _Alignas(128) _Atomic uint64_t ticket;
    _Alignas(128) _Atomic int32_t done; /* chunks of this loop that have returned */
    _Alignas(128) threads_fn fn;
    void *context;
    int32_t n_chunks;
    _Atomic int32_t sleepers;   /* workers asleep or about to be */
    _Atomic bool caller_sleeps; /* or is about to */
    _Atomic bool closing;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    int n_threads;
    int n_started;
    int most_spins;
    _Atomic int spins;
    uint64_t window_ns; /* when it began; of the caller's */
    long switches;      /* until then */
    int windows_left;   /* to make room in */
    struct worker workers[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int within(int n, int limit)
{
    return limit > 0 && limit < n ? limit : n;
}

/* Threads that run at the same time, whatever they share. */
static int threads_at_once(void)
{
    struct processors allowed;
    if (processors_allowed(&allowed))
        return within(processors_count(&allowed), control_group_processors(""));
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n <= MAX_THREADS ? (int)n : 1;
}

int threads_available(void)
{
    struct processors allowed;
    int n = threads_at_once();
    if (processors_allowed(&allowed))
        n = within(n, processors_cores(&allowed, ""));
    return within(n, MAX_THREADS);
}

/* Takes a chunk of the current loop; false when none is left. The loop cannot end before the chunk
 * is finished, so fn, context and n_chunks are its own until then. */
static bool take_chunk(struct threads *pool, int32_t *chunk)
{
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    while ((uint32_t)ticket > 0) {
        if (atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            *chunk = pool->n_chunks - (int32_t)(uint32_t)ticket;
            return true;
        }
    }
    return false;
}

static void finish_chunk(struct threads *pool, int32_t n_chunks)
{
    if (atomic_fetch_add(&pool->done, 1) + 1 < n_chunks)
        return;
    if (!atomic_load(&pool->caller_sleeps))
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->finished);
    pthread_mutex_unlock(&pool->mutex);
}

static void work_on_loop(struct threads *pool, int32_t thread)
{
    int32_t chunk;
    while (take_chunk(pool, &chunk)) {
        int32_t n_chunks = pool->n_chunks;
        pool->fn(pool->context, chunk, thread);
        finish_chunk(pool, n_chunks);
    }
}

static bool nothing_new(struct threads *pool, uint32_t seen)
{
    return (uint32_t)(atomic_load(&pool->ticket) >> 32) == seen && !atomic_load(&pool->closing);
}

/* Returns when a loop other than `seen` was started or the pool closes. */
static void wait_for_work(struct threads *pool, uint32_t seen)
{
    int spins = atomic_load_explicit(&pool->spins, memory_order_relaxed);
    for (int i = 0; i < spins; i++) {
        if (!nothing_new(pool, seen))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (nothing_new(pool, seen))
        pthread_cond_wait(&pool->work, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct threads *pool = worker->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_for_work(pool, seen);
        if (atomic_load(&pool->closing))
            return NULL;
        seen = (uint32_t)(atomic_load(&pool->ticket) >> 32);
        work_on_loop(pool, worker->index);
    }
}

static bool loop_done(struct threads *pool, int32_t n_chunks)
{
    return atomic_load(&pool->done) == n_chunks;
}

static void wait_for_loop(struct threads *pool, int32_t n_chunks)
{
    int spins = atomic_load_explicit(&pool->spins, memory_order_relaxed);
    for (int i = 0; i < spins; i++) {
        if (loop_done(pool, n_chunks))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (!loop_done(pool, n_chunks))
        pthread_cond_wait(&pool->finished, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void wake_workers(struct threads *pool)
{
    if (atomic_load(&pool->sleepers) == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

/* Spins little while others compute on the same processors: other workers, builds. A spinning
 * thread would take the time of what it waits for, and threads that sleep between loops are
 * preempted between them rather than in the middle of a chunk that all others then wait for. */
static void look_around(struct threads *pool)
{
    uint64_t now = clock_ns(), passed = now - pool->window_ns;
    if (passed < WINDOW_NS)
        return;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    long switches = usage.ru_nivcsw - pool->switches;
    pool->switches = usage.ru_nivcsw;
    pool->window_ns = now;
    if (pool->windows_left > 0)
        pool->windows_left--;
    else if (switches >= CROWDED_SWITCHES && passed < 2 * WINDOW_NS)
        pool->windows_left = CROWDED_WINDOWS;
    int spins = pool->windows_left > 0 ? CROWDED_SPINS : SPINS;
    atomic_store_explicit(&pool->spins, spins < pool->most_spins ? spins : pool->most_spins,
                          memory_order_relaxed);
}

static void run_alone(threads_fn fn, void *context, int32_t n_chunks)
{
    for (int32_t i = 0; i < n_chunks; i++)
        fn(context, i, 0);
}

void threads_run(struct threads *pool, threads_fn fn, void *context, int32_t n_chunks)
{
    if (n_chunks <= 1 || pool->n_threads == 1) {
        run_alone(fn, context, n_chunks);
        return;
    }
    look_around(pool);
    uint64_t loop = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
    pool->fn = fn;
    pool->context = context;
    pool->n_chunks = n_chunks;
    atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
    atomic_store(&pool->ticket, loop << 32 | (uint32_t)n_chunks);
    wake_workers(pool);
    work_on_loop(pool, 0);
    wait_for_loop(pool, n_chunks);
}

static int start_workers(struct threads *pool, struct vlmd_error *err)
{
    for (int i = 1; i < pool->n_threads; i++) {
        struct worker *worker = &pool->workers[i - 1];
        *worker = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
            return err_set(err, VLMD_NO_MEMORY, "threads", "cannot start thread %d of %d", i + 1,
                           pool->n_threads);
        pool->n_started++;
    }
    return 0;
}

struct threads *threads_open(int n_threads, struct vlmd_error *err)
{
    if (n_threads == 0)
        n_threads = threads_available();
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        err_set(err, VLMD_INVALID, "threads", "%d is not between 0 and %d", n_threads, MAX_THREADS);
        return NULL;
    }
    size_t bytes = sizeof(struct threads) + (size_t)(n_threads - 1) * sizeof(struct worker);
    bytes = (bytes + 127) / 128 * 128;
    struct threads *pool = aligned_alloc(128, bytes);
    if (!pool) {
        err_no_memory(err, bytes);
        return NULL;
    }
    *pool = (struct threads){
        .n_threads = n_threads,
        /* With more threads than processors a spinning thread holds up the one it waits for. */
        .most_spins = n_threads <= threads_at_once() ? SPINS : 0,
    };
    atomic_init(&pool->spins, pool->most_spins);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, NULL);
    if (start_workers(pool, err) != 0) {
        threads_close(pool);
        return NULL;
    }
    return pool;
}

void threads_close(struct threads *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->closing, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

int threads_count(const struct threads *pool)
{
    return pool->n_threads;
}
