#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "front/http_internal.h"

#define LATER_MS    5           /* between two writes of a stream that has more at once */
#define ENOUGH      (32u << 10) /* bytes that do not wait for more */
#define MAX_CHUNK   0xFFFFFFu   /* of a body, in six digits */
#define CHUNK_HEAD  8           /* bytes of "00001f\r\n" */
#define MIN_TAKEN   (16u << 10) /* bytes that a slow client must take in each write_ms */
#define KEEP_BUFFER (4u << 10)  /* of an empty buffer; larger ones are given back */

struct pending_write {
    uv_write_t request;
    struct buf bytes;
};

size_t output_unsent(const struct http_conn *c)
{
    return c->out.len + c->in_flight;
}

/* ---- the lists */

static struct http_conn **head_of(struct http_conn *c)
{
    return c->list == UNSENT_NOW ? &c->server->unsent : &c->server->unsent_later;
}

void output_forget(struct http_conn *c)
{
    if (c->list == UNSENT_NONE)
        return;
    if (c->unsent_prev)
        c->unsent_prev->unsent_next = c->unsent_next;
    else
        *head_of(c) = c->unsent_next;
    if (c->unsent_next)
        c->unsent_next->unsent_prev = c->unsent_prev;
    c->list = UNSENT_NONE;
}

static void enlist(struct http_conn *c, enum unsent_list list)
{
    c->list = list;
    struct http_conn **head = head_of(c);
    c->unsent_prev = NULL;
    c->unsent_next = *head;
    if (*head)
        (*head)->unsent_prev = c;
    *head = c;
}

void output_soon(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->out.len >= ENOUGH) {
        output_forget(c);
        output_flush(c);
        return;
    }
    if (c->list != UNSENT_NONE)
        return;
    bool wait = uv_now(s->loop) - c->sent_ms < LATER_MS;
    enlist(c, wait ? UNSENT_LATER : UNSENT_NOW);
    if (wait && !uv_is_active((uv_handle_t *)&s->later))
        uv_timer_start(&s->later, output_later, LATER_MS, 0);
}

static void flush_list(struct http_conn **head)
{
    while (*head) {
        struct http_conn *c = *head;
        output_forget(c);
        output_flush(c);
    }
}

void output_turn_end(uv_prepare_t *handle)
{
    struct http_server *s = handle->data;
    flush_list(&s->unsent);
}

void output_later(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    flush_list(&s->unsent_later);
}

/* ---- framing */

void output_append(struct http_conn *c, const char *bytes, size_t len)
{
    output_end_chunk(c);
    buf_append(&c->out, bytes, len);
}

/* What is written until the bytes go out is one chunk; its size is put in at its end. Leading
 * zeros are part of the grammar (RFC 9112, 7.1: chunk-size = 1*HEXDIG). */
void output_chunk(struct http_conn *c, const char *bytes, size_t len)
{
    if (c->chunk_start != SIZE_MAX &&
        c->out.len - c->chunk_start - CHUNK_HEAD > (size_t)MAX_CHUNK - len)
        output_end_chunk(c);
    if (c->chunk_start == SIZE_MAX) {
        c->chunk_start = c->out.len;
        buf_append(&c->out, "000000\r\n", CHUNK_HEAD);
    }
    buf_append(&c->out, bytes, len);
}

void output_end_chunk(struct http_conn *c)
{
    static const char digits[] = "0123456789abcdef";
    if (c->chunk_start == SIZE_MAX || c->out.failed)
        return;
    size_t len = c->out.len - c->chunk_start - CHUNK_HEAD;
    for (int i = 5; i >= 0; i--, len >>= 4)
        c->out.data[c->chunk_start + (size_t)i] = digits[len & 15];
    c->chunk_start = SIZE_MAX;
    buf_append(&c->out, "\r\n", 2);
}

/* ---- to the socket */

static void on_written(uv_write_t *request, int status)
{
    struct pending_write *w = request->data;
    struct http_conn *c = request->handle->data;
    c->taken += w->bytes.len;
    c->in_flight = 0;
    buf_free(&w->bytes);
    free(w);
    if (status < 0 && status != UV_ECANCELED) {
        conn_close(c);
        return;
    }
    output_flush(c);
    if (output_unsent(c) == 0)
        conn_all_sent(c);
}

/* Bytes that the system holds because the client has not acknowledged them. There may be megabytes
 * of them, and room for more is only told when much of it is free: they have to be looked at to
 * see whether a slow client goes on reading. */
static size_t held_by_system(const struct http_conn *c)
{
    int fd, held = 0;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) < 0)
        return 0;
#ifdef SO_NWRITE
    socklen_t len = sizeof held;
    int status = getsockopt(fd, SOL_SOCKET, SO_NWRITE, &held, &len);
#else
    int status = ioctl(fd, TIOCOUTQ, &held);
#endif
    return status == 0 && held > 0 ? (size_t)held : 0;
}

/* Of all bytes ever; exact enough to be compared with itself. */
static uint64_t taken_by_client(const struct http_conn *c)
{
    size_t left = uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
    uint64_t given = c->taken + (left < c->in_flight ? c->in_flight - left : 0);
    size_t held = held_by_system(c);
    return held < given ? given - held : 0;
}

/* Hands what the socket did not take to libuv. */
static int queue_rest(struct http_conn *c)
{
    struct pending_write *w = calloc(1, sizeof *w);
    if (!w)
        return -1;
    w->request.data = w;
    w->bytes = c->out;
    c->out = (struct buf){0};
    uv_buf_t rest = uv_buf_init(w->bytes.data, (unsigned)w->bytes.len);
    if (uv_write(&w->request, (uv_stream_t *)&c->tcp, &rest, 1, on_written) < 0) {
        buf_free(&w->bytes);
        free(w);
        return -1;
    }
    c->in_flight = w->bytes.len;
    c->mark_ms = uv_now(c->server->loop);
    c->mark_taken = taken_by_client(c);
    conn_set_deadline(c, DEADLINE_WATCH);
    return 0;
}

static int offer(struct http_conn *c)
{
    uv_buf_t all = uv_buf_init(c->out.data, (unsigned)c->out.len);
    int n = uv_try_write((uv_stream_t *)&c->tcp, &all, 1);
    if (n < 0 && n != UV_EAGAIN)
        return -1;
    size_t sent = n > 0 ? (size_t)n : 0;
    c->taken += sent;
    c->sent_ms = uv_now(c->server->loop);
    if (sent < c->out.len) {
        buf_consume(&c->out, sent);
        return queue_rest(c);
    }
    if (c->out.cap > KEEP_BUFFER)
        buf_free(&c->out);
    else
        buf_reset(&c->out);
    return 0;
}

void output_flush(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    output_end_chunk(c);
    if (c->out.failed) {
        conn_close(c);
        return;
    }
    if (c->out.len > 0 && c->in_flight == 0 && offer(c) < 0) {
        conn_close(c);
        return;
    }
    if (c->streaming && output_unsent(c) > c->server->options.max_unsent) {
        log_write(LOG_WARN, "%s: the client reads too slowly and is cut off", c->request_id);
        metrics_add(c->server->options.metrics, METRICS_SLOW_READERS, 1);
        conn_close(c);
    }
}

bool output_progresses(struct http_conn *c)
{
    uint64_t now = uv_now(c->server->loop);
    if (c->in_flight == 0 || now - c->mark_ms < c->server->options.deadlines.write_ms)
        return true;
    uint64_t taken = taken_by_client(c);
    if (taken < c->mark_taken + MIN_TAKEN)
        return false;
    c->mark_ms = now;
    c->mark_taken = taken;
    return true;
}
