#include "front/chats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "front/boxes.h"
#include "front/chat_fetch.h"
#include "front/chat_images.h"
#include "front/chat_log.h"
#include "front/chat_message.h"
#include "front/chat_text.h"
#include "front/estimate.h"
#include "front/receipt.h"

struct chats {
    struct chats_options options;
    struct calls *calls;
    struct decoders *decoders;
    struct fetchers *fetchers;
};

struct chat {
    struct call call; /* first: found by its address */
    struct chats *owner;
    struct chat_request request;
    struct chat_limits limits; /* those of its time: the parsing thread reads them */
    bool spoke;                /* the first text has come */

    struct chat_fetch fetch;
    struct worker_info info; /* of the model, once it is there */
    struct chat_images images;

    struct worker_job *job;
    struct receipts receipts;
    struct buf extension; /* their JSON, once the answer begins */
    struct boxes boxes;
    struct buf text;
    struct chat_head head;
    struct chat_delta delta;
};

static const struct call_kind estimate_kind;

static bool is_estimate(const struct chat *c)
{
    return c->call.kind == &estimate_kind;
}

static const char *request_id(const struct chat *c)
{
    return http_conn_request_id(c->call.conn);
}

static void fail(struct chat *c, const struct vlmd_error *err)
{
    call_fail(&c->call, err);
}

/* ---- the end */

static void release(struct call *call)
{
    struct chat *c = (struct chat *)call;
    if (c->job)
        workers_let_go(c->job);
    chat_fetch_end(&c->fetch);
    chat_images_end(&c->images);
    chat_request_free(&c->request);
    receipts_free(&c->receipts);
    buf_free(&c->extension);
    buf_free(&c->text);
    buf_free(&c->delta.event);
}

/* ---- the answer */

static void begin_stream(struct chat *c)
{
    struct buf out = {0}, fields = {0};
    receipts_append_headers(&c->receipts, &fields);
    call_stream_begin(&c->call, &fields);
    buf_free(&fields);
    receipts_append_json(&c->receipts, &c->extension);
    chat_text_role(&out, &c->head);
    call_stream_event(&c->call, &out);
    buf_free(&out);
}

static void on_started(void *context, int32_t prompt_tokens)
{
    struct chat *c = context;
    int32_t room =
        c->info.kv_tokens < c->info.context_length ? c->info.kv_tokens : c->info.context_length;
    int32_t left = room - prompt_tokens, wanted = c->request.params.max_tokens;
    if (call_started(&c->call) && wanted > left && left > 0)
        receipts_warn(&c->receipts, "max_tokens_reduced", "max_tokens",
                      "the context leaves room for %d tokens of the %d that were asked for", left,
                      wanted);
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
        metrics_observe(call_metrics(&c->call), METRICS_FIRST_TOKEN_SECONDS,
                        call_seconds_since(&c->call, c->call.began));
    c->spoke = true;
    if (!c->request.params.stream || c->owner->options.log_content)
        buf_append(&c->text, text, len);
    if (!c->request.params.stream)
        return;
    if (!c->call.streaming) {
        chat_images_end(&c->images); /* it cannot begin again */
        begin_stream(c);
    }
    if (chat_text_next_delta(&c->delta, &c->head, text, len) < 0)
        log_write(LOG_ERROR, "out of memory: a piece of an answer is lost");
    else
        http_stream_write(c->call.conn, c->delta.event.data, c->delta.event.len);
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

static void answer(struct chat *c, const struct ipc_done *done)
{
    struct buf out = {0};
    if (c->request.params.stream) {
        if (!c->call.streaming)
            begin_stream(c);
        chat_text_end(&out, &c->head, done);
        call_stream_end(&c->call, &out);
        buf_free(&out);
        return;
    }
    receipts_append_json(&c->receipts, &c->extension);
    chat_text_body(&out, &c->head, c->text.data ? c->text.data : "", c->text.len, done);
    call_answer(&c->call, c->call.waited, &out);
}

static void on_done(void *context, const struct ipc_done *said)
{
    struct chat *c = context;
    struct vlmd_error err;
    struct ipc_done done = *said;
    struct buf rest = {0};
    done.queue_seconds += (float)call_waited(&c->call);
    c->job = NULL;
    metrics_completed(call_metrics(&c->call), &done, c->request.n_images);
    chat_log_done(request_id(c), &c->request.params, c->request.n_images, &done);
    if (done.reason == IPC_FINISH_CANCELLED || c->text.failed) {
        err_set(&err, VLMD_INTERNAL, NULL, "the answer was not completed");
        fail(c, &err);
        return;
    }
    boxes_end(&c->boxes, &rest);
    put_mapped(c, &rest);
    if (c->owner->options.log_content)
        log_content(request_id(c), "answer", c->text.data ? c->text.data : "", c->text.len);
    answer(c, &done);
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
    estimate_append_json(&out, c->request.params.model, estimate, c->request.params.max_tokens,
                         &c->receipts);
    call_answer(&c->call, c->call.waited, &out);
}

static void on_lost(void *context, const struct vlmd_error *err)
{
    struct chat *c = context;
    c->job = NULL;
    buf_free(&c->text);
    call_lost(&c->call, err);
}

/* ---- to the worker */

static void send_to_worker(struct chat *c, struct ipc_message *m)
{
    struct worker_events events = {c,       on_started, on_seen, on_text,
                                   on_done, on_failed,  on_lost, on_estimated};
    struct vlmd_error err;
    c->job = workers_generate(call_workers(&c->call), (size_t)c->call.model, m, &events, &err);
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
    if (is_estimate(c)) {
        estimate(c);
        return;
    }
    if (c->request.original_coordinates)
        map_boxes(c);
    struct ipc_message m = chat_message_generate(&c->request);
    m.generate.owner = c->call.images_of;
    struct vlmd_error err;
    if (chat_message_add_images(&m.generate, c->images.images, &err) < 0) {
        fail(c, &err);
        return;
    }
    http_conn_body_used(c->call.conn);
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
    const struct image_allowance *allowance = &c->call.allowance;
    const struct chat_images_options options = {
        .decoders = c->owner->decoders,
        .metrics = is_estimate(c) ? NULL : call_metrics(&c->call),
        .limit_side = (int32_t)allowance_or(allowance->max_image_side, (uint64_t)o->limit_side),
        .limit_pixels = allowance_or(allowance->max_image_pixels, o->limit_pixels),
        .pixel_budget = allowance->all_pixels,
        .max_side = o->max_side,
        .to_srgb = o->to_srgb,
        .header_only = is_estimate(c),
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
    int begun = chat_fetch_begin(&c->fetch, c->owner->fetchers, request_id(c),
                                 c->limits.max_image_bytes, &err);
    if (begun < 0)
        fail(c, &err);
    else if (begun == 0)
        decode_images(c);
}

/* ---- the model */

static void on_model(struct call *call, const struct worker_info *info)
{
    struct chat *c = (struct chat *)call;
    c->info = *info;
    if (c->request.n_images == 0 || c->images.images) {
        generate(c);
        return;
    }
    if (!info->has_vision) {
        struct vlmd_error blind;
        err_set(&blind, VLMD_UNSUPPORTED, c->request.images[0].field,
                "the model %s does not see images", c->request.params.model);
        fail(c, &blind);
        return;
    }
    fetch_images(c);
}

/* ---- the request */

static void begin(struct call *call, void *context)
{
    struct chat *c = (struct chat *)call;
    c->owner = context;
    c->limits = c->owner->options.limits;
    c->limits.max_image_bytes =
        allowance_or(call->allowance.max_image_bytes, c->limits.max_image_bytes);
    if (call->allowance.max_images != ALLOWANCE_OF_SERVER)
        c->limits.max_images = (size_t)call->allowance.max_images;
}

static int parse(struct call *call, const char *body, size_t len, struct vlmd_error *err)
{
    struct chat *c = (struct chat *)call;
    return chat_request_parse(body, len, &c->limits, &c->request, err);
}

static const char *model(const struct call *call)
{
    return ((const struct chat *)call)->request.params.model;
}

static void parsed(struct call *call)
{
    struct chat *c = (struct chat *)call;
    if (c->owner->options.log_content)
        log_content(request_id(c), "prompt", c->request.messages, strlen(c->request.messages));
    c->head = (struct chat_head){call->id, c->request.params.model, (int64_t)time(NULL),
                                 c->request.params.include_usage, &c->extension};
}

static const struct call_kind chat_kind = {
    .size = sizeof(struct chat),
    .lane = CALL_COMPLETIONS,
    .id_prefix = "chatcmpl-",
    .begin = begin,
    .parse = parse,
    .model = model,
    .parsed = parsed,
    .on_turn = call_want_model,
    .on_model = on_model,
    .release = release,
};

static const struct call_kind estimate_kind = {
    .size = sizeof(struct chat),
    .lane = CALL_ESTIMATES,
    .id_prefix = "estimate-",
    .begin = begin,
    .parse = parse,
    .model = model,
    .parsed = parsed,
    .on_turn = call_want_model,
    .on_model = on_model,
    .release = release,
};

void chats_handle(struct chats *chats, struct http_conn *conn, const struct caller *caller)
{
    call_begin(chats->calls, &chat_kind, chats, conn, caller);
}

void chats_estimate(struct chats *chats, struct http_conn *conn, const struct caller *caller)
{
    call_begin(chats->calls, &estimate_kind, chats, conn, caller);
}

/* ---- life */

struct chats *chats_open(const struct chats_options *options, struct calls *calls,
                         struct decoders *decoders, struct fetchers *fetchers)
{
    struct chats *chats = calloc(1, sizeof *chats);
    if (chats)
        *chats = (struct chats){*options, calls, decoders, fetchers};
    return chats;
}

void chats_configure(struct chats *chats, const struct chats_options *options)
{
    chats->options = *options;
}

void chats_close(struct chats *chats)
{
    free(chats);
}
