#include "front/completions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "front/chat_log.h"
#include "front/chat_message.h"
#include "front/completion_request.h"
#include "front/completion_text.h"
#include "front/receipt.h"

struct completions {
    struct calls *calls;
    bool log_content;
};

/* One answer to one prompt: a request of its own to the worker. */
struct answer {
    struct completion *owner;
    struct worker_job *job;
    struct completion_choice choice;
};

struct completion {
    struct call call; /* first: found by its address */
    struct completions *owner;
    struct completion_request request;
    uint64_t seed;
    int32_t room; /* tokens of prompt and answer together */
    struct answer *answers;
    size_t n_answers, n_ended;
    bool spoke;               /* the first text has come */
    struct receipts receipts; /* of no images: warnings alone */
    struct buf extension;     /* their JSON, once the answer begins */
    struct chat_head head;
    struct ipc_done sum;
};

static const char *request_id(const struct completion *c)
{
    return http_conn_request_id(c->call.conn);
}

/* ---- the end */

/* The workers are told to stop, and every answer is as if it had not begun. */
static void drop_answers(struct completion *c)
{
    for (size_t i = 0; i < c->n_answers; i++) {
        if (c->answers[i].job)
            workers_let_go(c->answers[i].job);
        buf_free(&c->answers[i].choice.text);
    }
    free(c->answers);
    c->answers = NULL;
    c->n_answers = c->n_ended = 0;
    c->sum = (struct ipc_done){0};
}

static void release(struct call *call)
{
    struct completion *c = (struct completion *)call;
    drop_answers(c);
    completion_request_free(&c->request);
    receipts_free(&c->receipts);
    buf_free(&c->extension);
}

/* ---- the answers */

/* Opens the stream before its first event; true if that was now. */
static bool open_stream(struct completion *c)
{
    struct buf fields = {0};
    if (c->call.streaming)
        return false;
    receipts_append_headers(&c->receipts, &fields);
    receipts_append_json(&c->receipts, &c->extension);
    call_stream_begin(&c->call, &fields);
    buf_free(&fields);
    return true;
}

static void on_started(void *context, int32_t prompt_tokens)
{
    const struct answer *a = context;
    struct completion *c = a->owner;
    int32_t left = c->room - prompt_tokens, wanted = c->request.params.max_tokens;
    if (call_started(&c->call) && wanted > left && left > 0)
        receipts_warn(&c->receipts, "max_tokens_reduced", "max_tokens",
                      "the context leaves room for %d tokens of the %d that were asked for", left,
                      wanted);
}

static void on_text(void *context, const char *text, size_t len)
{
    struct answer *a = context;
    struct completion *c = a->owner;
    struct buf event = {0};
    if (!c->spoke && !c->request.echo)
        metrics_observe(call_metrics(&c->call), METRICS_FIRST_TOKEN_SECONDS,
                        call_seconds_since(&c->call, c->call.began));
    c->spoke = true;
    if (!c->request.params.stream || c->owner->log_content)
        buf_append(&a->choice.text, text, len);
    if (!c->request.params.stream)
        return;
    bool first = open_stream(c);
    completion_text_delta(&event, &c->head, a->choice.index, first, text, len);
    call_stream_event(&c->call, &event);
    buf_free(&event);
}

/* All have ended. */
static void finish(struct completion *c)
{
    struct buf out = {0};
    if (c->request.params.stream) {
        completion_text_end(&out, &c->head, &c->sum);
        call_stream_end(&c->call, &out);
        buf_free(&out);
        return;
    }
    struct completion_choice *choices = calloc(c->n_answers, sizeof *choices);
    for (size_t i = 0; choices && i < c->n_answers; i++)
        choices[i] = c->answers[i].choice;
    receipts_append_json(&c->receipts, &c->extension);
    if (choices)
        completion_text_body(&out, &c->head, choices, c->n_answers, &c->sum);
    free(choices);
    call_answer(&c->call, c->call.waited, &out);
}

/* Counts and logs it. */
static void account(struct answer *a, const struct ipc_done *said)
{
    struct completion *c = a->owner;
    struct ipc_done done = *said;
    done.queue_seconds += (float)call_waited(&c->call);
    metrics_completed(call_metrics(&c->call), &done, 0);
    chat_log_done(request_id(c), &c->request.params, 0, &done);
    if (c->owner->log_content)
        log_content(request_id(c), "answer", a->choice.text.data ? a->choice.text.data : "",
                    a->choice.text.len);
    if (a->choice.index % (size_t)c->request.n > 0)
        done.prompt_tokens = 0; /* the same prompt is counted once */
    completion_text_add(&c->sum, &done);
}

static void on_done(void *context, const struct ipc_done *done)
{
    struct answer *a = context;
    struct completion *c = a->owner;
    struct vlmd_error err;
    a->job = NULL;
    account(a, done);
    if (done->reason == IPC_FINISH_CANCELLED || a->choice.text.failed) {
        err_set(&err, VLMD_INTERNAL, NULL, "the answer was not completed");
        call_fail(&c->call, &err);
        return;
    }
    a->choice.reason = done->reason;
    if (c->request.params.stream) {
        struct buf event = {0};
        bool first = open_stream(c);
        completion_text_finish(&event, &c->head, a->choice.index, first, done->reason);
        call_stream_event(&c->call, &event);
        buf_free(&event);
    }
    if (++c->n_ended == c->n_answers)
        finish(c);
}

/* One that cannot be answered ends them all. */
static void on_failed(void *context, const struct vlmd_error *err)
{
    struct answer *a = context;
    struct completion *c = a->owner;
    struct vlmd_error named = *err;
    a->job = NULL;
    if (c->request.several && strcmp(err->field, "prompt") == 0)
        snprintf(named.field, sizeof named.field, "prompt[%zu]",
                 a->choice.index / (size_t)c->request.n);
    call_fail(&c->call, &named);
}

static void on_lost(void *context, const struct vlmd_error *err)
{
    struct answer *a = context;
    struct completion *c = a->owner;
    a->job = NULL;
    drop_answers(c);
    call_lost(&c->call, err);
}

/* ---- to the worker */

/* The copies of one prompt differ by their seeds; different prompts get the same, as they would in
 * requests of their own. */
static struct worker_job *send_answer(struct completion *c, struct answer *a,
                                      struct vlmd_error *err)
{
    const struct worker_events events = {
        .context = a,
        .started = on_started,
        .text = on_text,
        .done = on_done,
        .failed = on_failed,
        .lost = on_lost,
    };
    struct ipc_message m = {.type = IPC_GENERATE,
                            .generate = chat_message_sampling(&c->request.params)};
    size_t n = (size_t)c->request.n;
    m.generate.prompt = ipc_string(c->request.prompts[a->choice.index / n]);
    m.generate.echo = c->request.echo;
    m.generate.seed = c->seed + a->choice.index % n;
    return workers_generate(call_workers(&c->call), (size_t)c->call.model, &m, &events, err);
}

static void on_model(struct call *call, const struct worker_info *info)
{
    struct completion *c = (struct completion *)call;
    struct vlmd_error err;
    size_t n = c->request.n_prompts * (size_t)c->request.n;
    c->room = info->kv_tokens < info->context_length ? info->kv_tokens : info->context_length;
    c->answers = calloc(n, sizeof *c->answers);
    if (!c->answers) {
        err_no_memory(&err, n * sizeof *c->answers);
        call_fail(call, &err);
        return;
    }
    c->n_answers = n;
    http_conn_body_used(call->conn);
    for (size_t i = 0; i < n; i++) {
        struct answer *a = &c->answers[i];
        *a = (struct answer){.owner = c, .choice.index = i};
        a->job = send_answer(c, a, &err);
        if (a->job)
            continue;
        if (err.code == VLMD_BUSY)
            on_lost(a, &err);
        else
            call_fail(call, &err);
        return;
    }
}

/* ---- the request */

static void begin(struct call *call, void *context)
{
    ((struct completion *)call)->owner = context;
}

static int parse(struct call *call, const char *body, size_t len, struct vlmd_error *err)
{
    return completion_request_parse(body, len, &((struct completion *)call)->request, err);
}

static const char *model(const struct call *call)
{
    return ((const struct completion *)call)->request.params.model;
}

static void parsed(struct call *call)
{
    struct completion *c = (struct completion *)call;
    const struct params *params = &c->request.params;
    c->seed = params->has_seed ? params->seed : random_u64();
    c->head = (struct chat_head){call->id, params->model, (int64_t)time(NULL),
                                 params->include_usage, &c->extension};
    for (size_t i = 0; c->owner->log_content && i < c->request.n_prompts; i++)
        log_content(request_id(c), "prompt", c->request.prompts[i], strlen(c->request.prompts[i]));
}

static const struct call_kind completion_kind = {
    .size = sizeof(struct completion),
    .lane = CALL_COMPLETIONS,
    .id_prefix = "cmpl-",
    .begin = begin,
    .parse = parse,
    .model = model,
    .parsed = parsed,
    .on_turn = call_want_model,
    .on_model = on_model,
    .release = release,
};

void completions_handle(struct completions *completions, struct http_conn *conn,
                        const struct caller *caller)
{
    call_begin(completions->calls, &completion_kind, completions, conn, caller);
}

/* ---- life */

struct completions *completions_open(struct calls *calls, bool log_content)
{
    struct completions *completions = calloc(1, sizeof *completions);
    if (completions)
        *completions = (struct completions){calls, log_content};
    return completions;
}

void completions_configure(struct completions *completions, bool log_content)
{
    completions->log_content = log_content;
}

void completions_close(struct completions *completions)
{
    free(completions);
}
