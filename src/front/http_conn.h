/* Connections: bytes of a socket into requests, responses into bytes, with every deadline and
 * buffer bounded. What a request means is the handler's matter.
 *
 * The socket is read while a request is worked on, so that a client that goes away is noticed at
 * once. One request at a time: bytes of next ones wait, and are read one request in each turn of
 * the loop; with more than 1 MiB of them they are thrown away, and the answer that is worked on is
 * the connection's last. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/err.h"
#include "front/http_reader.h"
#include "front/metrics.h"

struct http_conn;
struct http_server;

struct http_deadlines {
    unsigned idle_ms;   /* for the first byte of a request */
    unsigned head_ms;   /* from there to the end of the head, however it trickles */
    unsigned body_ms;   /* from there to the end of the body */
    unsigned write_ms;  /* in which the client takes 16 KiB of what waits for it, or all of it */
    unsigned linger_ms; /* for what a refused client still sends */
};

struct http_handler {
    void *context;
    /* The head is sound, the body not yet read. Return false after answering with http_respond; the
     * connection closes then. */
    bool (*on_head)(void *context, struct http_conn *conn, const struct http_request *request);
    /* The request is complete. Answer now or later, once. The request lives until the answer. */
    void (*on_request)(void *context, struct http_conn *conn, struct http_request *request);
    /* The reader refused; answer with http_respond. */
    void (*on_refused)(void *context, struct http_conn *conn, int status, const char *text);
    /* An answer is complete. `request` is NULL when its head was not understood. */
    void (*on_answered)(void *context, const struct http_conn *conn,
                        const struct http_request *request, int status, double seconds);
};

struct http_options {
    const char *host;
    int port;      /* 0: any free one */
    int inherited; /* a bound socket to listen on instead, taken over; 0: none */
    struct http_limits limits;
    struct http_deadlines deadlines;
    unsigned max_connections;
    size_t max_unsent;  /* bytes of a stream that may wait for a slow client */
    size_t body_memory; /* bytes of all requests together that are read, wait or are worked on */
    struct metrics *metrics; /* NULL: nobody counts */
};

/* Listens. The server belongs to the caller; `handler` is copied. NULL with *err. */
struct http_server *http_server_open(uv_loop_t *loop, const struct http_options *options,
                                     const struct http_handler *handler, struct vlmd_error *err);
int http_server_port(const struct http_server *server);
bool http_server_on_loopback(const struct http_server *server);
unsigned http_server_connections(const struct http_server *server);
size_t http_server_body_bytes(const struct http_server *server);
/* Stops listening and closes connections that have no request. */
void http_server_drain(struct http_server *server);
/* Closes everything. The memory is given back by the loop, which must run until it is empty. */
void http_server_close(struct http_server *server);

/* Names the request in header and log; made by the connection, the same until the answer. */
const char *http_conn_request_id(const struct http_conn *conn);
/* Calls fn when the client goes away before the answer is complete, from the loop and as the last
 * use of the connection; NULL to be left alone. Until then all calls are harmless. */
void http_conn_on_gone(struct http_conn *conn, void (*fn)(void *context), void *context);
/* The body of the request being handled, handed over. It counts among the server's bodies until
 * the answer, or until http_conn_body_used says that nothing is left of it. */
char *http_conn_take_body(struct http_conn *conn, size_t *len);
void http_conn_body_used(struct http_conn *conn);

/* Further fields of the answer to this request, whatever it will be, each ended by CRLF; copied. */
void http_conn_set_fields(struct http_conn *conn, const char *fields);

/* Answers in one piece. `more`: further header fields, each ended by CRLF, or NULL. */
void http_respond(struct http_conn *conn, int status, const char *type, const char *more,
                  const char *body, size_t len);
/* Answers in pieces: begin, any number of writes, end. A failed write closes the connection. */
void http_stream_begin(struct http_conn *conn, int status, const char *type, const char *more);
void http_stream_write(struct http_conn *conn, const char *bytes, size_t len);
void http_stream_end(struct http_conn *conn);
