#include "front/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/queue_text.h"

#define PARSE_HERE      32768 /* bytes of a body that are parsed on the loop itself */
#define ESTIMATES_SLOTS 8     /* estimates that are worked on at once */

struct calls {
    uv_loop_t *loop;
    struct calls_options options;
    struct workers *workers;
    struct admission *lanes[CALL_LANES];
    unsigned running, started;
};

static struct admission *lane(const struct call *c)
{
    return c->owner->lanes[c->kind->lane];
}

/* ---- the end */

static void end(struct call *c)
{
    struct calls *calls = c->owner;
    if (c->parsing)
        return; /* the thread still reads the body; after_parse comes back here */
    if (c->conn)
        http_conn_on_gone(c->conn, NULL, NULL);
    if (c->model >= 0)
        workers_stop_waiting(calls->workers, (size_t)c->model, &c->wait);
    c->kind->release(c);
    free(c->body);
    admission_leave(lane(c), &c->ticket);
    calls->running--;
    calls->started -= c->started;
    free(c);
}

static void on_gone(void *context)
{
    struct call *c = context;
    log_write(LOG_INFO, "%s: the client went away", http_conn_request_id(c->conn));
    metrics_add(c->owner->options.metrics, METRICS_CLIENTS_GONE, 1);
    c->conn = NULL;
    end(c);
}

static void respond_error(struct http_conn *conn, const struct api_error *error, const char *more)
{
    struct buf body = {0};
    errors_append_json(&body, error);
    http_respond(conn, error->status, "application/json", more, body.data ? body.data : "",
                 body.len);
    buf_free(&body);
}

static void error_event(struct http_conn *conn, const struct api_error *error)
{
    struct buf event = {0};
    buf_append_text(&event, "data: ");
    errors_append_json(&event, error);
    buf_append_text(&event, "\n\n");
    if (!event.failed)
        http_stream_write(conn, event.data, event.len);
    buf_free(&event);
    http_stream_end(conn);
}

/* Ends the call with an error, in the stream if that has begun. `more`: header fields. */
static void refuse(struct call *c, const struct api_error *error, const char *more)
{
    struct http_conn *conn = c->conn;
    http_conn_on_gone(conn, NULL, NULL);
    if (error->status >= 500)
        log_write(LOG_WARN, "%s: %s", http_conn_request_id(conn), error->message);
    if (c->streaming)
        error_event(conn, error);
    else
        respond_error(conn, error, more);
    c->conn = NULL;
    end(c);
}

void call_fail(struct call *c, const struct vlmd_error *err)
{
    struct api_error error = errors_from(err);
    if (err->code == VLMD_NOT_FOUND && strcmp(err->field, "model") == 0)
        error.code = "model_not_found";
    refuse(c, &error, errors_fields(error.status));
}

void call_answer(struct call *c, const char *more, struct buf *json)
{
    http_conn_on_gone(c->conn, NULL, NULL);
    if (json->failed || !json->data)
        http_respond(c->conn, 503, "application/json", more, "", 0);
    else
        http_respond(c->conn, 200, "application/json", more, json->data, json->len);
    buf_free(json);
    c->conn = NULL;
    end(c);
}

bool call_lost(struct call *c, const struct vlmd_error *err)
{
    if (c->streaming || c->again) {
        call_fail(c, err);
        return false;
    }
    log_write(LOG_INFO, "%s: begins again", http_conn_request_id(c->conn));
    c->again = true;
    workers_wait(c->owner->workers, (size_t)c->model, &c->wait);
    return true;
}

/* ---- streams */

void call_stream_begin(struct call *c, const struct buf *also)
{
    struct buf fields = {0};
    c->streaming = true;
    buf_append_text(&fields, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n");
    buf_append_text(&fields, c->waited);
    if (also->len > 0)
        buf_append(&fields, also->data, also->len);
    http_stream_begin(c->conn, 200, "text/event-stream; charset=utf-8",
                      fields.failed ? NULL : fields.data);
    buf_free(&fields);
}

void call_stream_event(struct call *c, const struct buf *event)
{
    if (event->failed)
        log_write(LOG_ERROR, "out of memory: a piece of an answer is lost");
    else if (event->len > 0)
        http_stream_write(c->conn, event->data, event->len);
}

void call_stream_end(struct call *c, const struct buf *last)
{
    http_conn_on_gone(c->conn, NULL, NULL);
    call_stream_event(c, last);
    http_stream_end(c->conn);
    c->conn = NULL;
    end(c);
}

/* ---- the model */

static void on_model(void *context, const struct worker_info *info, const struct vlmd_error *err)
{
    struct call *c = context;
    struct vlmd_error unavailable;
    char more[64];
    if (!err) {
        c->kind->on_model(c, info);
        return;
    }
    err_set(&unavailable, VLMD_BUSY, "model", "the model %s is not available: %s",
            c->kind->model(c), err->text);
    const struct api_error error = errors_from(&unavailable);
    snprintf(more, sizeof more, "Retry-After: %u\r\n",
             workers_retry_after(c->owner->workers, (size_t)c->model));
    refuse(c, &error, more);
}

void call_want_model(struct call *c)
{
    c->wait = (struct worker_wait){.context = c, .done = on_model};
    workers_wait(c->owner->workers, (size_t)c->model, &c->wait);
}

/* ---- the queue */

static void on_turn(void *context)
{
    struct call *c = context;
    queue_text_waited(c->waited, lane(c), &c->ticket);
    c->kind->on_turn(c);
}

static void on_late(void *context, bool working)
{
    struct call *c = context;
    struct queue_refusal late;
    if (!working)
        metrics_add(c->owner->options.metrics, METRICS_QUEUE_TIMEOUTS, 1);
    queue_text_late(&late, lane(c), &c->ticket, working);
    refuse(c, &late.error, late.fields);
}

static void enter_queue(struct call *c)
{
    struct queue_refusal full;
    c->ticket.context = c;
    c->ticket.on_turn = on_turn;
    c->ticket.on_late = on_late;
    enum queue_state state = admission_enter(lane(c), &c->ticket);
    if (state == QUEUE_WORKING)
        on_turn(c);
    if (state != QUEUE_OUT)
        return;
    metrics_add(c->owner->options.metrics, METRICS_QUEUE_REFUSED, 1);
    queue_text_full(&full, lane(c));
    refuse(c, &full.error, full.fields);
}

/* ---- parsing */

static void on_parsed(struct call *c)
{
    struct vlmd_error err;
    if (c->parse_status < 0) {
        call_fail(c, &c->parse_error);
        return;
    }
    const char *model = c->kind->model(c);
    c->model = workers_discover(c->owner->workers, model);
    if (c->model < 0) {
        err_set(&err, VLMD_NOT_FOUND, "model",
                "the model %s does not exist here; GET /v1/models lists those that do", model);
        call_fail(c, &err);
        return;
    }
    c->kind->parsed(c);
    enter_queue(c);
}

static void parse(uv_work_t *work)
{
    struct call *c = work->data;
    c->parse_status = c->kind->parse(c, c->body, c->body_len, &c->parse_error);
}

static void after_parse(uv_work_t *work, int status)
{
    struct call *c = work->data;
    (void)status;
    c->parsing = false;
    free(c->body);
    c->body = NULL;
    if (c->conn)
        on_parsed(c);
    else
        end(c);
}

static void refuse_busy(struct calls *calls, const struct call_kind *kind, struct http_conn *conn)
{
    struct vlmd_error err;
    char more[64];
    err_set(&err, VLMD_BUSY, NULL, "%u requests are being worked on; try again later",
            calls->running);
    struct api_error error = errors_from(&err);
    metrics_add(calls->options.metrics, METRICS_QUEUE_REFUSED, 1);
    snprintf(more, sizeof more, "Retry-After: %u\r\n",
             admission_retry_after(calls->lanes[kind->lane]));
    respond_error(conn, &error, more);
}

void call_begin(struct calls *calls, const struct call_kind *kind, void *context,
                struct http_conn *conn, const struct caller *caller)
{
    struct call *c = NULL;
    if (calls->running < calls->options.max_requests)
        c = calloc(1, kind->size);
    if (!c) {
        refuse_busy(calls, kind, conn);
        return;
    }
    calls->running++;
    c->owner = calls;
    c->kind = kind;
    c->conn = conn;
    c->ticket.queue.priority = caller->priority;
    c->ticket.queue.owner = caller->owner;
    c->images_of = caller->images_of;
    c->allowance = caller->images;
    c->model = -1;
    c->began = uv_now(calls->loop);
    c->work.data = c;
    random_id(c->id, kind->id_prefix);
    kind->begin(c, context);
    c->body = http_conn_take_body(conn, &c->body_len);
    http_conn_on_gone(conn, on_gone, c);
    if (c->body_len > PARSE_HERE) {
        c->parsing = uv_queue_work(calls->loop, &c->work, parse, after_parse) == 0;
        if (c->parsing)
            return;
    }
    parse(&c->work);
    after_parse(&c->work, 0);
}

/* ---- what the kinds ask */

uv_loop_t *call_loop(const struct call *c)
{
    return c->owner->loop;
}

struct workers *call_workers(const struct call *c)
{
    return c->owner->workers;
}

struct metrics *call_metrics(const struct call *c)
{
    return c->owner->options.metrics;
}

double call_seconds_since(const struct call *c, uint64_t ms)
{
    return (double)(uv_now(c->owner->loop) - ms) / 1000;
}

double call_waited(const struct call *c)
{
    return (double)admission_waited(lane(c), &c->ticket) / 1000;
}

bool call_started(struct call *c)
{
    bool first = !c->started;
    c->owner->started += first;
    c->started = true;
    return first;
}

/* ---- life */

static struct queue_limits limits_of(const struct calls_options *options, enum call_lane which)
{
    struct queue_limits limits = options->queue;
    if (which == CALL_ESTIMATES && limits.slots > ESTIMATES_SLOTS)
        limits.slots = ESTIMATES_SLOTS;
    return limits;
}

int calls_open(struct calls **out, uv_loop_t *loop, const struct calls_options *options,
               struct workers *workers, struct vlmd_error *err)
{
    struct calls *calls = *out = calloc(1, sizeof *calls);
    if (!calls)
        return err_no_memory(err, sizeof *calls);
    calls->loop = loop;
    calls->options = *options;
    calls->workers = workers;
    for (int i = 0; i < CALL_LANES; i++) {
        struct queue_limits limits = limits_of(options, i);
        calls->lanes[i] = admission_open(loop, &limits);
        if (!calls->lanes[i])
            return err_no_memory(err, sizeof limits);
    }
    return 0;
}

void calls_configure(struct calls *calls, const struct calls_options *options)
{
    calls->options = *options;
    for (int i = 0; i < CALL_LANES; i++) {
        struct queue_limits limits = limits_of(options, i);
        admission_configure(calls->lanes[i], &limits);
    }
}

void calls_stop(struct calls *calls)
{
    for (int i = 0; calls && i < CALL_LANES; i++)
        if (calls->lanes[i])
            admission_stop(calls->lanes[i]);
}

void calls_close(struct calls *calls)
{
    for (int i = 0; calls && i < CALL_LANES; i++)
        if (calls->lanes[i])
            admission_close(calls->lanes[i]);
    free(calls);
}

unsigned calls_running(const struct calls *calls)
{
    return calls->running;
}

unsigned calls_waiting(const struct calls *calls)
{
    return calls->running - calls->started;
}

unsigned calls_most(const struct calls *calls)
{
    return calls->options.max_requests;
}

struct queue_counts calls_queue(const struct calls *calls)
{
    return admission_counts(calls->lanes[CALL_COMPLETIONS]);
}
