/* Which models are in memory: what each needs is counted before it allocates anything, idle ones
 * make room in the order of their last use, and go by themselves after a time. */
#include "base/log.h"
#include "front/workers_internal.h"

#define GB 1e9

static uint64_t total(const struct worker_needs *n)
{
    return n->weight_bytes + n->kv_bytes + n->work_bytes + n->image_bytes + n->cache_bytes;
}

static uint64_t granted(const struct workers *ws)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ws->n; i++)
        sum += ws->worker[i]->granted;
    return sum;
}

static void fail_with_numbers(struct worker *w, const char *what, uint64_t bytes)
{
    const struct worker_needs *n = &w->needs;
    struct vlmd_error err;
    err_set(
        &err, VLMD_NO_MEMORY, "model",
        "it needs %.3f GB (weights %.3f, kv cache %.3f, activations %.3f, an image %.3f, images "
        "that are kept %.3f), and %s %.3f GB (memory-budget)",
        (double)total(n) / GB, (double)n->weight_bytes / GB, (double)n->kv_bytes / GB,
        (double)n->work_bytes / GB, (double)n->image_bytes / GB, (double)n->cache_bytes / GB, what,
        (double)bytes / GB);
    worker_fail(w, &err);
}

/* ---- making room */

static bool holds_memory(const struct worker *w)
{
    return w->granted > 0 && w->state == WORKER_READY && worker_is_idle(w);
}

/* Models that were named at the start go last; among equals, that which was used least recently. */
static bool goes_before(const struct worker *a, const struct worker *b)
{
    return a->named != b->named ? b->named : a->last_use < b->last_use;
}

static struct worker *first_to_go(const struct workers *ws)
{
    struct worker *first = NULL;
    for (size_t i = 0; i < ws->n; i++) {
        struct worker *w = ws->worker[i];
        if (holds_memory(w) && (!first || goes_before(w, first)))
            first = w;
    }
    return first;
}

/* What idle models hold, and what those hold that are on their way out. */
static void count_room(const struct workers *ws, uint64_t *idle, uint64_t *leaving)
{
    *idle = *leaving = 0;
    for (size_t i = 0; i < ws->n; i++) {
        const struct worker *w = ws->worker[i];
        if (holds_memory(w))
            *idle += w->granted;
        else if (w->state == WORKER_UNLOADING || w->state == WORKER_FAILED)
            *leaving += w->granted;
    }
}

static void grant(struct worker *w)
{
    uint64_t budget = w->owner->limits.memory_bytes;
    struct ipc_message message = {
        .type = IPC_GRANT,
        .grant = {.bytes = total(&w->needs), .budget = budget < INT64_MAX ? budget : 0},
    };
    w->asking = false;
    w->granted = total(&w->needs);
    log_write(LOG_INFO, "%s: gets %.3f GB, of which the weights are %.3f", w->id,
              (double)w->granted / GB, (double)w->needs.weight_bytes / GB);
    link_send(w->link, &message, NULL);
}

/* Gives memory, or makes room by ending idle models, or waits until busy ones are idle. */
static void settle_one(struct worker *w)
{
    struct workers *ws = w->owner;
    uint64_t needed = total(&w->needs), used = granted(ws), budget = ws->limits.memory_bytes;
    uint64_t idle, leaving;
    if (needed > budget) {
        fail_with_numbers(w, "all models together may have", budget);
        return;
    }
    if (needed <= budget - (used < budget ? used : budget)) {
        grant(w);
        return;
    }
    count_room(ws, &idle, &leaving);
    while (needed + used - leaving > budget && needed + used - leaving - idle <= budget) {
        struct worker *other = first_to_go(ws);
        idle -= other->granted;
        leaving += other->granted;
        worker_unload(other, "to make room");
    }
}

void residency_settle(struct workers *ws)
{
    for (size_t i = 0; i < ws->n && !ws->closing; i++)
        if (ws->worker[i]->asking)
            settle_one(ws->worker[i]);
}

void residency_ask(struct worker *w)
{
    w->asking = true;
    settle_one(w);
    if (w->asking)
        log_write(LOG_INFO, "%s: waits for memory that other models hold", w->id);
}

/* ---- time */

static void end_late_load(struct worker *w)
{
    struct workers *ws = w->owner;
    struct vlmd_error err;
    if (w->asking) {
        uint64_t used = granted(ws), budget = ws->limits.memory_bytes;
        fail_with_numbers(w, "models that are being used leave free",
                          used < budget ? budget - used : 0);
        return;
    }
    err_set(&err, VLMD_BUSY, "model", "it was not loaded within %u s (model-load-timeout)",
            (unsigned)(ws->limits.load_ms / 1000));
    worker_fail(w, &err);
}

void residency_tick(struct workers *ws)
{
    uint64_t now = uv_now(ws->loop);
    for (size_t i = 0; i < ws->n && !ws->closing; i++) {
        struct worker *w = ws->worker[i];
        bool leaves = ws->limits.idle_ms > 0 && (!w->named || ws->limits.named_too);
        if (w->state == WORKER_LOADING && now - w->started_ms >= ws->limits.load_ms)
            end_late_load(w);
        else if (leaves && w->state == WORKER_READY && worker_is_idle(w) &&
                 now - w->used_ms >= ws->limits.idle_ms)
            worker_unload(w, "nobody has used it for long");
    }
    residency_settle(ws);
}
