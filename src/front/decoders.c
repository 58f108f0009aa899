#include "front/decoders.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "ipc/shared_memory.h"

#define MAX_PAUSE_MS 5000
#define MAX_FAILURES 3    /* of one decoder in a row, before the waiting images are given up */
#define MAX_TRIES    3    /* decoders that one image may lose */
#define SILENCE_MS   5000 /* of a decoder without work, before it is taken for wedged */
#define LET_GO_MS    500  /* for an image that nobody waits for any more */
#define NO_SANDBOX                                                                                 \
    "this system refuses the decoder's sandbox (--no-sandbox decodes images without one)"

struct decode_job {
    struct ipc_decode order; /* with its descriptor: a second decoder may need it */
    unsigned tries;
    decoded_fn done; /* NULL: let go */
    void *context;
    struct decoder *decoder; /* that works on it; NULL: it waits */
    struct decode_job *next;
};

struct decoder {
    struct decoders *owner;
    struct link *link;
    bool ready;
    bool was_ready; /* since its start */
    bool sandboxed;
    bool unwanted;          /* killed for its image: it was too slow, or nobody wants it any more */
    struct decode_job *job; /* being worked on */
    unsigned failures;      /* in a row */
    uv_timer_t timer;       /* the job's deadline, or the restart */
};

struct decoders {
    uv_loop_t *loop;
    char *program;
    unsigned timeout_ms;
    bool sandbox;
    bool unsafe; /* a sandbox was wanted and refused */
    bool closing;
    size_t n_open;
    uint64_t next_id;
    unsigned restarts;
    struct decode_job *first, **last;
    size_t n_queued;
    unsigned n;
    struct decoder decoder[];
};

static void start(struct decoder *d);
static void feed(struct decoders *ds);

static void free_if_gone(struct decoders *ds)
{
    if (!ds->closing || ds->n_open > 0)
        return;
    free(ds->program);
    free(ds);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct decoder *d = handle->data;
    struct decoders *ds = d->owner;
    ds->n_open--;
    free_if_gone(ds);
}

/* Ends the job with one call, unless it was let go. */
static void finish(struct decode_job *job, struct decode_result *result,
                   const struct vlmd_error *err)
{
    if (job->order.encoded >= 0)
        close(job->order.encoded);
    if (job->done)
        job->done(job->context, result, err);
    else if (result && result->image.rgb >= 0)
        close(result->image.rgb);
    free(job);
}

static struct decode_job *take_first(struct decoders *ds)
{
    struct decode_job *job = ds->first;
    ds->first = job->next;
    if (!ds->first)
        ds->last = &ds->first;
    ds->n_queued--;
    return job;
}

/* The decoder has its hands free again. */
static struct decode_job *take_from(struct decoder *d)
{
    struct decode_job *job = d->job;
    d->job = NULL;
    uv_timer_stop(&d->timer);
    link_heartbeat(d->link, SILENCE_MS);
    return job;
}

static void fail_queue(struct decoders *ds, const struct vlmd_error *err)
{
    while (ds->first)
        finish(take_first(ds), NULL, err);
}

/* ---- messages */

/* A decoder has seen hostile bytes: nothing it says is believed without a look. */
static int check_result(const struct decode_job *job, const struct decode_result *result,
                        struct vlmd_error *err)
{
    const struct ipc_image *image = &result->image;
    size_t bytes;
    if (image->width == 0 || image->height == 0 || image->orig_width == 0 ||
        image->orig_height == 0 || result->has_pixels == job->order.header_only ||
        !checked_mul3((size_t)image->width, (size_t)image->height, 3, &bytes) ||
        (uint64_t)image->width * (uint64_t)image->height > 4 * job->order.max_pixels)
        return err_set(err, VLMD_INTERNAL, NULL, "the decoder answered nonsense");
    if (result->has_pixels && shared_memory_fix_size(image->rgb, bytes, err) < 0) {
        err->code = VLMD_INTERNAL;
        return -1;
    }
    return 0;
}

static void on_result(struct decoder *d, uint64_t id, struct decode_result *result)
{
    struct decode_job *job = d->job;
    struct vlmd_error err;
    if (!job || job->order.id != id) {
        if (result->image.rgb >= 0)
            close(result->image.rgb);
        return;
    }
    take_from(d);
    d->failures = 0;
    if (check_result(job, result, &err) == 0) {
        finish(job, result, NULL);
        return;
    }
    if (result->image.rgb >= 0)
        close(result->image.rgb);
    finish(job, NULL, &err);
    link_kill(d->link, err.text);
}

static void on_decoded(struct decoder *d, struct ipc_decoded *m)
{
    struct decode_result result = {.image = m->image, .has_pixels = true, .changes = m->changes};
    snprintf(result.format, sizeof result.format, "%s", m->format.data);
    m->image.rgb = -1;
    on_result(d, m->id, &result);
}

static void on_probed(struct decoder *d, const struct ipc_probed *m)
{
    struct decode_result result = {
        .image = {.width = m->width,
                  .height = m->height,
                  .orig_width = m->orig_width,
                  .orig_height = m->orig_height,
                  .rgb = -1},
        .changes = m->changes,
    };
    snprintf(result.format, sizeof result.format, "%s", m->format.data);
    on_result(d, m->id, &result);
}

static void on_decode_error(struct decoder *d, const struct ipc_decode_error *m)
{
    struct decode_job *job = d->job;
    if (!job || job->order.id != m->id)
        return;
    take_from(d);
    d->failures = 0;
    struct vlmd_error err;
    err_set(&err, m->code == VLMD_OK ? VLMD_INTERNAL : m->code, m->field.data, "%s", m->text.data);
    finish(job, NULL, &err);
}

static void on_ready(struct decoder *d, uint8_t sandbox)
{
    struct vlmd_error err;
    d->sandboxed = sandbox == IPC_SANDBOX_ON;
    d->ready = sandbox != IPC_SANDBOX_REFUSED;
    d->was_ready = true;
    if (d->ready)
        return;
    if (!d->owner->unsafe)
        log_write(LOG_ERROR, "no images: %s", NO_SANDBOX);
    d->owner->unsafe = true;
    err_set(&err, VLMD_INTERNAL, NULL, "%s", NO_SANDBOX);
    fail_queue(d->owner, &err);
}

static void on_message(void *context, struct ipc_message *m)
{
    struct decoder *d = context;
    if (m->type == IPC_HELLO) {
        struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
        link_send(d->link, &welcome, NULL);
        return;
    }
    if (m->type == IPC_DECODER_READY) {
        on_ready(d, m->decoder_ready.sandbox);
    } else if (m->type == IPC_DECODED) {
        on_decoded(d, &m->decoded);
    } else if (m->type == IPC_PROBED) {
        on_probed(d, &m->probed);
    } else if (m->type == IPC_DECODE_ERROR) {
        on_decode_error(d, &m->decode_error);
    }
    feed(d->owner);
}

/* ---- handing out work */

static void on_deadline(uv_timer_t *timer)
{
    struct decoder *d = timer->data;
    if (!d->job || !d->link)
        return;
    d->unwanted = true;
    link_kill(d->link, d->job->done ? "it took too long over an image"
                                    : "nobody waits for its image any more");
}

static void give(struct decoder *d, struct decode_job *job)
{
    struct ipc_message m = {.type = IPC_DECODE, .decode = job->order};
    struct vlmd_error err;
    m.decode.encoded = fcntl(job->order.encoded, F_DUPFD_CLOEXEC, 0);
    d->job = job;
    job->decoder = d;
    link_heartbeat(d->link, 0); /* it answers nothing while it decodes: its deadline holds */
    uv_timer_start(&d->timer, on_deadline, d->owner->timeout_ms, 0);
    if (link_send(d->link, &m, &err) < 0)
        link_kill(d->link, err.text); /* the job fails with it, from the loop */
}

static void feed(struct decoders *ds)
{
    for (unsigned i = 0; i < ds->n && !ds->closing; i++) {
        struct decoder *d = &ds->decoder[i];
        while (ds->first && d->ready && !d->job) {
            struct decode_job *job = take_first(ds);
            if (job->done)
                give(d, job);
            else
                finish(job, NULL, NULL);
        }
    }
}

/* ---- life and death */

/* An image whose decoder was killed by something else deserves another (and one more: two may die
 * at once); one that kills decoders is given up. */
static void retry_or_fail(struct decoder *d, struct decode_job *job, const struct vlmd_error *err)
{
    if (++job->tries == MAX_TRIES || d->unwanted || d->owner->closing || !job->done) {
        finish(job, NULL, err);
        return;
    }
    job->decoder = NULL;
    job->next = d->owner->first;
    if (!job->next)
        d->owner->last = &job->next;
    d->owner->first = job;
    d->owner->n_queued++;
}

/* When no decoder comes up, what waits is not kept waiting. */
static void give_up_if_hopeless(struct decoders *ds)
{
    struct vlmd_error err;
    for (unsigned i = 0; i < ds->n; i++)
        if (ds->decoder[i].was_ready || ds->decoder[i].failures < MAX_FAILURES)
            return;
    err_set(&err, VLMD_INTERNAL, NULL, "the image could not be decoded: no decoder can be started");
    fail_queue(ds, &err);
}

static void on_broken(void *context, const char *why)
{
    struct decoder *d = context;
    struct decode_job *job = d->job;
    struct vlmd_error err;
    if (!d->owner->closing)
        log_write(LOG_WARN, "decoder %ld is lost: %s", (long)link_pid(d->link), why);
    d->ready = false;
    d->job = NULL;
    uv_timer_stop(&d->timer);
    err_set(&err, VLMD_INTERNAL, NULL, "the image could not be decoded: its decoder was lost");
    if (job)
        retry_or_fail(d, job, &err);
    give_up_if_hopeless(d->owner);
    feed(d->owner);
}

static void on_restart(uv_timer_t *timer)
{
    start(timer->data);
}

static void schedule_restart(struct decoder *d)
{
    uint64_t pause = 20ull << (d->failures < 8 ? d->failures : 8);
    d->failures += !d->unwanted;
    d->owner->restarts++;
    uv_timer_start(&d->timer, on_restart, pause < MAX_PAUSE_MS ? pause : MAX_PAUSE_MS, 0);
}

static void on_ended(void *context, const char *how)
{
    struct decoder *d = context;
    struct decoders *ds = d->owner;
    d->link = NULL;
    ds->n_open--;
    if (ds->closing) {
        free_if_gone(ds);
        return;
    }
    log_write(LOG_INFO, "decoder ended with %s", how);
    schedule_restart(d);
}

static void start(struct decoder *d)
{
    struct decoders *ds = d->owner;
    const char *const arguments[] = {"vlmd: decoder", "role:decoder",
                                     ds->sandbox ? "sandbox" : "no-sandbox", NULL};
    struct child_plan plan = {ds->program, arguments, IPC_BY_DECODER};
    struct link_events events = {d, on_message, on_broken, on_ended};
    struct vlmd_error err;
    d->was_ready = d->unwanted = false;
    d->link = link_start(ds->loop, &plan, &events, &err);
    if (d->link) {
        ds->n_open++;
        link_heartbeat(d->link, SILENCE_MS);
        return;
    }
    log_write(LOG_ERROR, "decoder: %s", err.text);
    schedule_restart(d);
    give_up_if_hopeless(ds);
}

struct decoders *decoders_open(uv_loop_t *loop, const struct decoders_options *options,
                               struct vlmd_error *err)
{
    struct decoders *ds = calloc(1, sizeof *ds + options->processes * sizeof *ds->decoder);
    char *program = strdup(options->program);
    if (!ds || !program) {
        free(ds);
        free(program);
        err_no_memory(err, sizeof *ds);
        return NULL;
    }
    ds->loop = loop;
    ds->program = program;
    ds->timeout_ms = options->timeout_ms;
    ds->sandbox = options->sandbox;
    ds->last = &ds->first;
    ds->n = options->processes;
    for (unsigned i = 0; i < ds->n; i++) {
        struct decoder *d = &ds->decoder[i];
        d->owner = ds;
        uv_timer_init(loop, &d->timer);
        d->timer.data = d;
        ds->n_open++;
        start(d);
    }
    return ds;
}

void decoders_close(struct decoders *ds)
{
    struct vlmd_error err;
    if (!ds || ds->closing)
        return;
    ds->closing = true;
    err_set(&err, VLMD_INTERNAL, NULL, "the server is shutting down");
    fail_queue(ds, &err);
    for (unsigned i = 0; i < ds->n; i++) {
        struct decoder *d = &ds->decoder[i];
        uv_close((uv_handle_t *)&d->timer, on_timer_closed);
        if (d->link)
            link_kill(d->link, "the server is shutting down");
    }
}

/* ---- orders */

struct decode_job *decoders_decode(struct decoders *ds, const struct decode_order *order,
                                   decoded_fn done, void *context, struct vlmd_error *err)
{
    struct decode_job *job = ds->unsafe ? NULL : calloc(1, sizeof *job);
    if (!job) {
        close(order->encoded);
        if (ds->unsafe)
            err_set(err, VLMD_INTERNAL, NULL, "%s", NO_SANDBOX);
        else
            err_no_memory(err, sizeof *job);
        return NULL;
    }
    job->order = (struct ipc_decode){
        .id = ++ds->next_id,
        .factor = order->factor,
        .min_pixels = order->min_pixels,
        .max_pixels = order->max_pixels,
        .max_side = order->max_side,
        .header_only = order->header_only,
        .to_srgb = order->to_srgb,
        .limit_side = order->limit_side,
        .limit_pixels = order->limit_pixels,
        .n_bytes = order->len,
        .encoded = order->encoded,
    };
    job->done = done;
    job->context = context;
    *ds->last = job;
    ds->last = &job->next;
    ds->n_queued++;
    feed(ds);
    return job;
}

void decoders_let_go(struct decode_job *job)
{
    struct decoder *d = job->decoder;
    job->done = NULL;
    if (d && uv_timer_get_due_in(&d->timer) > LET_GO_MS)
        uv_timer_start(&d->timer, on_deadline, LET_GO_MS, 0);
}

struct decoders_status decoders_status(const struct decoders *ds)
{
    struct decoders_status status = {
        .processes = ds->n, .restarts = ds->restarts, .sandboxed = true, .queued = ds->n_queued};
    for (unsigned i = 0; i < ds->n; i++) {
        status.ready += ds->decoder[i].ready;
        status.sandboxed = status.sandboxed && (!ds->decoder[i].ready || ds->decoder[i].sandboxed);
    }
    return status;
}

pid_t decoders_pid(const struct decoders *ds, unsigned i)
{
    return i < ds->n && ds->decoder[i].link ? link_pid(ds->decoder[i].link) : 0;
}
