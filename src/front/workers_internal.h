/* What workers.c (one process's life, its requests) and residency.c (which models are in memory)
 * share. Nothing else includes this. */
#pragma once

#include "front/workers.h"

#define MAX_RESTARTS 3 /* within RESTART_MS; then a pause until that time is over */
#define RESTART_MS   60000

struct worker {
    struct workers *owner;
    size_t index;
    char *id, *path;
    bool named; /* at the start, by the operator: loaded at once and kept */
    enum worker_state state;
    struct link *link; /* NULL between processes */
    bool unreachable;  /* its process is dying: the news is on its way */
    uv_timer_t restart;
    uint64_t deaths[MAX_RESTARTS]; /* times of the last ones, newest first */
    unsigned restarts;
    uint64_t started_ms, told_ms;
    uint64_t failed_ms, used_ms; /* when it failed; when it was used last */
    uint64_t last_use;           /* the number of it: two may fall into one millisecond */
    double load_seconds;
    char progress[128];
    float fraction;
    struct vlmd_error failure;
    struct worker_info info;
    struct worker_needs needs;
    struct worker_image_cache image_cache;
    bool asking;      /* it has told its needs and waits for memory */
    uint64_t granted; /* bytes of the budget that its process holds */
    struct worker_job *jobs;
    unsigned n_jobs;
    unsigned n_holds; /* waits that have it, or wait for it */
    struct worker_wait *waits;
};

struct workers {
    uv_loop_t *loop;
    char *program, *cpus, *isa, *activations;
    int threads;
    int32_t kv_tokens;
    uint64_t image_cache;
    struct metrics *metrics;
    unsigned silence_ms;
    struct workers_limits limits;
    bool on_demand;
    uint64_t next_id, uses;
    bool closing;
    size_t n_open; /* handles and processes that are not yet gone */
    uv_timer_t tick;
    void (*on_change)(void *context);
    void *change_context;
    size_t n;
    struct worker **worker;
};

/* ---- workers.c */

void worker_start(struct worker *w);
/* It cannot be loaded, by err: those who wait are told, and its process ends. */
void worker_fail(struct worker *w, const struct vlmd_error *err);
/* Ends the process of a model that nobody uses. */
void worker_unload(struct worker *w, const char *why);
bool worker_is_idle(const struct worker *w);

/* ---- residency.c */

/* The worker has told its needs: it gets the memory, now or when others have made room, or fails.
 */
void residency_ask(struct worker *w);
/* Memory may have become free, or idle. */
void residency_settle(struct workers *ws);
/* Once a second: idle models are unloaded, loads that take too long are ended, and what waits for
 * memory is looked at. */
void residency_tick(struct workers *ws);
