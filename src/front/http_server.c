#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/http_internal.h"

#define WATCH_MS    250
#define KEEPALIVE_S 15 /* of silence before the system asks whether the client is still there */
#define SEND_BUFFER                                                                                \
    (256 << 10) /* bytes that the system may hold for a client who does not read                   \
                 */

/* ---- closing */

static void free_server_if_done(struct http_server *s)
{
    if (!s->closed || s->n_handles > 0 || s->conns)
        return;
    free(s->read_buffer);
    free(s);
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;
    s->n_handles--;
    free_server_if_done(s);
}

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_server_handle_closed);
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct http_conn *c = handle->data;
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
    conn_release(c);
    free(c);
    free_server_if_done(s);
}

void conn_close(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    conn_set_deadline(c, DEADLINE_NONE);
    output_forget(c);
    turns_leave(c);
    c->state = CONN_CLOSED;
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

/* ---- deadlines */

static void on_timer(uv_timer_t *timer);

static void run_timer_until(struct http_server *s, uint64_t due)
{
    uint64_t now = uv_now(s->loop);
    if (s->closed || (s->timer_due != 0 && s->timer_due <= due))
        return;
    s->timer_due = due;
    uv_timer_start(&s->timer, on_timer, due > now ? due - now : 0, 0);
}

static void leave_queue(struct http_conn *c)
{
    struct deadline_queue *q = &c->server->deadlines[c->deadline];
    if (c->sooner)
        c->sooner->later = c->later;
    else
        q->first = c->later;
    if (c->later)
        c->later->sooner = c->sooner;
    else
        q->last = c->sooner;
    c->deadline = DEADLINE_NONE;
}

void conn_set_deadline(struct http_conn *c, enum deadline kind)
{
    struct http_server *s = c->server;
    if (c->deadline != DEADLINE_NONE)
        leave_queue(c);
    if (kind == DEADLINE_NONE || c->state == CONN_CLOSED)
        return;
    struct deadline_queue *q = &s->deadlines[kind];
    c->deadline = kind;
    c->due = uv_now(s->loop) + q->ms;
    c->sooner = q->last;
    c->later = NULL;
    if (q->last)
        q->last->later = c;
    else
        q->first = c;
    q->last = c;
    run_timer_until(s, c->due);
}

static void expire(struct http_server *s, enum deadline kind)
{
    struct deadline_queue *q = &s->deadlines[kind];
    while (q->first && q->first->due <= uv_now(s->loop)) {
        struct http_conn *c = q->first;
        leave_queue(c);
        conn_deadline_passed(c, kind);
    }
    if (q->first)
        run_timer_until(s, q->first->due);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    s->timer_due = 0;
    for (enum deadline kind = DEADLINE_IDLE; kind < DEADLINE_KINDS; kind++)
        expire(s, kind);
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
    c->chunk_start = SIZE_MAX;
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->n_conns++;
    uv_tcp_init(s->loop, &c->tcp);
    c->tcp.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0) {
        conn_close(c);
    } else if (s->n_conns > s->options.max_connections) {
        metrics_add(s->options.metrics, METRICS_CONNECTIONS_REFUSED, 1);
        conn_close(c);
    } else {
        int buffer = SEND_BUFFER;
        uv_tcp_nodelay(&c->tcp, 1);
        uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
        uv_send_buffer_size((uv_handle_t *)&c->tcp, &buffer);
        conn_start(c);
    }
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

/* Either takes the socket over that somebody else has bound, or binds one. */
static int bind_listener(struct http_server *s, struct vlmd_error *err)
{
    struct sockaddr_storage address = {0};
    const struct http_options *o = &s->options;
    if (o->inherited > 0) {
        int status = uv_tcp_open(&s->listener, o->inherited);
        if (status == 0)
            return 0;
        return err_set(err, VLMD_IO, NULL, "the socket %d that was passed on cannot be used: %s",
                       o->inherited, uv_strerror(status));
    }
    if (parse_address(o->host, o->port, &address) < 0)
        return err_set(err, VLMD_INVALID, "--host", "%s is not an IP address", o->host);
    int status = uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0);
    if (status == 0)
        return 0;
    return err_set(err, VLMD_IO, "--port", "cannot listen on %s port %d: %s", o->host, o->port,
                   uv_strerror(status));
}

static int listen_on(struct http_server *s, struct vlmd_error *err)
{
    struct sockaddr_storage address = {0};
    if (bind_listener(s, err) < 0)
        return -1;
    int status = uv_listen((uv_stream_t *)&s->listener, 1024, on_connection);
    if (status < 0)
        return err_set(err, VLMD_IO, "--port", "cannot listen on %s port %d: %s", s->options.host,
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

static void open_handles(struct http_server *s)
{
    uv_tcp_init(s->loop, &s->listener);
    uv_timer_init(s->loop, &s->timer);
    uv_timer_init(s->loop, &s->later);
    uv_idle_init(s->loop, &s->turn);
    uv_prepare_init(s->loop, &s->turn_end);
    s->listener.data = s->timer.data = s->later.data = s->turn.data = s->turn_end.data = s;
    uv_prepare_start(&s->turn_end, output_turn_end);
    s->n_handles = 5;
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_options *options,
                                     const struct http_handler *handler, struct vlmd_error *err)
{
    const struct http_deadlines *d = &options->deadlines;
    struct http_server *s = calloc(1, sizeof *s);
    char *read_buffer = malloc(HTTP_READ_BYTES);
    if (!s || !read_buffer) {
        free(s);
        free(read_buffer);
        err_no_memory(err, HTTP_READ_BYTES);
        return NULL;
    }
    s->loop = loop;
    s->options = *options;
    s->handler = *handler;
    s->read_buffer = read_buffer;
    s->deadlines[DEADLINE_IDLE].ms = d->idle_ms;
    s->deadlines[DEADLINE_HEAD].ms = d->head_ms;
    s->deadlines[DEADLINE_BODY].ms = d->body_ms;
    s->deadlines[DEADLINE_WATCH].ms = d->write_ms < WATCH_MS ? d->write_ms : WATCH_MS;
    s->deadlines[DEADLINE_LINGER].ms = d->linger_ms;
    open_handles(s);
    if (listen_on(s, err) < 0) {
        http_server_close(s);
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

size_t http_server_body_bytes(const struct http_server *s)
{
    return s->body_bytes;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    close_handle(&s->listener);
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        conn_drain(c);
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
    close_handle(&s->listener);
    close_handle(&s->timer);
    close_handle(&s->later);
    close_handle(&s->turn);
    close_handle(&s->turn_end);
}
