#include "worker/scheduler.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "worker/request.h"

#define ECHO_PIECE 65536

struct scheduler {
    vlmd_engine *engine;
    struct scheduler_events events;
    struct image_cache *images;
    struct request *first; /* all requests, in order of arrival */
    int32_t n_running;     /* admitted ones */
    int32_t n_waiting;
    float *logits;           /* SCHEDULER_RUNNING x vocab_size */
    struct request *working; /* the only request that the present work serves; NULL: several */
};

struct scheduler *scheduler_open(vlmd_engine *engine, const struct scheduler_events *events,
                                 uint64_t cache_bytes, struct vlmd_error *err)
{
    size_t vocab = (size_t)vlmd_engine_info(engine)->vocab_size;
    struct scheduler *s = calloc(1, sizeof *s);
    if (s)
        s->logits = malloc(SCHEDULER_RUNNING * vocab * sizeof *s->logits);
    if (!s || !s->logits) {
        free(s);
        err_no_memory(err, SCHEDULER_RUNNING * vocab * sizeof(float));
        return NULL;
    }
    s->engine = engine;
    s->events = *events;
    s->images = image_cache_open(cache_bytes, err);
    if (!s->images) {
        scheduler_close(s);
        return NULL;
    }
    return s;
}

void scheduler_close(struct scheduler *s)
{
    if (!s)
        return;
    while (s->first) {
        struct request *r = s->first;
        s->first = r->next;
        request_close(r);
    }
    image_cache_close(s->images);
    free(s->logits);
    free(s);
}

int scheduler_submit(struct scheduler *s, const struct scheduler_request *request,
                     struct vlmd_error *err)
{
    if (s->n_waiting >= SCHEDULER_WAITING) {
        if (request->release)
            request->release(request->owner);
        return err_set(err, VLMD_BUSY, NULL, "%d requests are waiting already", s->n_waiting);
    }
    struct request *r = request_open(s->engine, request, err);
    if (!r)
        return -1;
    struct request **end = &s->first;
    while (*end)
        end = &(*end)->next;
    *end = r;
    s->n_waiting++;
    return 0;
}

void scheduler_cancel(struct scheduler *s, uint64_t id)
{
    for (struct request *r = s->first; r; r = r->next)
        if (r->id == id)
            r->cancelled = true;
}

bool scheduler_idle(const struct scheduler *s)
{
    return s->first == NULL;
}

/* ---- endings: each request gets exactly one */

static void forget(struct scheduler *s, struct request *r)
{
    struct request **link = &s->first;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    if (r->session)
        s->n_running--;
    else
        s->n_waiting--;
    request_close(r);
}

static void finish(struct scheduler *s, struct request *r, enum scheduler_finish how)
{
    struct scheduler_result result = request_result(r, how);
    s->events.done(s->events.context, r->id, &result);
    forget(s, r);
}

static void fail(struct scheduler *s, struct request *r, const struct vlmd_error *error)
{
    s->events.failed(s->events.context, r->id, error);
    forget(s, r);
}

static void end_cancelled(struct scheduler *s)
{
    for (struct request *r = s->first, *next; r; r = next) {
        next = r->next;
        if (r->cancelled)
            finish(s, r, SCHEDULER_CANCELLED);
    }
}

/* ---- cancellation of the present work: only when nobody else needs it */

static bool work_is_unwanted(void *context)
{
    struct scheduler *s = context;
    bool over = s->events.poll(s->events.context);
    return over || (s->working && s->working->cancelled);
}

static bool batch_is_unwanted(void *context)
{
    struct scheduler *s = context;
    if (s->events.poll(s->events.context))
        return true;
    for (const struct request *r = s->first; r; r = r->next)
        if (r->phase == REQUEST_DECODE && !r->cancelled)
            return false;
    return true;
}

/* ---- admission */

/* In pieces that a message holds, cut between characters. */
static void send_echo(struct scheduler *s, struct request *r)
{
    for (size_t at = 0, n; at < r->echo_len; at += n) {
        n = r->echo_len - at;
        if (n > ECHO_PIECE)
            n = utf8_complete_prefix(r->echo + at, ECHO_PIECE);
        s->events.text(s->events.context, r->id, r->echo + at, n, 0);
    }
    free(r->echo);
    r->echo = NULL;
    r->echo_len = 0;
}

/* Admits waiting requests in order until one does not fit. */
static void admit(struct scheduler *s)
{
    for (struct request *r = s->first, *next; r && s->n_running < SCHEDULER_RUNNING; r = next) {
        struct vlmd_error err;
        next = r->next;
        if (r->phase != REQUEST_WAITING)
            continue;
        if (request_admit(r, s->engine, &err) < 0) {
            if (err.code == VLMD_NO_MEMORY && s->n_running > 0 && !r->session)
                return; /* later ones must not overtake it */
            if (r->session) {
                s->n_waiting--;
                s->n_running++;
            }
            fail(s, r, &err);
            continue;
        }
        s->n_waiting--;
        s->n_running++;
        s->events.started(s->events.context, r->id, r->n_tokens);
        send_echo(s, r);
    }
}

static struct request *first_in_phase(const struct scheduler *s, enum request_phase phase)
{
    for (struct request *r = s->first; r; r = r->next)
        if (r->phase == phase)
            return r;
    return NULL;
}

/* ---- work */

static void tell_seen(struct scheduler *s, const struct request *r)
{
    const struct image_cache_state cache = image_cache_state(s->images);
    s->events.seen(s->events.context, r->id, r->cached, &cache);
}

static void encode_image(struct scheduler *s, struct request *r)
{
    struct vlmd_error err;
    s->working = r;
    int status = request_encode_image(r, s->engine, s->images, work_is_unwanted, s, &err);
    s->working = NULL;
    if (status < 0 && err.code == VLMD_CANCELLED)
        finish(s, r, SCHEDULER_CANCELLED);
    else if (status < 0)
        fail(s, r, &err);
    else if (r->phase == REQUEST_PREFILL)
        tell_seen(s, r);
}

static void send_text(struct scheduler *s, struct request *r, const char *text, size_t len)
{
    if (len > 0)
        s->events.text(s->events.context, r->id, text, len, r->completion_tokens);
}

/* Sends what the stream still holds back, then ends the request. */
static void finish_text(struct scheduler *s, struct request *r, enum scheduler_finish how)
{
    const char *text;
    size_t len;
    struct vlmd_error err;
    if (vlmd_text_stream_finish(r->stream, &text, &len, &err) < 0) {
        fail(s, r, &err);
        return;
    }
    send_text(s, r, text, len);
    finish(s, r, how);
}

/* Takes the next token from logits; the request may end here. */
static void accept_token(struct scheduler *s, struct request *r, float *logits)
{
    const char *text;
    size_t len;
    struct vlmd_error err;
    int32_t token = vlmd_sampler_next(r->sampler, logits);
    if (token < 0) {
        err_set(&err, VLMD_INTERNAL, NULL, "the model computed no number for any token");
        fail(s, r, &err);
        return;
    }
    r->completion_tokens++;
    if (vlmd_token_ends(s->engine, token)) {
        finish_text(s, r, SCHEDULER_STOP);
        return;
    }
    int stopped = vlmd_text_stream_push(r->stream, token, &text, &len, &err);
    if (stopped < 0) {
        fail(s, r, &err);
        return;
    }
    send_text(s, r, text, len);
    if (stopped) {
        finish(s, r, SCHEDULER_STOP);
        return;
    }
    if (r->completion_tokens >= r->max_tokens) {
        finish_text(s, r, SCHEDULER_LENGTH);
        return;
    }
    if (vlmd_session_append(r->session, &token, 1, NULL, 0, &err) < 0)
        fail(s, r, &err);
}

/* One chunk of one request's prompt, cut at multiples of batch_tokens of its own timeline. */
static void prefill(struct scheduler *s, struct request *r)
{
    struct vlmd_error err;
    int32_t n = vlmd_session_pending(r->session);
    bool last = n <= vlmd_engine_info(s->engine)->batch_tokens;
    if (!last)
        n = vlmd_engine_info(s->engine)->batch_tokens;
    struct vlmd_step_item item = {r->session, n, last ? s->logits : NULL, NULL};
    s->working = r;
    int status = vlmd_step(s->engine, &item, 1, work_is_unwanted, s, &err);
    s->working = NULL;
    if (status < 0 && err.code == VLMD_CANCELLED) {
        finish(s, r, SCHEDULER_CANCELLED);
    } else if (status < 0) {
        fail(s, r, &err);
    } else if (last) {
        r->phase = REQUEST_DECODE;
        r->decode_began = clock_seconds();
        accept_token(s, r, s->logits);
    }
}

/* Collects the requests that decode and have a kv block for their token. When none has one, the
 * youngest is ended, so that the others go on. */
static int32_t collect(struct scheduler *s, struct request **batch)
{
    int32_t n = 0;
    struct request *starved = NULL;
    struct vlmd_error err;
    for (struct request *r = s->first; r; r = r->next) {
        if (r->phase != REQUEST_DECODE)
            continue;
        if (vlmd_session_reserve(r->session, 1, &err) == 0)
            batch[n++] = r;
        else
            starved = r;
    }
    if (n == 0 && starved) {
        err_set(&err, VLMD_NO_MEMORY, NULL,
                "the kv cache is full and this was the youngest of the requests that share it");
        fail(s, starved, &err);
    }
    return n;
}

static void decode(struct scheduler *s)
{
    struct request *batch[SCHEDULER_RUNNING];
    struct vlmd_step_item items[SCHEDULER_RUNNING];
    struct vlmd_error err;
    size_t vocab = (size_t)vlmd_engine_info(s->engine)->vocab_size;
    int32_t n = collect(s, batch);
    if (n == 0)
        return;
    for (int32_t i = 0; i < n; i++)
        items[i] =
            (struct vlmd_step_item){batch[i]->session, 1, s->logits + (size_t)i * vocab, NULL};
    int status = vlmd_step(s->engine, items, n, batch_is_unwanted, s, &err);
    for (int32_t i = 0; i < n; i++) {
        if (status < 0 && err.code == VLMD_CANCELLED)
            finish(s, batch[i], SCHEDULER_CANCELLED);
        else if (status < 0)
            fail(s, batch[i], &err);
        else
            accept_token(s, batch[i], items[i].logits);
    }
}

void scheduler_turn(struct scheduler *s)
{
    end_cancelled(s);
    admit(s);
    struct request *r = first_in_phase(s, REQUEST_VISION);
    if (r)
        encode_image(s, r);
    else if ((r = first_in_phase(s, REQUEST_PREFILL)))
        prefill(s, r);
    decode(s);
}
