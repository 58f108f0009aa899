/* One POST that asks for work, of whatever kind: its body is parsed (beside the loop when it is
 * long), it waits for its turn in a queue and for its model, and it ends with one answer or one
 * error. What the work is, the kind says. A client that goes away ends the call wherever it is. */
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "front/admission.h"
#include "front/errors.h"
#include "front/http_conn.h"
#include "front/image_allowance.h"
#include "front/random_id.h"
#include "front/workers.h"

struct calls;
struct call;

enum call_lane {
    CALL_COMPLETIONS,
    CALL_ESTIMATES, /* short work, which does not wait behind long work */
    CALL_LANES,
};

struct calls_options {
    unsigned max_requests; /* worked on or waiting at once; more are refused with 503 */
    struct queue_limits queue;
    struct metrics *metrics; /* NULL: nobody counts */
};

struct call_kind {
    size_t size; /* of the struct whose first member is the call */
    enum call_lane lane;
    const char *id_prefix;
    /* Before the body is parsed: takes what the parsing needs of `context`. */
    void (*begin)(struct call *call, void *context);
    /* Possibly in another thread; touches nothing but the call's own request. */
    int (*parse)(struct call *call, const char *body, size_t len, struct vlmd_error *err);
    /* Of the parsed request. */
    const char *(*model)(const struct call *call);
    void (*parsed)(struct call *call);
    void (*on_turn)(struct call *call);
    /* After call_want_model. */
    void (*on_model)(struct call *call, const struct worker_info *info);
    /* Gives back what the kind holds; the call itself is freed after it. */
    void (*release)(struct call *call);
};

struct call {
    const struct call_kind *kind;
    struct calls *owner;
    struct http_conn *conn; /* NULL once the client is gone or answered */
    int model;
    uint64_t began;     /* ms of the loop */
    uint64_t images_of; /* as the caller's */
    struct image_allowance allowance;
    bool started;   /* its prompt is being worked on */
    bool streaming; /* the head of a stream was sent */
    bool again;     /* its worker died before anything was sent, and it was begun once more */
    char id[RANDOM_ID_BYTES];
    char waited[80]; /* header fields, of an answer that had to wait for its turn */

    uv_work_t work; /* parsing beside the loop */
    bool parsing;
    char *body;
    size_t body_len;
    int parse_status;
    struct vlmd_error parse_error;

    struct admission_ticket ticket;
    struct worker_wait wait;
};

/* Who asks, and what that is worth. */
struct caller {
    enum priority priority;
    unsigned owner;     /* the same number for requests that share their turns */
    uint64_t images_of; /* the same number for requests that may find each other's images kept */
    struct image_allowance images;
};

/* *out, which may be NULL then, is the caller's to stop and to close also after an error. */
int calls_open(struct calls **out, uv_loop_t *loop, const struct calls_options *options,
               struct workers *workers, struct vlmd_error *err);
/* New options, for the requests that come from now on. */
void calls_configure(struct calls *calls, const struct calls_options *options);
/* Before the loop ends: nothing waits for a turn any more. */
void calls_stop(struct calls *calls);
/* All calls must have ended (their connections closed). */
void calls_close(struct calls *calls);
unsigned calls_running(const struct calls *calls);
unsigned calls_waiting(const struct calls *calls); /* of these, whose prompt is not yet begun */
unsigned calls_most(const struct calls *calls);    /* accepted at once */
struct queue_counts calls_queue(const struct calls *calls);

/* Takes the request over, body included; it will be answered on its connection. */
void call_begin(struct calls *calls, const struct call_kind *kind, void *context,
                struct http_conn *conn, const struct caller *caller);

uv_loop_t *call_loop(const struct call *call);
struct workers *call_workers(const struct call *call);
struct metrics *call_metrics(const struct call *call);
double call_seconds_since(const struct call *call, uint64_t ms);
double call_waited(const struct call *call); /* seconds that it waited for its turn */
void call_want_model(struct call *call);
/* Its prompt is begun; true the first time. */
bool call_started(struct call *call);

/* The endings; each frees the call. With an error, in the stream if that has begun. */
void call_fail(struct call *call, const struct vlmd_error *err);
/* 200 with JSON, which is given back here; `more`: header fields. */
void call_answer(struct call *call, const char *more, struct buf *json);
/* The worker died. What a client has seen nothing of begins once more, from the start: true, and
 * the model is waited for. Else it has failed: a request that has lost two workers may be what
 * kills them. */
bool call_lost(struct call *call, const struct vlmd_error *err);

/* Streams: begun with what the kind adds to the header fields, ended after the last event. */
void call_stream_begin(struct call *call, const struct buf *fields);
void call_stream_event(struct call *call, const struct buf *event);
void call_stream_end(struct call *call, const struct buf *last);
