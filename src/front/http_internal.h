/* What the four files of the HTTP server share: http_server.c (listening, accepting, deadlines),
 * http_conn.c (requests and answers of one connection), http_output.c (its bytes to the socket),
 * http_turns.c (whose next request is read). Nobody else includes this. */
#pragma once

#include "front/http_conn.h"
#include "front/random_id.h"

#define HTTP_READ_BYTES (64u << 10)

enum conn_state {
    CONN_READING,  /* of a request, or waiting for one */
    CONN_HANDLING, /* the answer is not complete */
    CONN_LINGER,   /* answered and closing: what comes is thrown away */
    CONN_CLOSED,
};

/* Every kind of deadline lasts equally long for all, so each is a queue in the order of its ends.
 */
enum deadline {
    DEADLINE_NONE,
    DEADLINE_IDLE,
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_WATCH, /* the next look at a client that reads slowly or was not read for a while */
    DEADLINE_LINGER,
    DEADLINE_KINDS,
};

struct http_conn;

struct deadline_queue {
    unsigned ms;
    struct http_conn *first, *last;
};

struct http_server {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_timer_t timer;      /* at the earliest deadline, or before it */
    uv_prepare_t turn_end; /* before the loop waits: what was written goes out */
    uv_timer_t later;      /* what goes out a little later */
    uv_idle_t turn;        /* while a connection waits for one */
    unsigned n_handles;
    struct deadline_queue deadlines[DEADLINE_KINDS];
    uint64_t timer_due; /* 0: not running */
    struct http_options options;
    struct http_handler handler;
    bool loopback;
    bool draining;
    bool closed; /* by its owner */
    int port;
    unsigned n_conns;
    size_t body_bytes; /* of all requests that are read, wait or are worked on */
    struct http_conn *conns;
    struct http_conn *next_turn, *last_turn; /* those that wait for one, the first come first */
    struct http_conn *unsent, *unsent_later; /* with bytes that the socket was not yet offered */
    char *read_buffer;                       /* one for all: what is read is used at once */
};

enum unsent_list {
    UNSENT_NONE,
    UNSENT_NOW,   /* goes out at the end of this turn of the loop */
    UNSENT_LATER, /* goes out with the next timer */
};

struct http_conn {
    struct http_server *server;
    struct http_conn *prev, *next;
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    enum conn_state state;

    enum deadline deadline;
    uint64_t due;
    struct http_conn *sooner, *later; /* in the queue of its deadline */

    struct http_reader *reader; /* NULL between requests */
    struct buf waiting;         /* bytes of next requests, behind */
    size_t waiting_at;          /* so many that have been read */
    bool awaits_turn;
    struct http_conn *turn_before, *turn_after;
    size_t charged; /* of the server's body_bytes */
    bool paused;    /* requests or answers wait: the socket is not read */
    bool flooded;   /* too much came while a request was worked on: all is thrown away */
    bool keep_alive;
    bool head_only; /* the request was HEAD: no body in the answer */
    bool chunked;
    bool streaming;
    size_t lingered, thrown_away;
    uint64_t started_ms;
    int status;
    char *fields; /* of the answer, beside what it says itself; NULL: none */
    char request_id[RANDOM_ID_BYTES];
    void (*on_gone)(void *context);
    void *gone_context;

    struct buf out;     /* not yet offered to the socket */
    size_t chunk_start; /* in out: of the chunk that is being written, SIZE_MAX without one */
    size_t in_flight;   /* bytes that libuv holds */
    uint64_t sent_ms;   /* when bytes were offered the last time */
    uint64_t taken;     /* bytes that the socket took, ever */
    uint64_t mark_taken, mark_ms; /* what it had taken when the slow client was last judged */
    enum unsent_list list;
    struct http_conn *unsent_prev, *unsent_next;
};

/* ---- http_server.c */

void conn_set_deadline(struct http_conn *c, enum deadline kind);
/* The owner of the request hears of it from the loop, never from within a call of its own. */
void conn_close(struct http_conn *c);

/* ---- http_conn.c */

void conn_start(struct http_conn *c); /* just accepted */
void conn_deadline_passed(struct http_conn *c, enum deadline kind);
void conn_release(struct http_conn *c); /* gives back what it holds, but not itself */
void conn_all_sent(struct http_conn *c);
void conn_drain(struct http_conn *c); /* no further request */
/* Reads one of the requests that wait; asks for another turn when there are more. */
void conn_take_turn(struct http_conn *c);

/* ---- http_turns.c: a client may send many requests at once; the first is read when it comes, each
 * other in a turn of its own, and every turn of the loop has one of them. So whoever else has sent
 * something meanwhile waits for one such request, however many clients have sent however many. */

void turns_join(struct http_conn *c); /* at the end, unless it waits already */
void turns_leave(struct http_conn *c);
void turns_next(uv_idle_t *handle);

/* ---- http_output.c */

void output_append(struct http_conn *c, const char *bytes, size_t len);
void output_chunk(struct http_conn *c, const char *bytes, size_t len); /* of a chunked body */
void output_end_chunk(struct http_conn *c);
/* The bytes go out when the loop's turn ends or, when the last ones have only just gone, a little
 * later: a client that is sent one token at a time gets those together that come together. */
void output_soon(struct http_conn *c);
/* Now. Closes the connection when it fails or when too much of a stream would wait. */
void output_flush(struct http_conn *c);
void output_forget(struct http_conn *c); /* leaves the lists */
size_t output_unsent(const struct http_conn *c);
void output_turn_end(uv_prepare_t *handle);
void output_later(uv_timer_t *timer);
/* False when the client has taken too little for too long; looks at most every write_ms. */
bool output_progresses(struct http_conn *c);
