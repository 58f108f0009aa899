/* A persistent pool of threads for kernels: one loop at a time, split into numbered chunks that the
 * threads take one after another. The caller is one of the threads. Waiting threads spin for a few
 * microseconds, then sleep, so that an idle or crowded machine is not kept busy. */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct threads;

/* `thread` is in [0, threads_count), the same for everything that one thread runs at a time. */
typedef void (*threads_fn)(void *context, int32_t chunk, int32_t thread);

/* n_threads counts the caller; 0 means threads_available(). NULL with *err when the system refuses
 * threads or memory. The caller owns the pool (threads_close, when no loop runs). */
struct threads *threads_open(int n_threads, struct vlmd_error *err);
void threads_close(struct threads *pool); /* NULL is fine */
int threads_count(const struct threads *pool);

/* How many threads are worth having: one for each core that this process may run on (its affinity
 * mask, where the system has one), since the two threads of a core share what computes, and no more
 * than its control group pays for. */
int threads_available(void);

/* Calls fn(context, chunk, thread) once for each chunk in [0, n_chunks) and returns when all have
 * returned. What the caller wrote before is visible to fn, what fn wrote is visible afterwards.
 * Not to be called from fn, nor from two threads at a time. */
void threads_run(struct threads *pool, threads_fn fn, void *context, int32_t n_chunks);
