#include "front/http_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/http_internal.h"
#include "front/http_response.h"

#define MAX_WAITING (1u << 20)   /* bytes of next requests while one is worked on */
#define MAX_FLOOD   (80u << 20)  /* bytes that are thrown away, with more than that */
#define MAX_LINGER  (1u << 20)   /* bytes that a refused client may still send */
#define MAX_OWED    (256u << 10) /* bytes of answers that a client may let wait and ask for more */

static void go_on(struct http_conn *c);
static void read_again(struct http_conn *c);

/* ---- what a connection holds */

/* Counts what is held of this connection's request. */
static void charge(struct http_conn *c, size_t bytes)
{
    c->server->body_bytes += bytes - c->charged;
    c->charged = bytes;
}

static bool over_memory(const struct http_server *s)
{
    return s->body_bytes > s->options.body_memory;
}

/* Bytes of next requests that wait. */
static size_t waiting_bytes(const struct http_conn *c)
{
    return c->waiting.len - c->waiting_at;
}

static void drop_waiting(struct http_conn *c)
{
    turns_leave(c);
    c->server->body_bytes -= waiting_bytes(c);
    buf_free(&c->waiting);
    c->waiting_at = 0;
}

static void end_request(struct http_conn *c)
{
    charge(c, 0);
    http_reader_close(c->reader);
    c->reader = NULL;
    free(c->fields);
    c->fields = NULL;
}

void conn_release(struct http_conn *c)
{
    end_request(c);
    drop_waiting(c);
    buf_free(&c->out);
}

void http_conn_body_used(struct http_conn *c)
{
    charge(c, 0);
}

/* ---- the last steps */

static void on_linger_shutdown(uv_shutdown_t *request, int status)
{
    struct http_conn *c = request->handle->data;
    if (c->state != CONN_LINGER)
        return;
    if (status < 0)
        conn_close(c);
    else
        conn_set_deadline(c, DEADLINE_LINGER);
}

/* Sends what is queued, then an end, and goes on reading for a while: a socket closed with unread
 * bytes would reset the connection and take the answer with it. */
static void linger(struct http_conn *c)
{
    c->state = CONN_LINGER;
    end_request(c);
    drop_waiting(c);
    if (c->paused)
        read_again(c);
    if (output_unsent(c) == 0)
        conn_all_sent(c);
}

void conn_all_sent(struct http_conn *c)
{
    if (c->state == CONN_HANDLING) {
        conn_set_deadline(c, DEADLINE_NONE);
    } else if (c->state == CONN_READING) {
        if (!c->reader)
            conn_set_deadline(c, DEADLINE_IDLE);
        go_on(c);
    } else if (c->state == CONN_LINGER) {
        conn_set_deadline(c, DEADLINE_LINGER);
        if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_linger_shutdown) < 0)
            conn_close(c);
    }
}

/* ---- deadlines */

static void refuse(struct http_conn *c, int status, const char *text)
{
    c->keep_alive = false;
    c->state = CONN_HANDLING;
    c->server->handler.on_refused(c->server->handler.context, c, status, text);
}

static void watch(struct http_conn *c)
{
    if (!output_progresses(c)) {
        metrics_add(c->server->options.metrics, METRICS_LATE_READ, 1);
        conn_close(c);
    } else if (c->paused || output_unsent(c) > 0) {
        conn_set_deadline(c, DEADLINE_WATCH);
    }
}

void conn_deadline_passed(struct http_conn *c, enum deadline kind)
{
    struct metrics *metrics = c->server->options.metrics;
    if (kind == DEADLINE_WATCH) {
        watch(c);
    } else if (kind == DEADLINE_HEAD || kind == DEADLINE_BODY) {
        metrics_add(metrics, kind == DEADLINE_HEAD ? METRICS_LATE_HEAD : METRICS_LATE_BODY, 1);
        refuse(c, 408, "the request did not arrive in time");
    } else {
        if (kind == DEADLINE_IDLE)
            metrics_add(metrics, METRICS_LATE_IDLE, 1);
        conn_close(c);
    }
}

/* ---- the answer */

static void tell_answered(struct http_conn *c)
{
    const struct http_request *q = c->reader ? http_reader_request(c->reader) : NULL;
    double seconds = (double)(uv_now(c->server->loop) - c->started_ms) / 1000;
    bool understood = q && q->method && q->path;
    c->server->handler.on_answered(c->server->handler.context, c, understood ? q : NULL, c->status,
                                   seconds);
}

/* A client that has still to take the last answer is watched; one that has it may be idle. */
static void await_request(struct http_conn *c)
{
    conn_set_deadline(c, output_unsent(c) > 0 ? DEADLINE_WATCH : DEADLINE_IDLE);
}

/* The answer is handed to the socket: take the next request, or say goodbye. */
static void answer_done(struct http_conn *c)
{
    c->on_gone = NULL;
    if (c->state == CONN_CLOSED)
        return;
    tell_answered(c);
    output_forget(c);
    output_flush(c);
    c->streaming = false;
    if (c->state == CONN_CLOSED)
        return;
    if (!c->keep_alive || c->server->draining) {
        linger(c);
        return;
    }
    end_request(c);
    c->state = CONN_READING;
    await_request(c);
    go_on(c);
}

void http_respond(struct http_conn *c, int status, const char *type, const char *more,
                  const char *body, size_t len)
{
    if (c->state != CONN_HANDLING)
        return;
    c->status = status;
    struct http_head head = {.status = status,
                             .type = type,
                             .request_id = c->request_id,
                             .also = c->fields,
                             .more = more,
                             .framing = HTTP_SIZED,
                             .length = len,
                             .keep_alive = c->keep_alive && !c->server->draining};
    c->keep_alive = head.keep_alive;
    http_head_append(&c->out, &head);
    if (!c->head_only)
        output_append(c, body, len);
    answer_done(c);
}

void http_stream_begin(struct http_conn *c, int status, const char *type, const char *more)
{
    if (c->state != CONN_HANDLING)
        return;
    const struct http_request *q = http_reader_request(c->reader);
    c->status = status;
    c->streaming = true;
    c->chunked = q->minor >= 1;
    if (!c->chunked)
        c->keep_alive = false;
    struct http_head head = {.status = status,
                             .type = type,
                             .request_id = c->request_id,
                             .also = c->fields,
                             .more = more,
                             .framing = c->chunked ? HTTP_CHUNKED : HTTP_TO_END,
                             .keep_alive = c->keep_alive && !c->server->draining};
    c->keep_alive = head.keep_alive;
    http_head_append(&c->out, &head);
    output_soon(c);
}

void http_stream_write(struct http_conn *c, const char *bytes, size_t len)
{
    if (c->state != CONN_HANDLING || len == 0)
        return;
    if (c->chunked)
        output_chunk(c, bytes, len);
    else
        output_append(c, bytes, len);
    output_soon(c);
}

void http_stream_end(struct http_conn *c)
{
    if (c->state != CONN_HANDLING)
        return;
    if (c->chunked)
        output_append(c, "0\r\n\r\n", 5);
    answer_done(c);
}

void http_conn_set_fields(struct http_conn *c, const char *fields)
{
    free(c->fields);
    c->fields = *fields ? strdup(fields) : NULL;
}

const char *http_conn_request_id(const struct http_conn *c)
{
    return c->request_id;
}

void http_conn_on_gone(struct http_conn *c, void (*fn)(void *context), void *context)
{
    c->on_gone = fn;
    c->gone_context = context;
}

char *http_conn_take_body(struct http_conn *c, size_t *len)
{
    return http_reader_take_body(c->reader, len);
}

/* ---- reading */

static bool begin_request(struct http_conn *c)
{
    if (c->reader)
        return true;
    c->reader = http_reader_open(&c->server->options.limits);
    if (!c->reader) {
        conn_close(c);
        return false;
    }
    random_id(c->request_id, "req_");
    c->started_ms = uv_now(c->server->loop);
    c->keep_alive = false;
    c->head_only = false;
    conn_set_deadline(c, DEADLINE_HEAD);
    return true;
}

static void send_continue(struct http_conn *c)
{
    output_append(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    output_flush(c);
    if (c->state == CONN_READING)
        conn_set_deadline(c, DEADLINE_BODY); /* also when the client has yet to read that */
}

static void judge_head(struct http_conn *c)
{
    const struct http_request *q = http_reader_request(c->reader);
    c->head_only = strcmp(q->method, "HEAD") == 0;
    /* An early answer leaves the body unread: then the connection ends. */
    c->keep_alive = q->keep_alive && !q->has_length;
    c->state = CONN_HANDLING;
    if (!c->server->handler.on_head(c->server->handler.context, c, q))
        return;
    if (c->state != CONN_HANDLING)
        return;
    c->state = CONN_READING;
    c->keep_alive = q->keep_alive;
    conn_set_deadline(c, DEADLINE_BODY);
    if (q->expects_continue && q->has_length)
        send_continue(c);
}

/* Too many answers wait for a client that asks for more of them. */
static bool owes_too_much(const struct http_conn *c)
{
    return output_unsent(c) > MAX_OWED;
}

/* More of the request is to come: is there room for it? */
static void want_more(struct http_conn *c)
{
    if (!over_memory(c->server))
        return;
    metrics_add(c->server->options.metrics, METRICS_BODIES_REFUSED, 1);
    refuse(c, 503, "the server holds as many requests as it has memory for; try again later");
}

static void work_on_request(struct http_conn *c)
{
    c->state = CONN_HANDLING;
    if (c->paused)
        read_again(c);
    if (c->state == CONN_CLOSED)
        return;
    conn_set_deadline(c, output_unsent(c) > 0 ? DEADLINE_WATCH : DEADLINE_NONE);
    c->server->handler.on_request(c->server->handler.context, c, http_reader_request(c->reader));
}

/* A client that sends so much is read on all the same, since its end would come behind it; but what
 * it sends is lost, and this answer is the connection's last. */
static void throw_away(struct http_conn *c, size_t len)
{
    drop_waiting(c);
    c->keep_alive = false;
    c->flooded = true;
    c->thrown_away += len;
    if (c->thrown_away > MAX_FLOOD)
        conn_close(c);
}

/* The socket is left alone: its client has a turn to wait for, or answers to take. */
static void hold(struct http_conn *c)
{
    c->paused = true;
    uv_read_stop((uv_stream_t *)&c->tcp);
    conn_set_deadline(c, DEADLINE_WATCH);
    if (!owes_too_much(c))
        turns_join(c);
}

/* Keeps the bytes of next requests. While a request is worked on the socket is read all the same,
 * so that its end is seen. */
static void keep_waiting(struct http_conn *c, const char *data, size_t len)
{
    bool working = c->state == CONN_HANDLING;
    bool much = waiting_bytes(c) + len > MAX_WAITING || over_memory(c->server);
    if (c->flooded || (working && much)) {
        throw_away(c, waiting_bytes(c) + len);
        return;
    }
    if (buf_append(&c->waiting, data, len) < 0) {
        conn_close(c);
        return;
    }
    c->server->body_bytes += len;
    if (!working)
        hold(c);
}

/* Reads one request out of the bytes, or as much of it as has come. Returns how many bytes belonged
 * to it. */
static size_t feed(struct http_conn *c, const char *data, size_t len)
{
    size_t at = 0;
    bool again = len > 0;
    while (again && c->state == CONN_READING && begin_request(c)) {
        size_t used;
        enum http_read got = http_reader_feed(c->reader, data + at, len - at, &used);
        at += used;
        charge(c, http_reader_bytes(c->reader));
        switch (got) {
        case HTTP_READ_MORE:
            want_more(c);
            break;
        case HTTP_READ_HEAD:
            judge_head(c);
            break;
        case HTTP_READ_DONE:
            work_on_request(c);
            break;
        case HTTP_READ_BAD:
            refuse(c, http_reader_refusal_status(c->reader), http_reader_refusal_text(c->reader));
            break;
        }
        /* A body may be empty, and then there are no bytes to find that in. */
        again = c->reader && (at < len || got == HTTP_READ_HEAD);
    }
    return at;
}

/* The client may send, or gets a turn for what it has sent already. */
static void go_on(struct http_conn *c)
{
    if (waiting_bytes(c) > 0)
        hold(c);
    else if (c->paused)
        read_again(c);
}

void conn_take_turn(struct http_conn *c)
{
    struct buf bytes =
        c->waiting; /* ours while they are read, whatever becomes of the connection */
    size_t at = c->waiting_at;
    c->server->body_bytes -= waiting_bytes(c);
    c->waiting = (struct buf){0};
    c->waiting_at = 0;
    at += feed(c, bytes.data + at, bytes.len - at);
    if (at == bytes.len || c->state == CONN_LINGER || c->state == CONN_CLOSED) {
        buf_free(&bytes);
    } else {
        if (at > bytes.len / 2) { /* else bytes would be moved again and again */
            buf_consume(&bytes, at);
            at = 0;
        }
        c->waiting = bytes;
        c->waiting_at = at;
        c->server->body_bytes += waiting_bytes(c);
    }
    if (c->state == CONN_READING)
        go_on(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct http_conn *c = handle->data;
    *out = uv_buf_init(c->server->read_buffer, HTTP_READ_BYTES);
}

/* What comes to a connection that has nothing else to do is read at once; the rest behind that
 * request, and what comes meanwhile, waits. */
static void take(struct http_conn *c, const char *data, size_t len)
{
    bool free = c->state == CONN_READING && waiting_bytes(c) == 0 && !owes_too_much(c);
    size_t used = free ? feed(c, data, len) : 0;
    if (used < len && (c->state == CONN_HANDLING || c->state == CONN_READING))
        keep_waiting(c, data + used, len - used);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    struct http_conn *c = stream->data;
    if (n < 0) {
        conn_close(c);
    } else if (c->state == CONN_LINGER) {
        c->lingered += (size_t)n;
        if (c->lingered > MAX_LINGER)
            conn_close(c);
    } else if (c->state != CONN_CLOSED) {
        take(c, in->base, (size_t)n);
    }
}

static void read_again(struct http_conn *c)
{
    c->paused = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        conn_close(c);
}

void conn_start(struct http_conn *c)
{
    conn_set_deadline(c, DEADLINE_IDLE);
    read_again(c);
}

void conn_drain(struct http_conn *c)
{
    if (c->state != CONN_READING)
        return;
    if (output_unsent(c) > 0)
        linger(c);
    else
        conn_close(c);
}
