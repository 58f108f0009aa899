#include "front/fetchers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "front/random_id.h"
#include "ipc/shared_memory.h"

#define MAX_AT_ONCE  64 /* fetches; more wait */
#define MAX_FOLDERS  16
#define MAX_FAILURES 3 /* starts in a row, before what waits is given up */
#define MAX_TRIES    3 /* fetchers that one fetch may lose */
#define GRACE_MS     5000
#define SILENCE_MS   10000
#define LOOK_MS      1000
#define MAX_PAUSE_MS 5000

struct fetch_job {
    struct fetchers *owner;
    uint64_t id;
    char *url;
    size_t max_bytes;
    char request_id[RANDOM_ID_BYTES];
    unsigned tries;
    uint64_t sent_ms; /* 0: waits */
    fetched_fn done;
    void *context;
    struct fetch_job *next;
};

struct fetchers {
    uv_loop_t *loop;
    char *program, *ports, *blocks;
    char redirects[12], seconds[12];
    char *folders[MAX_FOLDERS];
    size_t n_folders;
    unsigned timeout_ms;
    bool sandbox;

    struct link *link; /* NULL while there is no process */
    bool ready, sandboxed, refused, closing;
    unsigned failures; /* in a row */
    unsigned restarts;
    uv_timer_t restart, watch;
    size_t n_open; /* timers and the link */

    uint64_t next_id;
    struct fetch_job *first; /* in the order of arrival */
    size_t n_jobs, n_sent;
    uint64_t fetched, failed;
};

static void start(struct fetchers *fs);
static void feed(struct fetchers *fs);

/* ---- jobs */

static void job_free(struct fetch_job *job)
{
    free(job->url);
    free(job);
}

static void unlink_job(struct fetch_job *job)
{
    struct fetchers *fs = job->owner;
    struct fetch_job **at = &fs->first;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    fs->n_jobs--;
    fs->n_sent -= job->sent_ms != 0;
    if (fs->n_sent == 0)
        uv_timer_stop(&fs->watch);
}

static struct fetch_job *find(const struct fetchers *fs, uint64_t id)
{
    struct fetch_job *job = fs->first;
    while (job && (job->id != id || job->sent_ms == 0))
        job = job->next;
    return job;
}

/* Ends the job with one call, which may begin others or let them go. */
static void finish(struct fetch_job *job, int fd, size_t len, const struct vlmd_error *err)
{
    struct fetchers *fs = job->owner;
    unlink_job(job);
    if (err)
        fs->failed++;
    else
        fs->fetched++;
    job->done(job->context, fd, len, err);
    job_free(job);
}

static void fail_all(struct fetchers *fs, const struct vlmd_error *err)
{
    while (fs->first)
        finish(fs->first, -1, 0, err);
}

/* ---- messages */

static void on_fetched(struct fetchers *fs, struct ipc_fetched *m)
{
    struct fetch_job *job = find(fs, m->id);
    struct vlmd_error err;
    if (!job)
        return;
    fs->failures = 0;
    if (m->n_bytes == 0 || m->n_bytes > job->max_bytes ||
        shared_memory_seal(m->bytes, (size_t)m->n_bytes, &err) < 0) {
        err_set(&err, VLMD_INTERNAL, NULL, "the fetcher answered nonsense");
        finish(job, -1, 0, &err);
        link_kill(fs->link, err.text);
        return;
    }
    int fd = m->bytes;
    m->bytes = -1;
    finish(job, fd, (size_t)m->n_bytes, NULL);
}

/* Whatever the network or a file system said, the client hears the same, so that nobody learns from
 * here what there is behind an address. */
static void say_generally(struct vlmd_error *err, const struct fetchers *fs,
                          const struct fetch_job *job)
{
    if (strncasecmp(job->url, "http", 4) == 0)
        err_set(err, VLMD_INVALID, NULL,
                "the image could not be fetched: it must be at a public address that answers with "
                "at most %zu bytes within %s s",
                job->max_bytes, fs->seconds);
    else
        err_set(err, VLMD_INVALID, NULL,
                "the image could not be read: it must be a file of at most %zu bytes in a folder "
                "that this server names",
                job->max_bytes);
}

static void on_fetch_error(struct fetchers *fs, const struct ipc_fetch_error *m)
{
    struct fetch_job *job = find(fs, m->id);
    struct vlmd_error err;
    if (!job)
        return;
    fs->failures = 0;
    log_write(LOG_INFO, "%s: an image was not fetched: %s", job->request_id, m->text.data);
    if (m->tell)
        err_set(&err, m->code == VLMD_OK ? VLMD_INTERNAL : m->code, NULL, "%s", m->text.data);
    else
        say_generally(&err, fs, job);
    finish(job, -1, 0, &err);
}

static void on_ready(struct fetchers *fs, uint8_t sandbox)
{
    struct vlmd_error err;
    fs->sandboxed = sandbox == IPC_SANDBOX_ON;
    fs->ready = sandbox != IPC_SANDBOX_REFUSED;
    link_heartbeat(fs->link, SILENCE_MS);
    if (fs->ready)
        return;
    fs->refused = true;
    err_set(&err, VLMD_INTERNAL, NULL,
            "this system refuses the fetcher's sandbox (--no-sandbox fetches images without one)");
    log_write(LOG_ERROR, "no fetching: %s", err.text);
    fail_all(fs, &err);
}

static void on_message(void *context, struct ipc_message *m)
{
    struct fetchers *fs = context;
    if (m->type == IPC_HELLO) {
        struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
        link_send(fs->link, &welcome, NULL);
        return;
    }
    if (m->type == IPC_FETCHER_READY)
        on_ready(fs, m->fetcher_ready.sandbox);
    else if (m->type == IPC_FETCHED)
        on_fetched(fs, &m->fetched);
    else if (m->type == IPC_FETCH_ERROR)
        on_fetch_error(fs, &m->fetch_error);
    feed(fs);
}

/* ---- handing out work */

static void on_watch(uv_timer_t *timer)
{
    struct fetchers *fs = timer->data;
    uint64_t now = uv_now(fs->loop);
    for (const struct fetch_job *job = fs->first; job; job = job->next) {
        if (job->sent_ms != 0 && now - job->sent_ms > fs->timeout_ms + GRACE_MS && fs->link) {
            link_kill(fs->link, "it took too long over an image");
            return;
        }
    }
}

static void send_job(struct fetchers *fs, struct fetch_job *job)
{
    struct ipc_message m = {.type = IPC_FETCH};
    struct vlmd_error err;
    m.fetch.id = job->id;
    m.fetch.url = ipc_string(job->url);
    m.fetch.max_bytes = job->max_bytes;
    uint64_t now = uv_now(fs->loop);
    job->sent_ms = now ? now : 1;
    fs->n_sent++;
    if (!uv_is_active((uv_handle_t *)&fs->watch))
        uv_timer_start(&fs->watch, on_watch, LOOK_MS, LOOK_MS);
    if (link_send(fs->link, &m, &err) < 0)
        link_kill(fs->link, err.text); /* the job is tried again, or fails with it, from the loop */
}

static void feed(struct fetchers *fs)
{
    if (fs->closing || !fs->first)
        return;
    if (!fs->link && !uv_is_active((uv_handle_t *)&fs->restart))
        start(fs);
    for (struct fetch_job *job = fs->first; job && fs->ready; job = job->next)
        if (job->sent_ms == 0 && fs->n_sent < MAX_AT_ONCE)
            send_job(fs, job);
}

/* ---- life and death */

static void free_if_gone(struct fetchers *fs)
{
    if (!fs->closing || fs->n_open > 0)
        return;
    free(fs->program);
    free(fs->ports);
    free(fs->blocks);
    for (size_t i = 0; i < fs->n_folders; i++)
        free(fs->folders[i]);
    free(fs);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct fetchers *fs = handle->data;
    fs->n_open--;
    free_if_gone(fs);
}

/* The fetches that the dead process had wait again; those that have lost several fail. */
static void take_back(struct fetchers *fs, const struct vlmd_error *err)
{
    struct fetch_job *job = fs->first;
    while (job) {
        struct fetch_job *next = job->next;
        if (job->sent_ms != 0) {
            job->sent_ms = 0;
            fs->n_sent--;
            job->tries++;
        }
        job = next;
    }
    uv_timer_stop(&fs->watch);
    for (job = fs->first; job;) { /* from the start after each call: it may let others go */
        bool lost = job->tries >= MAX_TRIES;
        struct fetch_job *next = lost ? NULL : job->next;
        if (lost) {
            finish(job, -1, 0, err);
            next = fs->first;
        }
        job = next;
    }
}

static void on_broken(void *context, const char *why)
{
    struct fetchers *fs = context;
    struct vlmd_error err;
    if (!fs->closing)
        log_write(LOG_WARN, "fetcher %ld is lost: %s", (long)link_pid(fs->link), why);
    if (fs->ready)
        fs->failures = 0;
    fs->ready = false;
    err_set(&err, VLMD_INTERNAL, NULL, "the image could not be fetched: its fetcher was lost");
    take_back(fs, &err);
    if (fs->failures >= MAX_FAILURES)
        fail_all(fs, &err);
}

static void on_restart(uv_timer_t *timer)
{
    feed(timer->data);
}

/* Comes back when somebody wants it, after a pause that grows. */
static void schedule_restart(struct fetchers *fs)
{
    uint64_t pause = 20ull << (fs->failures < 8 ? fs->failures : 8);
    fs->failures++;
    fs->restarts++;
    uv_timer_start(&fs->restart, on_restart, pause < MAX_PAUSE_MS ? pause : MAX_PAUSE_MS, 0);
}

static void on_ended(void *context, const char *how)
{
    struct fetchers *fs = context;
    fs->link = NULL;
    fs->n_open--;
    if (fs->closing) {
        free_if_gone(fs);
        return;
    }
    log_write(LOG_INFO, "fetcher ended with %s", how);
    schedule_restart(fs);
}

static void start(struct fetchers *fs)
{
    const char *arguments[8 + MAX_FOLDERS] = {
        "vlmd: fetcher", "role:fetcher", fs->sandbox ? "sandbox" : "no-sandbox",
        fs->ports,       fs->redirects,  fs->seconds,
        fs->blocks,
    };
    for (size_t i = 0; i < fs->n_folders; i++)
        arguments[7 + i] = fs->folders[i];
    struct child_plan plan = {fs->program, arguments, IPC_BY_FETCHER};
    struct link_events events = {fs, on_message, on_broken, on_ended};
    struct vlmd_error err;
    fs->link = link_start(fs->loop, &plan, &events, &err);
    if (fs->link) {
        fs->n_open++;
        return;
    }
    log_write(LOG_ERROR, "fetcher: %s", err.text);
    schedule_restart(fs);
}

static int copy_options(struct fetchers *fs, const struct fetchers_options *o)
{
    fs->program = strdup(o->program);
    fs->ports = strdup(o->ports);
    fs->blocks = strdup(o->blocks);
    if (!fs->program || !fs->ports || !fs->blocks || o->n_folders > MAX_FOLDERS)
        return -1;
    for (; fs->n_folders < o->n_folders; fs->n_folders++)
        if (!(fs->folders[fs->n_folders] = strdup(o->folders[fs->n_folders])))
            return -1;
    snprintf(fs->redirects, sizeof fs->redirects, "%u", o->redirects);
    snprintf(fs->seconds, sizeof fs->seconds, "%u", o->seconds);
    fs->timeout_ms = o->seconds * 1000;
    fs->sandbox = o->sandbox;
    return 0;
}

struct fetchers *fetchers_open(uv_loop_t *loop, const struct fetchers_options *options,
                               struct vlmd_error *err)
{
    struct fetchers *fs = calloc(1, sizeof *fs);
    if (!fs || copy_options(fs, options) < 0) {
        err_no_memory(err, sizeof *fs);
        if (fs) {
            fs->closing = true;
            free_if_gone(fs);
        }
        return NULL;
    }
    fs->loop = loop;
    uv_timer_init(loop, &fs->restart);
    uv_timer_init(loop, &fs->watch);
    fs->restart.data = fs->watch.data = fs;
    fs->n_open = 2;
    return fs;
}

void fetchers_close(struct fetchers *fs)
{
    struct vlmd_error err;
    if (!fs || fs->closing)
        return;
    fs->closing = true;
    err_set(&err, VLMD_INTERNAL, NULL, "the server is shutting down");
    fail_all(fs, &err);
    uv_close((uv_handle_t *)&fs->restart, on_timer_closed);
    uv_close((uv_handle_t *)&fs->watch, on_timer_closed);
    if (fs->link)
        link_kill(fs->link, err.text);
}

/* ---- orders */

struct fetch_job *fetchers_fetch(struct fetchers *fs, const struct fetch_order *order,
                                 fetched_fn done, void *context, struct vlmd_error *err)
{
    struct fetch_job *job = calloc(1, sizeof *job);
    if (!job || !(job->url = strdup(order->url))) {
        free(job);
        err_no_memory(err, sizeof *job);
        return NULL;
    }
    if (fs->closing || fs->refused) {
        job_free(job);
        err_set(err, VLMD_INTERNAL, NULL, "images cannot be fetched now");
        return NULL;
    }
    job->owner = fs;
    job->id = ++fs->next_id;
    job->max_bytes = order->max_bytes;
    job->done = done;
    job->context = context;
    snprintf(job->request_id, sizeof job->request_id, "%s", order->request_id);
    struct fetch_job **last = &fs->first;
    while (*last)
        last = &(*last)->next;
    *last = job;
    fs->n_jobs++;
    feed(fs);
    return job;
}

void fetchers_let_go(struct fetch_job *job)
{
    struct fetchers *fs = job->owner;
    if (job->sent_ms != 0 && fs->ready) {
        struct ipc_message m = {.type = IPC_CANCEL, .cancel = {job->id}};
        link_send(fs->link, &m, NULL);
    }
    unlink_job(job);
    job_free(job);
    feed(fs);
}

struct fetchers_status fetchers_status(const struct fetchers *fs)
{
    return (struct fetchers_status){
        .ready = fs->ready,
        .sandboxed = fs->sandboxed,
        .restarts = fs->restarts,
        .fetching = fs->n_sent,
        .queued = fs->n_jobs - fs->n_sent,
        .fetched = fs->fetched,
        .failed = fs->failed,
    };
}

pid_t fetchers_pid(const struct fetchers *fs)
{
    return fs->link ? link_pid(fs->link) : 0;
}
