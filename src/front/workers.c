#include "front/workers_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/models.h"

#define FIRST_PAUSE 100  /* before a restart; doubled each time */
#define LONG_PAUSE  2000 /* those who wait are told so and do not wait longer */
#define TICK_MS     1000
#define MAX_MODELS  1024

struct worker_job {
    struct worker *worker;
    uint64_t id;
    bool let_go;
    int32_t prompt_tokens, tokens; /* told so far */
    struct worker_events events;
    struct worker_job *next;
};

static void free_if_gone(struct workers *ws)
{
    if (!ws->closing || ws->n_open > 0)
        return;
    for (size_t i = 0; i < ws->n; i++) {
        free(ws->worker[i]->id);
        free(ws->worker[i]->path);
        free(ws->worker[i]);
    }
    free(ws->worker);
    free(ws->program);
    free(ws->cpus);
    free(ws->isa);
    free(ws->activations);
    free(ws);
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct workers *ws = handle->data;
    ws->n_open--;
    free_if_gone(ws);
}

static void on_restart_closed(uv_handle_t *handle)
{
    struct workers *ws = ((struct worker *)handle->data)->owner;
    ws->n_open--;
    free_if_gone(ws);
}

/* ---- jobs and waits */

static void remove_job(struct worker_job *job)
{
    struct worker_job **at = &job->worker->jobs;
    while (*at && *at != job)
        at = &(*at)->next;
    if (*at) {
        *at = job->next;
        job->worker->n_jobs--;
    }
}

static struct worker_job *find_job(struct worker *w, uint64_t id)
{
    for (struct worker_job *job = w->jobs; job; job = job->next)
        if (job->id == id)
            return job;
    return NULL;
}

static void fail_job(struct worker_job *job, const struct vlmd_error *err)
{
    remove_job(job);
    if (!job->let_go)
        job->events.failed(job->events.context, err);
    free(job);
}

/* Its process is gone, and what it knew of the job with it. */
static void lose_job(struct worker_job *job, const struct vlmd_error *err)
{
    bool closing = job->worker->owner->closing;
    remove_job(job);
    if (!job->let_go && closing)
        job->events.failed(job->events.context, err);
    else if (!job->let_go)
        job->events.lost(job->events.context, err);
    free(job);
}

static void answer_waits(struct worker *w, const struct worker_info *info,
                         const struct vlmd_error *err)
{
    struct worker_wait *wait = w->waits;
    w->waits = NULL;
    while (wait) {
        struct worker_wait *next = wait->next;
        wait->waiting = false;
        wait->done(wait->context, info, err);
        wait = next;
    }
}

static void touch(struct worker *w)
{
    w->used_ms = uv_now(w->owner->loop);
    w->last_use = ++w->owner->uses;
}

static void set_state(struct worker *w, enum worker_state state)
{
    w->state = state;
    if (w->owner->on_change && !w->owner->closing)
        w->owner->on_change(w->owner->change_context);
}

/* ---- messages */

static struct vlmd_error error_of(ipc_CODE code, const struct ipc_string *field,
                                  const struct ipc_string *text)
{
    struct vlmd_error err;
    err_set(&err, code == VLMD_OK ? VLMD_INTERNAL : code, field->data, "%s", text->data);
    return err;
}

static void on_loading(struct worker *w, const struct ipc_loading *m)
{
    uint64_t now = uv_now(w->owner->loop);
    snprintf(w->progress, sizeof w->progress, "%s", m->text.data);
    w->fraction = m->fraction;
    if (now - w->told_ms < 1000)
        return;
    w->told_ms = now;
    log_write(LOG_INFO, "%s: %s, %.0f %%", w->id, w->progress, 100.0 * (double)m->fraction);
}

static void on_ready(struct worker *w, const struct ipc_ready *m)
{
    w->info = (struct worker_info){
        .has_vision = m->has_vision,
        .context_length = m->context_length,
        .kv_tokens = m->kv_tokens,
        .weight_bytes = m->weight_bytes,
        .image_factor = m->patch_size * m->merge_size,
        .min_pixels = m->min_pixels,
        .max_pixels = m->max_pixels,
        .affordable_pixels = m->affordable_pixels,
    };
    snprintf(w->info.architecture, sizeof w->info.architecture, "%s", m->architecture.data);
    snprintf(w->info.isa, sizeof w->info.isa, "%s", m->isa.data);
    w->load_seconds = (double)(uv_now(w->owner->loop) - w->started_ms) / 1000;
    metrics_observe(w->owner->metrics, METRICS_LOAD_SECONDS, w->load_seconds);
    log_write(LOG_INFO, "%s: ready after %.1f s (%s, %s kernels, context %d)", w->id,
              w->load_seconds, w->info.architecture, w->info.isa, w->info.context_length);
    touch(w);
    set_state(w, WORKER_READY);
    answer_waits(w, &w->info, NULL);
}

void worker_fail(struct worker *w, const struct vlmd_error *err)
{
    w->failure = *err;
    w->failed_ms = uv_now(w->owner->loop);
    w->asking = false;
    log_write(LOG_ERROR, "%s: cannot be loaded: %s", w->id, w->failure.text);
    set_state(w, WORKER_FAILED);
    answer_waits(w, NULL, err);
    if (w->link)
        link_kill(w->link, "it could not load its model");
}

static void on_failed(struct worker *w, const struct ipc_failed *m)
{
    struct vlmd_error err = error_of(m->code, &m->field, &m->text);
    worker_fail(w, &err);
}

static void on_needs(struct worker *w, const struct ipc_needs *m)
{
    w->needs = (struct worker_needs){m->weight_bytes, m->kv_bytes, m->work_bytes, m->image_bytes,
                                     m->cache_bytes};
    residency_ask(w);
}

static void on_done(struct worker_job *job, const struct ipc_done *m)
{
    remove_job(job);
    if (!job->let_go)
        job->events.done(job->events.context, m);
    free(job);
}

static void on_estimated(struct worker_job *job, const struct ipc_estimated *m)
{
    remove_job(job);
    if (!job->let_go)
        job->events.estimated(job->events.context, m);
    free(job);
}

static void on_error(struct worker_job *job, const struct ipc_error *m)
{
    struct vlmd_error err = error_of(m->code, &m->field, &m->text);
    fail_job(job, &err);
}

static void on_started(struct worker_job *job, const struct ipc_started *m)
{
    job->prompt_tokens = m->prompt_tokens;
    if (!job->let_go)
        job->events.started(job->events.context, m->prompt_tokens);
}

static void count_cache(struct worker *w, const struct ipc_seen *m)
{
    struct worker_image_cache *known = &w->image_cache;
    metrics_add(w->owner->metrics, METRICS_IMAGE_CACHE_HITS, m->hits - known->hits);
    metrics_add(w->owner->metrics, METRICS_IMAGE_CACHE_MISSES, m->misses - known->misses);
    metrics_add(w->owner->metrics, METRICS_IMAGE_CACHE_EVICTIONS, m->evictions - known->evictions);
    *known = (struct worker_image_cache){m->hits, m->misses, m->evictions, m->bytes, m->images};
}

static void on_seen(struct worker_job *job, const struct ipc_seen *m)
{
    count_cache(job->worker, m);
    if (!job->let_go)
        job->events.seen(job->events.context, m->cached);
}

static void on_text(struct worker_job *job, const struct ipc_text *m)
{
    job->tokens = m->tokens;
    if (!job->let_go)
        job->events.text(job->events.context, m->text.data, m->text.len);
}

/* What a worker says about one of its requests. */
static void on_job_message(struct worker *w, uint64_t id, const struct ipc_message *m)
{
    struct worker_job *job = find_job(w, id);
    if (!job || (m->type == IPC_ESTIMATED && !job->events.estimated) ||
        (m->type == IPC_SEEN && !job->events.seen))
        link_kill(w->link, "it speaks of a request that it does not have");
    else if (m->type == IPC_STARTED)
        on_started(job, &m->started);
    else if (m->type == IPC_SEEN)
        on_seen(job, &m->seen);
    else if (m->type == IPC_TEXT)
        on_text(job, &m->text);
    else if (m->type == IPC_DONE)
        on_done(job, &m->done);
    else if (m->type == IPC_ESTIMATED)
        on_estimated(job, &m->estimated);
    else
        on_error(job, &m->error);
}

static void on_message(void *context, struct ipc_message *m)
{
    struct worker *w = context;
    struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
    switch (m->type) {
    case IPC_HELLO:
        link_send(w->link, &welcome, NULL);
        break;
    case IPC_LOADING:
        on_loading(w, &m->loading);
        break;
    case IPC_NEEDS:
        on_needs(w, &m->needs);
        break;
    case IPC_READY:
        on_ready(w, &m->ready);
        break;
    case IPC_FAILED:
        on_failed(w, &m->failed);
        break;
    case IPC_STARTED:
        on_job_message(w, m->started.id, m);
        break;
    case IPC_SEEN:
        on_job_message(w, m->seen.id, m);
        break;
    case IPC_TEXT:
        on_job_message(w, m->text.id, m);
        break;
    case IPC_DONE:
        on_job_message(w, m->done.id, m);
        break;
    case IPC_ESTIMATED:
        on_job_message(w, m->estimated.id, m);
        break;
    case IPC_ERROR:
        on_job_message(w, m->error.id, m);
        break;
    default:
        break;
    }
}

/* ---- life and death */

static void on_broken(void *context, const char *why)
{
    struct worker *w = context;
    struct vlmd_error err;
    bool meant = w->state == WORKER_FAILED || w->state == WORKER_UNLOADING;
    w->asking = false;
    if (!w->owner->closing && !meant) {
        log_write(LOG_ERROR, "%s: worker %ld is lost: %s", w->id, (long)link_pid(w->link), why);
        set_state(w, WORKER_RESTARTING);
    }
    err_set(&err, VLMD_INTERNAL, NULL,
            w->owner->closing ? "the server is shutting down"
                              : "the model's process ended while it worked on this request");
    while (w->jobs)
        lose_job(w->jobs, &err);
    if (w->owner->closing)
        answer_waits(w, NULL, &err);
}

static void on_restart(uv_timer_t *timer)
{
    worker_start(timer->data);
}

/* Soon at first, then later and later; after too many deaths in a row not before a minute has
 * passed since the first of them. */
static uint64_t restart_pause(struct worker *w)
{
    uint64_t now = uv_now(w->owner->loop);
    unsigned recent = 0;
    for (unsigned i = 0; i < MAX_RESTARTS; i++)
        recent += w->deaths[i] != 0 && now - w->deaths[i] < RESTART_MS;
    uint64_t oldest = w->deaths[MAX_RESTARTS - 1];
    memmove(w->deaths + 1, w->deaths, (MAX_RESTARTS - 1) * sizeof *w->deaths);
    w->deaths[0] = now ? now : 1;
    if (recent < MAX_RESTARTS)
        return (uint64_t)FIRST_PAUSE << recent;
    return RESTART_MS - (now - oldest);
}

static void schedule_restart(struct worker *w)
{
    uint64_t pause = restart_pause(w);
    uv_timer_start(&w->restart, on_restart, pause, 0);
    if (pause > LONG_PAUSE) {
        err_set(&w->failure, VLMD_BUSY, "model",
                "the model's process keeps dying; it is left alone for a while");
        log_write(LOG_ERROR, "%s: %s; it is started again in %llu s", w->id, w->failure.text,
                  (unsigned long long)(pause + 999) / 1000);
        answer_waits(w, NULL, &w->failure);
    }
    w->restarts++;
}

static void on_ended(void *context, const char *how)
{
    struct worker *w = context;
    struct workers *ws = w->owner;
    w->link = NULL;
    w->granted = 0;
    w->image_cache = (struct worker_image_cache){0};
    ws->n_open--;
    if (ws->closing) {
        free_if_gone(ws);
        return;
    }
    log_write(LOG_INFO, "%s: worker ended with %s", w->id, how);
    if (w->state == WORKER_RESTARTING)
        schedule_restart(w);
    if (w->state == WORKER_UNLOADING)
        set_state(w, WORKER_UNLOADED);
    if (w->waits && w->state != WORKER_RESTARTING)
        worker_start(w);
    residency_settle(ws);
}

bool worker_is_idle(const struct worker *w)
{
    return w->n_jobs == 0 && w->n_holds == 0;
}

void worker_unload(struct worker *w, const char *why)
{
    log_write(LOG_INFO, "%s: is unloaded: %s", w->id, why);
    uv_timer_stop(&w->restart);
    w->asking = false;
    if (w->link) {
        set_state(w, WORKER_UNLOADING);
        link_kill(w->link, "its model is unloaded");
    } else {
        set_state(w, WORKER_UNLOADED);
    }
}

void worker_start(struct worker *w)
{
    struct workers *ws = w->owner;
    char threads[16], kv_tokens[16], image_cache[24];
    snprintf(threads, sizeof threads, "%d", ws->threads);
    snprintf(kv_tokens, sizeof kv_tokens, "%d", ws->kv_tokens);
    snprintf(image_cache, sizeof image_cache, "%llu", (unsigned long long)ws->image_cache);
    const char *const arguments[] = {"vlmd: worker", "role:worker", w->path,         threads,
                                     kv_tokens,      ws->isa,       ws->activations, image_cache,
                                     ws->cpus,       NULL};
    struct child_plan plan = {ws->program, arguments, IPC_BY_WORKER};
    struct link_events events = {w, on_message, on_broken, on_ended};
    struct vlmd_error err;
    w->started_ms = w->told_ms = uv_now(ws->loop);
    w->progress[0] = '\0';
    w->fraction = 0;
    w->unreachable = false;
    w->link = link_start(ws->loop, &plan, &events, &err);
    if (!w->link) {
        log_write(LOG_ERROR, "%s: %s", w->id, err.text);
        set_state(w, WORKER_RESTARTING);
        schedule_restart(w);
        return;
    }
    ws->n_open++;
    link_heartbeat(w->link, ws->silence_ms);
    set_state(w, WORKER_LOADING);
}

/* ---- the set */

static void on_tick(uv_timer_t *timer)
{
    residency_tick(timer->data);
}

int workers_add(struct workers *ws, const struct worker_model *model, struct vlmd_error *err)
{
    if (ws->n >= MAX_MODELS)
        return err_set(err, VLMD_TOO_LARGE, "model", "%d models are known already", MAX_MODELS);
    struct worker **grown = realloc(ws->worker, (ws->n + 1) * sizeof(struct worker *));
    if (!grown)
        return err_no_memory(err, sizeof *grown);
    ws->worker = grown;
    struct worker *w = calloc(1, sizeof *w);
    char *id = strdup(model->id), *path = strdup(model->path);
    if (!w || !id || !path) {
        free(w);
        free(id);
        free(path);
        return err_no_memory(err, sizeof *w);
    }
    *w = (struct worker){.owner = ws, .index = ws->n, .id = id, .path = path};
    uv_timer_init(ws->loop, &w->restart);
    w->restart.data = w;
    ws->n_open++;
    ws->worker[ws->n] = w;
    return (int)ws->n++;
}

struct workers *workers_open(uv_loop_t *loop, const struct workers_options *options,
                             const struct worker_model *models, size_t n_models,
                             struct vlmd_error *err)
{
    struct workers *ws = calloc(1, sizeof *ws);
    if (!ws) {
        err_no_memory(err, sizeof *ws);
        return NULL;
    }
    ws->loop = loop;
    ws->program = strdup(options->program);
    ws->cpus = strdup(options->cpus ? options->cpus : "");
    ws->isa = strdup(options->isa ? options->isa : "auto");
    ws->activations = strdup(options->activations ? options->activations : "auto");
    ws->threads = options->threads;
    ws->kv_tokens = options->kv_tokens;
    ws->image_cache = options->image_cache;
    ws->metrics = options->metrics;
    ws->silence_ms = options->silence_ms;
    ws->limits = options->limits;
    ws->on_demand = options->on_demand;
    uv_timer_init(loop, &ws->tick);
    ws->tick.data = ws;
    ws->n_open++;
    bool whole = ws->program && ws->cpus && ws->isa && ws->activations;
    for (size_t i = 0; i < n_models && whole; i++)
        whole = workers_add(ws, &models[i], err) >= 0;
    if (!whole) {
        workers_close(ws);
        err_no_memory(err, 64);
        return NULL;
    }
    uv_timer_start(&ws->tick, on_tick, TICK_MS, TICK_MS);
    for (size_t i = 0; i < ws->n; i++) {
        ws->worker[i]->named = true;
        worker_start(ws->worker[i]);
    }
    return ws;
}

void workers_configure(struct workers *ws, const struct workers_limits *limits)
{
    ws->limits = *limits;
}

void workers_close(struct workers *ws)
{
    if (!ws || ws->closing)
        return;
    struct vlmd_error err;
    ws->closing = true;
    err_set(&err, VLMD_BUSY, NULL, "the server is shutting down");
    uv_close((uv_handle_t *)&ws->tick, on_tick_closed);
    for (size_t i = 0; i < ws->n; i++) {
        struct worker *w = ws->worker[i];
        answer_waits(w, NULL, &err); /* between two processes nobody else would */
        uv_close((uv_handle_t *)&w->restart, on_restart_closed);
        if (w->link)
            link_kill(w->link, "the server is shutting down");
    }
}

static bool is_paused(const struct worker *w)
{
    return w->state == WORKER_RESTARTING && uv_is_active((const uv_handle_t *)&w->restart) &&
           uv_timer_get_due_in(&w->restart) > LONG_PAUSE;
}

void workers_retry(struct workers *ws, size_t index)
{
    struct worker *w = ws->worker[index];
    memset(w->deaths, 0, sizeof w->deaths);
    w->failed_ms = 0;
    if (is_paused(w)) {
        uv_timer_stop(&w->restart);
        worker_start(w);
    } else if (w->state == WORKER_FAILED && !w->link) {
        worker_start(w);
    }
}

int workers_unload(struct workers *ws, size_t index, struct vlmd_error *err)
{
    struct worker *w = ws->worker[index];
    if (w->state == WORKER_UNLOADED || w->state == WORKER_UNLOADING || w->state == WORKER_FAILED)
        return err_set(err, VLMD_INVALID, "model_path", "the model %s is not loaded", w->id);
    if (!worker_is_idle(w))
        return err_set(err, VLMD_BUSY, "model_path", "%u requests are using the model %s",
                       w->n_jobs > w->n_holds ? w->n_jobs : w->n_holds, w->id);
    worker_unload(w, "an operator wants it so");
    return 0;
}

void workers_on_change(struct workers *ws, void (*fn)(void *context), void *context)
{
    ws->on_change = fn;
    ws->change_context = context;
}

/* ---- questions */

size_t workers_count(const struct workers *ws)
{
    return ws->n;
}

int workers_find(const struct workers *ws, const char *name)
{
    for (size_t i = 0; i < ws->n; i++)
        if (strcmp(ws->worker[i]->id, name) == 0 || strcmp(ws->worker[i]->path, name) == 0)
            return (int)i;
    return -1;
}

int workers_discover(struct workers *ws, const char *name)
{
    struct model model;
    struct vlmd_error err;
    int index = workers_find(ws, name);
    if (index >= 0 || !ws->on_demand || !models_find(name, &model))
        return index;
    const struct worker_model added = {model.id, model.path};
    index = workers_add(ws, &added, &err);
    if (index < 0)
        log_write(LOG_ERROR, "%s: %s", name, err.text);
    model_free(&model);
    return index;
}

static int64_t kv_tokens_used(const struct worker *w)
{
    int64_t sum = 0;
    for (const struct worker_job *job = w->jobs; job; job = job->next)
        sum += (int64_t)job->prompt_tokens + job->tokens;
    return sum;
}

struct worker_status workers_status(const struct workers *ws, size_t index)
{
    const struct worker *w = ws->worker[index];
    return (struct worker_status){
        .id = w->id,
        .path = w->path,
        .state = w->state,
        .progress = w->progress,
        .fraction = w->fraction,
        .failure = &w->failure,
        .info = &w->info,
        .pid = w->link ? link_pid(w->link) : 0,
        .memory_bytes = w->granted,
        .named = w->named,
        .last_use = w->last_use,
        .idle_seconds = worker_is_idle(w) ? (double)(uv_now(ws->loop) - w->used_ms) / 1000 : 0,
        .jobs = w->n_jobs,
        .restarts = w->restarts,
        .load_seconds = w->load_seconds,
        .kv_tokens_used = kv_tokens_used(w),
        .image_cache = w->image_cache,
    };
}

const char *worker_state_name(enum worker_state state)
{
    static const char *const names[] = {"unloaded",   "loading",   "ready",
                                        "restarting", "unloading", "failed"};
    return names[state];
}

/* A model that failed is not tried again for everyone who asks, but after a while. */
static bool still_fails(const struct worker *w)
{
    return w->state == WORKER_FAILED && w->failed_ms > 0 &&
           uv_now(w->owner->loop) - w->failed_ms < RESTART_MS;
}

unsigned workers_retry_after(const struct workers *ws, size_t index)
{
    const struct worker *w = ws->worker[index];
    uint64_t ms = 0;
    if (is_paused(w))
        ms = uv_timer_get_due_in(&w->restart);
    else if (still_fails(w))
        ms = RESTART_MS - (uv_now(ws->loop) - w->failed_ms);
    return ms > 1000 ? (unsigned)((ms + 999) / 1000) : 1;
}

void workers_wait(struct workers *ws, size_t index, struct worker_wait *wait)
{
    struct worker *w = ws->worker[index];
    w->n_holds += !wait->holds;
    wait->holds = true;
    touch(w);
    if (w->state == WORKER_READY && !w->unreachable) {
        wait->done(wait->context, &w->info, NULL);
    } else if (still_fails(w) || is_paused(w)) {
        wait->done(wait->context, NULL, &w->failure);
    } else {
        wait->waiting = true;
        wait->next = w->waits;
        w->waits = wait;
        if (w->state == WORKER_UNLOADED || (w->state == WORKER_FAILED && !w->link))
            worker_start(w); /* else when its last process has ended */
    }
}

void workers_stop_waiting(struct workers *ws, size_t index, struct worker_wait *wait)
{
    struct worker *w = ws->worker[index];
    struct worker_wait **at = &w->waits;
    while (wait->waiting && *at && *at != wait)
        at = &(*at)->next;
    if (wait->waiting && *at)
        *at = wait->next;
    wait->waiting = false;
    if (!wait->holds)
        return;
    wait->holds = false;
    w->n_holds--;
    touch(w);
    if (worker_is_idle(w))
        residency_settle(ws);
}

/* ---- jobs */

struct worker_job *workers_generate(struct workers *ws, size_t index, struct ipc_message *generate,
                                    const struct worker_events *events, struct vlmd_error *err)
{
    struct worker *w = ws->worker[index];
    struct worker_job *job = NULL;
    if (w->state != WORKER_READY) {
        ipc_message_close_fds(generate);
        err_set(err, VLMD_BUSY, "model", "the model is being started again");
        return NULL;
    }
    job = calloc(1, sizeof *job);
    if (!job) {
        ipc_message_close_fds(generate);
        err_no_memory(err, sizeof *job);
        return NULL;
    }
    job->worker = w;
    job->id = ++ws->next_id;
    job->events = *events;
    if (generate->type == IPC_ESTIMATE)
        generate->estimate.id = job->id;
    else
        generate->generate.id = job->id;
    if (link_send(w->link, generate, err) < 0) {
        if (err->code == VLMD_IO) { /* just died: nothing was lost, another try will do */
            w->unreachable = true;
            err_set(err, VLMD_BUSY, "model", "the model is being started again");
        }
        free(job);
        return NULL;
    }
    touch(w);
    job->next = w->jobs;
    w->jobs = job;
    w->n_jobs++;
    return job;
}

void workers_let_go(struct worker_job *job)
{
    job->let_go = true;
    struct ipc_message cancel = {.type = IPC_CANCEL, .cancel = {.id = job->id}};
    if (job->worker->link)
        link_send(job->worker->link, &cancel, NULL);
}
