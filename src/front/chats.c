#include "front/chats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "front/admission.h"
#include "front/boxes.h"
#include "front/chat_fetch.h"
#include "front/chat_images.h"
#include "front/chat_log.h"
#include "front/chat_message.h"
#include "front/chat_text.h"
#include "front/errors.h"
#include "front/estimate.h"
#include "front/queue_text.h"
#include "front/random_id.h"
#include "front/receipt.h"

#define PARSE_HERE 32768 /* bytes of a body that are parsed on the loop itself */

struct chats {
    uv_loop_t *loop;
    struct chats_options options;
    struct workers *workers;
    struct decoders *decoders;
    struct fetchers *fetchers;
    struct admission *admission;
    unsigned running, started;
};

struct chat {
    struct chats *owner;
    struct http_conn *conn; /* NULL once the client is gone or answered */
    struct chat_request request;
    struct chat_limits limits; /* those of its time: the parsing thread reads them */
    int model;
    uint64_t began; /* ms of the loop */
    bool started;   /* its prompt is being worked on */
    bool spoke;     /* the first text has come */

    uv_work_t work; /* parsing beside the loop */
    bool parsing;
    char *body;
    size_t body_len;
    int parse_status;
    struct vlmd_error parse_error;

    uint64_t images_of;
    uint64_t pixel_budget; /* of all images; 0: without end */
    struct admission_ticket ticket;
    char waited[80]; /* header fields, of an answer that had to wait for its turn */

    struct chat_fetch fetch;
    struct worker_wait wait;
    struct worker_info info; /* of the model, once it is there */
    struct chat_images images;

    struct worker_job *job;
    bool estimating; /* says what it would cost, and generates nothing */
    bool again;      /* its worker died before anything was sent, and it was begun once more */
    bool streaming;  /* the head was sent */
    struct receipts receipts;
    struct buf extension; /* their JSON, once the answer begins */
    struct boxes boxes;
    struct buf text;
    char id[RANDOM_ID_BYTES];
    struct chat_head head;
    struct chat_delta delta;
};

static void on_parsed(struct chat *c);

/* ---- the end */

static void chat_free(struct chat *c)
{
    if (c->parsing)
        return; /* the thread still reads the body; after_parse comes back here */
    if (c->conn)
        http_conn_on_gone(c->conn, NULL, NULL);
    if (c->model >= 0)
        workers_stop_waiting(c->owner->workers, (size_t)c->model, &c->wait);
    if (c->job)
        workers_let_go(c->job);
    chat_fetch_end(&c->fetch);
    chat_images_end(&c->images);
    chat_request_free(&c->request);
    receipts_free(&c->receipts);
    buf_free(&c->extension);
    buf_free(&c->text);
    buf_free(&c->delta.event);
    free(c->body);
    admission_leave(c->owner->admission, &c->ticket);
    c->owner->running--;
    c->owner->started -= c->started;
    free(c);
}

static void on_gone(void *context)
{
    struct chat *c = context;
    log_write(LOG_INFO, "%s: the client went away", http_conn_request_id(c->conn));
    metrics_add(c->owner->options.metrics, METRICS_CLIENTS_GONE, 1);
    c->conn = NULL;
    chat_free(c);
}

static void respond_error(struct http_conn *conn, const struct api_error *error, const char *more)
{
    struct buf body = {0};
    errors_append_json(&body, error);
    http_respond(conn, error->status, "application/json", more, body.data ? body.data : "",
                 body.len);
    buf_free(&body);
}

/* Ends the chat with an error, in the stream if that has begun. `more`: header fields. */
static void refuse(struct chat *c, const struct api_error *error, const char *more)
{
    struct http_conn *conn = c->conn;
    http_conn_on_gone(conn, NULL, NULL);
    if (error->status >= 500)
        log_write(LOG_WARN, "%s: %s", http_conn_request_id(conn), error->message);
    if (c->streaming) {
        struct buf event = {0};
        buf_append_text(&event, "data: ");
        errors_append_json(&event, error);
        buf_append_text(&event, "\n\n");
        if (!event.failed)
            http_stream_write(conn, event.data, event.len);
        buf_free(&event);
        http_stream_end(conn);
    } else {
        respond_error(conn, error, more);
    }
    c->conn = NULL;
    chat_free(c);
}

static void fail(struct chat *c, const struct vlmd_error *err)
{
    struct api_error error = errors_from(err);
    if (err->code == VLMD_NOT_FOUND && strcmp(err->field, "model") == 0)
        error.code = "model_not_found";
    refuse(c, &error, errors_fields(error.status));
}

/* ---- the answer */

static void send_event(struct chat *c, struct buf *out)
{
    if (out->failed)
        log_write(LOG_ERROR, "out of memory: a piece of an answer is lost");
    else
        http_stream_write(c->conn, out->data, out->len);
    buf_free(out);
}

static const char *stream_fields(const struct chat *c, char out[160])
{
    snprintf(out, 160, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n%s", c->waited);
    return out;
}

static void begin_stream(struct chat *c)
{
    struct buf out = {0}, fields = {0};
    char standard[160];
    c->streaming = true;
    buf_append_text(&fields, stream_fields(c, standard));
    receipts_append_headers(&c->receipts, &fields);
    http_stream_begin(c->conn, 200, "text/event-stream; charset=utf-8", fields.data);
    buf_free(&fields);
    receipts_append_json(&c->receipts, &c->extension);
    chat_text_role(&out, &c->head);
    send_event(c, &out);
}

static double seconds_since(const struct chat *c, uint64_t ms)
{
    return (double)(uv_now(c->owner->loop) - ms) / 1000;
}

static void on_started(void *context, int32_t prompt_tokens)
{
    struct chat *c = context;
    bool first = !c->started;
    c->owner->started += first;
    c->started = true;
    int32_t room =
        c->info.kv_tokens < c->info.context_length ? c->info.kv_tokens : c->info.context_length;
    int32_t left = room - prompt_tokens;
    if (first && c->request.max_tokens > left && left > 0)
        receipts_warn(&c->receipts, "max_tokens_reduced", "max_tokens",
                      "the context leaves room for %d tokens of the %d that were asked for", left,
                      c->request.max_tokens);
    /* Errors may still come and deserve their own status: the head waits for the text. */
}

static void on_seen(void *context, uint64_t cached)
{
    struct chat *c = context;
    receipts_set_cached(&c->receipts, cached);
}

static void put_text(struct chat *c, const char *text, size_t len)
{
    if (!c->spoke)
        metrics_observe(c->owner->options.metrics, METRICS_FIRST_TOKEN_SECONDS,
                        seconds_since(c, c->began));
    c->spoke = true;
    if (!c->request.stream || c->owner->options.log_content)
        buf_append(&c->text, text, len);
    if (!c->request.stream)
        return;
    if (!c->streaming) {
        chat_images_end(&c->images); /* it cannot begin again */
        begin_stream(c);
    }
    if (chat_text_next_delta(&c->delta, &c->head, text, len) < 0)
        log_write(LOG_ERROR, "out of memory: a piece of an answer is lost");
    else
        http_stream_write(c->conn, c->delta.event.data, c->delta.event.len);
}

/* What the boxes have let go. */
static void put_mapped(struct chat *c, struct buf *text)
{
    if (text->len > 0)
        put_text(c, text->data, text->len);
    c->text.failed = c->text.failed || text->failed;
    buf_free(text);
}

static void on_text(void *context, const char *text, size_t len)
{
    struct chat *c = context;
    struct buf mapped = {0};
    if (!c->request.original_coordinates) {
        put_text(c, text, len);
        return;
    }
    boxes_feed(&c->boxes, text, len, &mapped);
    put_mapped(c, &mapped);
}

static void on_done(void *context, const struct ipc_done *said)
{
    struct chat *c = context;
    struct vlmd_error err;
    struct ipc_done with_wait = *said;
    const struct ipc_done *done = &with_wait;
    with_wait.queue_seconds += (float)admission_waited(c->owner->admission, &c->ticket) / 1000;
    c->job = NULL;
    metrics_completed(c->owner->options.metrics, done, c->request.n_images);
    chat_log_done(http_conn_request_id(c->conn), &c->request, done);
    if (done->reason == IPC_FINISH_CANCELLED || c->text.failed) {
        err_set(&err, VLMD_INTERNAL, NULL, "the answer was not completed");
        fail(c, &err);
        return;
    }
    struct buf out = {0}, rest = {0};
    boxes_end(&c->boxes, &rest);
    put_mapped(c, &rest);
    if (c->owner->options.log_content)
        log_content(http_conn_request_id(c->conn), "answer", c->text.data ? c->text.data : "",
                    c->text.len);
    if (c->request.stream) {
        if (!c->streaming)
            begin_stream(c);
        http_conn_on_gone(c->conn, NULL, NULL);
        chat_text_end(&out, &c->head, done);
        send_event(c, &out);
        http_stream_end(c->conn);
    } else {
        http_conn_on_gone(c->conn, NULL, NULL);
        receipts_append_json(&c->receipts, &c->extension);
        chat_text_body(&out, &c->head, c->text.data ? c->text.data : "", c->text.len, done);
        if (out.failed)
            out.len = 0;
        http_respond(c->conn, out.failed ? 503 : 200, "application/json", c->waited,
                     out.data ? out.data : "", out.len);
        buf_free(&out);
    }
    c->conn = NULL;
    chat_free(c);
}

static void on_failed(void *context, const struct vlmd_error *err)
{
    struct chat *c = context;
    c->job = NULL;
    fail(c, err);
}

static void on_estimated(void *context, const struct ipc_estimated *estimate)
{
    struct chat *c = context;
    struct buf out = {0};
    c->job = NULL;
    http_conn_on_gone(c->conn, NULL, NULL);
    estimate_append_json(&out, c->request.model, estimate, c->request.max_tokens, &c->receipts);
    http_respond(c->conn, out.failed ? 503 : 200, "application/json", NULL,
                 out.failed ? "" : out.data, out.failed ? 0 : out.len);
    buf_free(&out);
    c->conn = NULL;
    chat_free(c);
}

/* The worker died. What a client has seen nothing of begins once more, from the start: a request
 * that has lost two workers may be what kills them. */
static void on_lost(void *context, const struct vlmd_error *err)
{
    struct chat *c = context;
    c->job = NULL;
    if (c->streaming || c->again) {
        fail(c, err);
        return;
    }
    log_write(LOG_INFO, "%s: begins again", http_conn_request_id(c->conn));
    c->again = true;
    buf_free(&c->text);
    workers_wait(c->owner->workers, (size_t)c->model, &c->wait);
}

/* ---- to the worker */

static void send_to_worker(struct chat *c, struct ipc_message *m)
{
    struct worker_events events = {c,       on_started, on_seen, on_text,
                                   on_done, on_failed,  on_lost, on_estimated};
    struct vlmd_error err;
    c->job = workers_generate(c->owner->workers, (size_t)c->model, m, &events, &err);
    if (!c->job && err.code == VLMD_BUSY)
        on_lost(c, &err);
    else if (!c->job)
        fail(c, &err);
}

static void estimate(struct chat *c)
{
    struct ipc_message m = chat_message_estimate(&c->request, &c->receipts);
    send_to_worker(c, &m);
}

static void map_boxes(struct chat *c)
{
    const struct receipt *it = &c->receipts.items[c->request.coordinates_image];
    c->boxes = (struct boxes){
        .scale_x = (double)it->orig_width / it->width,
        .scale_y = (double)it->orig_height / it->height,
        .width = it->orig_width,
        .height = it->orig_height,
    };
}

static void generate(struct chat *c)
{
    if (c->estimating) {
        estimate(c);
        return;
    }
    if (c->request.original_coordinates)
        map_boxes(c);
    struct ipc_message m = chat_message_generate(&c->request);
    m.generate.owner = c->images_of;
    struct vlmd_error err;
    if (chat_message_add_images(&m.generate, c->images.images, &err) < 0) {
        fail(c, &err);
        return;
    }
    http_conn_body_used(c->conn);
    send_to_worker(c, &m);
}

/* ---- images */

static void on_images(void *context, const struct vlmd_error *err)
{
    struct chat *c = context;
    if (err)
        fail(c, err);
    else
        generate(c);
}

static void decode_images(struct chat *c)
{
    const struct chats_options *o = &c->owner->options;
    const struct chat_images_options options = {
        .decoders = c->owner->decoders,
        .metrics = c->estimating ? NULL : o->metrics,
        .limit_side = o->limit_side,
        .limit_pixels = o->limit_pixels,
        .pixel_budget = c->pixel_budget,
        .max_side = o->max_side,
        .to_srgb = o->to_srgb,
        .header_only = c->estimating,
    };
    struct vlmd_error err;
    c->images.request = &c->request;
    c->images.receipts = &c->receipts;
    c->images.context = c;
    c->images.done = on_images;
    if (chat_images_begin(&c->images, &options, &c->info, &err) < 0)
        fail(c, &err);
}

/* ---- images that are named instead of sent */

static void on_fetched(void *context, const struct vlmd_error *err)
{
    struct chat *c = context;
    if (err)
        fail(c, err);
    else
        decode_images(c);
}

static void fetch_images(struct chat *c)
{
    struct vlmd_error err;
    c->fetch = (struct chat_fetch){.request = &c->request, .context = c, .done = on_fetched};
    int begun = chat_fetch_begin(&c->fetch, c->owner->fetchers, http_conn_request_id(c->conn),
                                 c->limits.max_image_bytes, &err);
    if (begun < 0)
        fail(c, &err);
    else if (begun == 0)
        decode_images(c);
}

/* ---- the model */

static void on_model(void *context, const struct worker_info *info, const struct vlmd_error *err)
{
    struct chat *c = context;
    if (err) {
        struct vlmd_error unavailable;
        err_set(&unavailable, VLMD_BUSY, "model", "the model %s is not available: %s",
                c->request.model, err->text);
        fail(c, &unavailable);
        return;
    }
    c->info = *info;
    if (c->request.n_images == 0 || c->images.images) {
        generate(c);
        return;
    }
    if (!info->has_vision) {
        struct vlmd_error blind;
        err_set(&blind, VLMD_UNSUPPORTED, c->request.images[0].field,
                "the model %s does not see images", c->request.model);
        fail(c, &blind);
        return;
    }
    fetch_images(c);
}

static void want_model(struct chat *c)
{
    c->wait = (struct worker_wait){.context = c, .done = on_model};
    workers_wait(c->owner->workers, (size_t)c->model, &c->wait);
}

/* ---- the queue */

static void on_turn(void *context)
{
    struct chat *c = context;
    queue_text_waited(c->waited, c->owner->admission, &c->ticket);
    want_model(c);
}

static void on_late(void *context, bool working)
{
    struct chat *c = context;
    struct queue_refusal late;
    if (!working)
        metrics_add(c->owner->options.metrics, METRICS_QUEUE_TIMEOUTS, 1);
    queue_text_late(&late, c->owner->admission, &c->ticket, working);
    refuse(c, &late.error, late.fields);
}

static void enter_queue(struct chat *c)
{
    struct queue_refusal full;
    c->ticket.context = c;
    c->ticket.on_turn = on_turn;
    c->ticket.on_late = on_late;
    enum queue_state state = admission_enter(c->owner->admission, &c->ticket);
    if (state == QUEUE_WORKING)
        on_turn(c);
    if (state != QUEUE_OUT)
        return;
    metrics_add(c->owner->options.metrics, METRICS_QUEUE_REFUSED, 1);
    queue_text_full(&full, c->owner->admission);
    refuse(c, &full.error, full.fields);
}

/* ---- parsing */

static void on_parsed(struct chat *c)
{
    struct vlmd_error err;
    if (c->parse_status < 0) {
        fail(c, &c->parse_error);
        return;
    }
    c->model = workers_discover(c->owner->workers, c->request.model);
    if (c->model < 0) {
        err_set(&err, VLMD_NOT_FOUND, "model",
                "the model %s does not exist here; GET /v1/models "
                "lists those that do",
                c->request.model);
        fail(c, &err);
        return;
    }
    if (c->owner->options.log_content)
        log_content(http_conn_request_id(c->conn), "prompt", c->request.messages,
                    strlen(c->request.messages));
    c->head = (struct chat_head){c->id, c->request.model, (int64_t)time(NULL),
                                 c->request.include_usage, &c->extension};
    if (c->estimating)
        on_turn(c);
    else
        enter_queue(c);
}

static void parse(uv_work_t *work)
{
    struct chat *c = work->data;
    c->parse_status =
        chat_request_parse(c->body, c->body_len, &c->limits, &c->request, &c->parse_error);
}

static void after_parse(uv_work_t *work, int status)
{
    struct chat *c = work->data;
    (void)status;
    c->parsing = false;
    free(c->body);
    c->body = NULL;
    if (c->conn)
        on_parsed(c);
    else
        chat_free(c);
}

static void refuse_busy(struct chats *chats, struct http_conn *conn)
{
    struct vlmd_error err;
    char more[64];
    err_set(&err, VLMD_BUSY, NULL, "%u requests are being worked on; try again later",
            chats->running);
    struct api_error error = errors_from(&err);
    metrics_add(chats->options.metrics, METRICS_QUEUE_REFUSED, 1);
    snprintf(more, sizeof more, "Retry-After: %u\r\n", admission_retry_after(chats->admission));
    respond_error(conn, &error, more);
}

static void handle(struct chats *chats, struct http_conn *conn, const struct chat_caller *caller,
                   bool estimating)
{
    struct chat *c = NULL;
    if (chats->running < chats->options.max_requests)
        c = calloc(1, sizeof *c);
    if (!c) {
        refuse_busy(chats, conn);
        return;
    }
    chats->running++;
    c->owner = chats;
    c->limits = chats->options.limits;
    c->conn = conn;
    c->ticket.queue.priority = caller->priority;
    c->ticket.queue.owner = caller->owner;
    c->estimating = estimating;
    c->images_of = caller->images_of;
    c->pixel_budget = caller->image_pixels;
    c->model = -1;
    c->began = uv_now(chats->loop);
    c->work.data = c;
    random_id(c->id, "chatcmpl-");
    c->body = http_conn_take_body(conn, &c->body_len);
    http_conn_on_gone(conn, on_gone, c);
    if (c->body_len > PARSE_HERE) {
        c->parsing = uv_queue_work(chats->loop, &c->work, parse, after_parse) == 0;
        if (c->parsing)
            return;
    }
    parse(&c->work);
    after_parse(&c->work, 0);
}

void chats_handle(struct chats *chats, struct http_conn *conn, const struct chat_caller *caller)
{
    handle(chats, conn, caller, false);
}

void chats_estimate(struct chats *chats, struct http_conn *conn, const struct chat_caller *caller)
{
    handle(chats, conn, caller, true);
}

/* ---- life */

struct chats *chats_open(uv_loop_t *loop, const struct chats_options *options,
                         struct workers *workers, struct decoders *decoders,
                         struct fetchers *fetchers)
{
    struct chats *chats = calloc(1, sizeof *chats);
    if (!chats)
        return NULL;
    chats->admission = admission_open(loop, &options->queue);
    if (!chats->admission) {
        free(chats);
        return NULL;
    }
    chats->loop = loop;
    chats->options = *options;
    chats->workers = workers;
    chats->decoders = decoders;
    chats->fetchers = fetchers;
    return chats;
}

void chats_configure(struct chats *chats, const struct chats_options *options)
{
    chats->options = *options;
    admission_configure(chats->admission, &options->queue);
}

void chats_stop(struct chats *chats)
{
    if (chats)
        admission_stop(chats->admission);
}

void chats_close(struct chats *chats)
{
    if (chats)
        admission_close(chats->admission);
    free(chats);
}

unsigned chats_running(const struct chats *chats)
{
    return chats->running;
}

unsigned chats_waiting(const struct chats *chats)
{
    return chats->running - chats->started;
}

struct queue_counts chats_queue(const struct chats *chats)
{
    return admission_counts(chats->admission);
}

unsigned chats_most(const struct chats *chats)
{
    return chats->options.max_requests;
}
