#include "front/http_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/http_response.h"
#include "front/random_id.h"

#define READ_BYTES  (64u << 10)
#define MAX_WAITING (64u << 10) /* bytes of next requests while one is worked on */
#define MAX_LINGER  (1u << 20)  /* bytes that a refused client may still send */

enum conn_state {
    CONN_READING,  /* of a request, or waiting for one */
    CONN_HANDLING, /* the answer is not complete */
    CONN_LINGER,   /* answered and closing: what comes is thrown away */
    CONN_CLOSED,
};

struct http_server {
    uv_loop_t *loop;
    uv_tcp_t listener;
    struct http_options options;
    struct http_handler handler;
    bool loopback;
    bool draining;
    bool closed;          /* by its owner */
    bool listener_closed; /* by the loop */
    int port;
    unsigned n_conns;
    struct http_conn *conns;
    char *read_buffer; /* one for all: what is read is used at once */
};

struct http_conn {
    struct http_server *server;
    struct http_conn *prev, *next;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    int handles; /* not yet closed */
    enum conn_state state;
    struct http_reader *reader; /* NULL between requests */
    struct buf waiting;
    bool advancing;
    bool keep_alive;
    bool head_only; /* the request was HEAD: no body in the answer */
    bool chunked;
    bool streaming;
    bool answered; /* the current request has its head sent */
    size_t lingered;
    uint64_t started_ms;
    int status;
    char request_id[RANDOM_ID_BYTES];
    void (*on_gone)(void *context);
    void *gone_context;
};

struct pending_write {
    uv_write_t request;
    char bytes[];
};

static void feed(struct http_conn *c, const char *data, size_t len);

/* ---- closing */

static void free_server_if_done(struct http_server *s)
{
    if (!s->closed || !s->listener_closed || s->conns)
        return;
    free(s->read_buffer);
    free(s);
}

static void on_conn_handle_closed(uv_handle_t *handle)
{
    struct http_conn *c = handle->data;
    if (--c->handles > 0)
        return;
    struct http_server *s = c->server;
    if (c->on_gone)
        c->on_gone(c->gone_context);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_conns--;
    http_reader_close(c->reader);
    buf_free(&c->waiting);
    free(c);
    free_server_if_done(s);
}

/* The owner of the request hears of it from the loop, never from within a call of its own. */
static void conn_close(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    uv_close((uv_handle_t *)&c->tcp, on_conn_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_handle_closed);
}

static void on_deadline(uv_timer_t *timer);

static void set_deadline(struct http_conn *c, unsigned ms)
{
    if (c->state != CONN_CLOSED)
        uv_timer_start(&c->timer, on_deadline, ms, 0);
}

/* All is sent. */
static void on_linger_shutdown(uv_shutdown_t *request, int status)
{
    struct http_conn *c = request->handle->data;
    if (c->state != CONN_LINGER)
        return;
    if (status < 0)
        conn_close(c);
    else
        set_deadline(c, c->server->options.deadlines.linger_ms);
}

/* Sends what is queued, then an end, and goes on reading for a while: a socket closed with unread
 * bytes would reset the connection and take the answer with it. */
static void linger(struct http_conn *c)
{
    c->state = CONN_LINGER;
    set_deadline(c, c->server->options.deadlines.write_ms);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_linger_shutdown) < 0)
        conn_close(c);
}

/* ---- deadlines */

static void refuse(struct http_conn *c, int status, const char *text)
{
    c->keep_alive = false;
    c->state = CONN_HANDLING;
    c->server->handler.on_refused(c->server->handler.context, c, status, text);
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_conn *c = timer->data;
    bool middle = c->state == CONN_READING && c->reader && !http_reader_idle(c->reader);
    if (middle)
        refuse(c, 408, "the request did not arrive in time");
    else
        conn_close(c);
}

/* ---- writing */

static void watch_writing(struct http_conn *c)
{
    if (c->state != CONN_HANDLING)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) > 0)
        set_deadline(c, c->server->options.deadlines.write_ms);
    else
        uv_timer_stop(&c->timer);
}

static void on_written(uv_write_t *request, int status)
{
    struct http_conn *c = request->handle->data;
    free(request->data);
    if (status < 0 && status != UV_ECANCELED)
        conn_close(c);
    watch_writing(c);
}

/* Sends now what the socket takes and queues the rest. Closes the connection when it fails or too
 * much would wait. */
static void send_bytes(struct http_conn *c, const char *bytes, size_t len)
{
    if (c->state == CONN_CLOSED)
        return;
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;
    size_t queued = uv_stream_get_write_queue_size(stream);
    if (queued == 0) {
        uv_buf_t now = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
        int n = uv_try_write(stream, &now, 1);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        size_t sent = n > 0 ? (size_t)n : 0;
        bytes += sent;
        len -= sent;
    }
    if (len == 0)
        return;
    if (c->streaming && queued + len > c->server->options.max_unsent) {
        log_write(LOG_WARN, "%s: the client reads too slowly and is cut off", c->request_id);
        conn_close(c);
        return;
    }
    struct pending_write *w = malloc(sizeof *w + len);
    if (!w) {
        conn_close(c);
        return;
    }
    memcpy(w->bytes, bytes, len);
    w->request.data = w;
    uv_buf_t rest = uv_buf_init(w->bytes, (unsigned)len);
    if (uv_write(&w->request, stream, &rest, 1, on_written) < 0) {
        free(w);
        conn_close(c);
        return;
    }
    watch_writing(c);
}

static void send_buf(struct http_conn *c, struct buf *out)
{
    if (out->failed)
        conn_close(c);
    else
        send_bytes(c, out->data, out->len);
    buf_free(out);
}

/* ---- the answer */

/* By monitors, all the time. */
static bool is_polled(const char *path)
{
    return strcmp(path, "/health") == 0 || strcmp(path, "/ready") == 0 ||
           strcmp(path, "/metrics") == 0;
}

static void log_answer(struct http_conn *c)
{
    const struct http_request *q = c->reader ? http_reader_request(c->reader) : NULL;
    double seconds = (double)(uv_now(c->server->loop) - c->started_ms) / 1000;
    bool understood = q && q->method && q->path;
    bool quiet = understood && is_polled(q->path) && c->status < 500;
    log_write(quiet ? LOG_DEBUG : LOG_INFO, "%s %s %s %d %.3f s", c->request_id,
              understood ? q->method : "-", understood ? q->path : "-", c->status, seconds);
    c->server->handler.on_answered(c->server->handler.context, understood ? q : NULL, c->status,
                                   seconds);
}

/* The answer is handed to the socket: take the next request, or say goodbye. */
static void answer_done(struct http_conn *c)
{
    c->on_gone = NULL;
    if (c->state == CONN_CLOSED)
        return;
    log_answer(c);
    c->streaming = false;
    if (!c->keep_alive || c->server->draining) {
        linger(c);
        return;
    }
    http_reader_close(c->reader);
    c->reader = NULL;
    c->state = CONN_READING;
    set_deadline(c, c->server->options.deadlines.idle_ms);
    if (c->advancing)
        return; /* the loop below us goes on */
    struct buf waiting = c->waiting;
    c->waiting = (struct buf){0};
    if (waiting.len > 0)
        feed(c, waiting.data, waiting.len);
    buf_free(&waiting);
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
                             .more = more,
                             .framing = HTTP_SIZED,
                             .length = len,
                             .keep_alive = c->keep_alive && !c->server->draining};
    c->keep_alive = head.keep_alive;
    struct buf out = {0};
    http_head_append(&out, &head);
    if (!c->head_only)
        buf_append(&out, body, len);
    send_buf(c, &out);
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
                             .more = more,
                             .framing = c->chunked ? HTTP_CHUNKED : HTTP_TO_END,
                             .keep_alive = c->keep_alive && !c->server->draining};
    c->keep_alive = head.keep_alive;
    struct buf out = {0};
    http_head_append(&out, &head);
    send_buf(c, &out);
}

void http_stream_write(struct http_conn *c, const char *bytes, size_t len)
{
    if (c->state != CONN_HANDLING || len == 0)
        return;
    if (!c->chunked) {
        send_bytes(c, bytes, len);
        return;
    }
    struct buf out = {0};
    buf_appendf(&out, "%zx\r\n", len);
    buf_append(&out, bytes, len);
    buf_append_text(&out, "\r\n");
    send_buf(c, &out);
}

void http_stream_end(struct http_conn *c)
{
    if (c->state != CONN_HANDLING)
        return;
    if (c->chunked)
        send_bytes(c, "0\r\n\r\n", 5);
    answer_done(c);
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
    set_deadline(c, c->server->options.deadlines.head_ms);
    return true;
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
    set_deadline(c, c->server->options.deadlines.body_ms);
    if (q->expects_continue && q->has_length)
        send_bytes(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Reads requests out of the bytes until they are used up or a request is being worked on. Answers
 * given at once make the loop go on instead of calling it again. */
static void feed(struct http_conn *c, const char *data, size_t len)
{
    size_t at = 0;
    bool again = len > 0;
    c->advancing = true;
    while (again && c->state == CONN_READING && begin_request(c)) {
        size_t used;
        switch (http_reader_feed(c->reader, data + at, len - at, &used)) {
        case HTTP_READ_MORE:
            again = false;
            break;
        case HTTP_READ_HEAD:
            judge_head(c);
            again = c->reader != NULL || at + used < len;
            break;
        case HTTP_READ_DONE:
            c->state = CONN_HANDLING;
            uv_timer_stop(&c->timer);
            c->server->handler.on_request(c->server->handler.context, c,
                                          http_reader_request(c->reader));
            again = at + used < len;
            break;
        case HTTP_READ_BAD:
            refuse(c, http_reader_refusal_status(c->reader), http_reader_refusal_text(c->reader));
            break;
        }
        at += used;
    }
    c->advancing = false;
    if (c->state == CONN_HANDLING && at < len && buf_append(&c->waiting, data + at, len - at) < 0)
        conn_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct http_conn *c = handle->data;
    *out = uv_buf_init(c->server->read_buffer, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    struct http_conn *c = stream->data;
    if (n < 0) {
        conn_close(c);
        return;
    }
    if (n == 0 || c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_READING) {
        feed(c, in->base, (size_t)n);
        return;
    }
    if (c->state == CONN_LINGER) {
        c->lingered += (size_t)n;
        if (c->lingered > MAX_LINGER)
            conn_close(c);
        return;
    }
    if (c->waiting.len + (size_t)n > MAX_WAITING ||
        buf_append(&c->waiting, in->base, (size_t)n) < 0)
        conn_close(c);
}

/* ---- accepting */

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_server *s = listener->data;
    if (status < 0) {
        log_write(LOG_WARN, "cannot accept a connection: %s", uv_strerror(status));
        return;
    }
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c)
        return; /* libuv tries again when the next one comes */
    c->server = s;
    c->handles = 2;
    c->tcp.data = c->timer.data = c;
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->n_conns++;
    uv_tcp_init(s->loop, &c->tcp);
    uv_timer_init(s->loop, &c->timer);
    c->tcp.data = c->timer.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 ||
        s->n_conns > s->options.max_connections) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    set_deadline(c, s->options.deadlines.idle_ms);
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        conn_close(c);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int parse_address(const char *host, int port, struct sockaddr_storage *out)
{
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0)
        return 0;
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)out);
}

static int listen_on(struct http_server *s, struct vlmd_error *err)
{
    struct sockaddr_storage address = {0};
    const char *host = s->options.host;
    if (parse_address(host, s->options.port, &address) < 0)
        return err_set(err, VLMD_INVALID, "--host", "%s is not an IP address", host);
    int status = uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&s->listener, 1024, on_connection);
    if (status < 0)
        return err_set(err, VLMD_IO, "--port", "cannot listen on %s port %d: %s", host,
                       s->options.port, uv_strerror(status));
    int len = sizeof address;
    if (uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &len) == 0) {
        s->loopback = is_loopback(&address);
        s->port =
            ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                               : ((struct sockaddr_in6 *)&address)->sin6_port);
    }
    return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    s->listener_closed = true;
    free_server_if_done(s);
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_options *options,
                                     const struct http_handler *handler, struct vlmd_error *err)
{
    struct http_server *s = calloc(1, sizeof *s);
    char *read_buffer = malloc(READ_BYTES);
    if (!s || !read_buffer) {
        free(s);
        free(read_buffer);
        err_no_memory(err, READ_BYTES);
        return NULL;
    }
    s->loop = loop;
    s->options = *options;
    s->handler = *handler;
    s->read_buffer = read_buffer;
    uv_tcp_init(loop, &s->listener);
    s->listener.data = s;
    if (listen_on(s, err) < 0) {
        s->closed = true;
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
        return NULL;
    }
    return s;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

bool http_server_on_loopback(const struct http_server *s)
{
    return s->loopback;
}

unsigned http_server_connections(const struct http_server *s)
{
    return s->n_conns;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_READING)
            conn_close(c);
    }
}

void http_server_close(struct http_server *s)
{
    if (!s)
        return;
    s->closed = true;
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
    else
        free_server_if_done(s);
}
