#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/pass_fd.h"

#define HEADER_BYTES 8
#define READ_CHUNK   (64u << 10)
#define READ_TURN    (1u << 20) /* read at most this much before the loop gets its turn */

/* Descriptors that go out with the byte at `at` of the unsent bytes. */
struct outgoing {
    size_t at;
    size_t n_fds;
    int fds[IPC_MAX_FDS];
    struct outgoing *next;
};

struct channel {
    int fd;
    enum ipc_role self;
    enum ipc_role peer;
    enum ipc_state state;
    struct buf in;
    size_t in_used; /* bytes of `in` that were taken as messages */
    int in_fds[2 * IPC_MAX_FDS];
    size_t n_in_fds;
    struct buf out;
    size_t out_sent; /* bytes of `out` that the socket has taken */
    struct outgoing *first, **last;
};

int channel_pair(int fds[2], struct vlmd_error *err)
{
#ifdef SOCK_CLOEXEC
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return err_errno(err, NULL, "cannot create a socket pair");
#else
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return err_errno(err, NULL, "cannot create a socket pair");
    for (int i = 0; i < 2; i++) {
        int on = 1;
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        setsockopt(fds[i], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
    }
#endif
    return 0;
}

struct channel *channel_open(int fd, enum ipc_role self, enum ipc_role peer, struct vlmd_error *err)
{
    struct channel *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(err, sizeof *c);
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->self = self;
    c->peer = peer;
    c->state = IPC_STATE_NEW;
    c->last = &c->first;
    return c;
}

static void drop_first(struct channel *c)
{
    struct outgoing *o = c->first;
    for (size_t i = 0; i < o->n_fds; i++)
        close(o->fds[i]);
    c->first = o->next;
    if (!c->first)
        c->last = &c->first;
    free(o);
}

void channel_close(struct channel *c)
{
    if (!c)
        return;
    while (c->first)
        drop_first(c);
    for (size_t i = 0; i < c->n_in_fds; i++)
        close(c->in_fds[i]);
    buf_free(&c->in);
    buf_free(&c->out);
    close(c->fd);
    free(c);
}

int channel_fd(const struct channel *c)
{
    return c->fd;
}

size_t channel_backlog(const struct channel *c)
{
    return c->out.len - c->out_sent;
}

bool channel_wants_write(const struct channel *c)
{
    return channel_backlog(c) > 0;
}

enum ipc_state channel_state(const struct channel *c)
{
    return c->state;
}

/* ---- sending */

/* Appends header and body to `out`; on failure `out` is as it was. */
static int queue_frame(struct channel *c, const struct ipc_message *m, struct outgoing *o,
                       struct vlmd_error *err)
{
    size_t start = c->out.len;
    char header[HEADER_BYTES] = {0};
    buf_append(&c->out, header, sizeof header);
    if (c->out.failed) {
        c->out.failed = false;
        return err_no_memory(err, start + sizeof header);
    }
    if (ipc_encode(m, &c->out, o->fds, &o->n_fds, err) < 0) {
        c->out.len = start;
        c->out.failed = false;
        return -1;
    }
    size_t body = c->out.len - start - HEADER_BYTES;
    uint8_t *h = (uint8_t *)c->out.data + start;
    for (int i = 0; i < 4; i++)
        h[i] = (uint8_t)(body >> (8 * i));
    h[4] = (uint8_t)m->type;
    h[5] = (uint8_t)((unsigned)m->type >> 8);
    h[6] = (uint8_t)o->n_fds;
    h[7] = IPC_VERSION;
    o->at = start;
    return 0;
}

int channel_send(struct channel *c, struct ipc_message *m, struct vlmd_error *err)
{
    struct outgoing *o = NULL;
    if (!ipc_allowed(m->type, c->self, c->state)) {
        err_set(err, VLMD_INTERNAL, NULL, "%s may not be sent now", ipc_type_name(m->type));
        goto fail;
    }
    if (channel_backlog(c) > CHANNEL_MAX_BACKLOG) {
        err_set(err, VLMD_BUSY, NULL, "the other process does not read its messages");
        goto fail;
    }
    o = calloc(1, sizeof *o);
    if (!o) {
        err_no_memory(err, sizeof *o);
        goto fail;
    }
    if (queue_frame(c, m, o, err) < 0)
        goto fail;
    if (o->n_fds > 0) {
        *c->last = o;
        c->last = &o->next;
    } else {
        free(o);
    }
    c->state = ipc_next_state(m->type, c->state);
    ipc_message_forget_fds(m); /* the queue's entry has them */
    return channel_flush(c, err);
fail:
    free(o);
    ipc_message_close_fds(m);
    return -1;
}

/* One sendmsg. Descriptors go with the first byte of their frame, so a piece ends before the next
 * frame that has some. Returns bytes sent, 0 when the socket is full. */
static ssize_t send_piece(struct channel *c, struct vlmd_error *err)
{
    const char *bytes = c->out.data + c->out_sent;
    size_t len = c->out.len - c->out_sent;
    struct outgoing *o = c->first;
    size_t n_fds = 0;
    if (o && o->at == c->out_sent) {
        n_fds = o->n_fds;
        if (o->next && o->next->at - c->out_sent < len)
            len = o->next->at - c->out_sent;
    } else if (o) {
        len = o->at - c->out_sent;
    }
    ssize_t n = pass_fd_send(c->fd, bytes, len, n_fds ? o->fds : NULL, n_fds);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n < 0)
        return err_errno(err, NULL, "cannot send to the other process");
    if (n_fds)
        drop_first(c);
    return n;
}

/* Forgets what was sent, once that is worth a move of the rest. */
static void compact_out(struct channel *c)
{
    if (c->out_sent < c->out.len && c->out_sent < READ_TURN)
        return;
    for (struct outgoing *o = c->first; o; o = o->next)
        o->at -= c->out_sent;
    buf_consume(&c->out, c->out_sent);
    c->out_sent = 0;
}

int channel_flush(struct channel *c, struct vlmd_error *err)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send_piece(c, err);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        c->out_sent += (size_t)n;
    }
    compact_out(c);
    return 0;
}

/* ---- receiving */

int channel_receive(struct channel *c, struct vlmd_error *err)
{
    buf_consume(&c->in, c->in_used);
    c->in_used = 0;
    for (size_t turn = 0; turn < READ_TURN;) {
        if (buf_reserve(&c->in, READ_CHUNK) < 0) {
            c->in.failed = false;
            return err_no_memory(err, c->in.len + READ_CHUNK);
        }
        size_t n_fds;
        size_t room = sizeof c->in_fds / sizeof *c->in_fds - c->n_in_fds;
        ssize_t n = pass_fd_receive(c->fd, c->in.data + c->in.len, READ_CHUNK,
                                    c->in_fds + c->n_in_fds, room, &n_fds);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 1;
        if (n < 0 && errno == EMSGSIZE)
            return err_set(err, VLMD_FORMAT, NULL, "the other process passed too many descriptors");
        if (n < 0 && errno == ECONNRESET)
            return 0;
        if (n < 0)
            return err_errno(err, NULL, "cannot read from the other process");
        if (n == 0)
            return 0;
        c->n_in_fds += n_fds;
        c->in.len += (size_t)n;
        turn += (size_t)n;
        /* With descriptors of a whole message waiting, let the messages be taken first: this keeps
         * the room for descriptors bounded. */
        if (c->n_in_fds >= IPC_MAX_FDS)
            return 1;
    }
    return 1;
}

static int refuse(struct channel *c, struct vlmd_error *err, const char *what, unsigned type)
{
    c->state = IPC_STATE_OVER;
    return err_set(err, VLMD_FORMAT, NULL, "the other process sent %s (%s)", what,
                   ipc_type_name((enum ipc_type)type));
}

int channel_next(struct channel *c, struct ipc_message **message, struct vlmd_error *err)
{
    *message = NULL;
    size_t have = c->in.len - c->in_used;
    if (have < HEADER_BYTES)
        return 0;
    const uint8_t *h = (const uint8_t *)c->in.data + c->in_used;
    size_t body = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
    unsigned type = h[4] | (unsigned)h[5] << 8;
    size_t n_fds = h[6];
    if (h[7] != IPC_VERSION)
        return refuse(c, err, "another version of the protocol", type);
    if (!ipc_allowed((enum ipc_type)type, c->peer, c->state))
        return refuse(c, err, "a message that is not allowed now", type);
    if (body > ipc_max_body((enum ipc_type)type))
        return refuse(c, err, "a message that is too long", type);
    if (have - HEADER_BYTES < body)
        return 0;
    /* Descriptors arrive with the first byte of their frame. */
    if (n_fds > c->n_in_fds)
        return refuse(c, err, "a message without its descriptors", type);
    struct ipc_message *m =
        ipc_decode((enum ipc_type)type, h + HEADER_BYTES, body, c->in_fds, n_fds, err);
    c->n_in_fds -= n_fds;
    memmove(c->in_fds, c->in_fds + n_fds, c->n_in_fds * sizeof *c->in_fds);
    c->in_used += HEADER_BYTES + body;
    if (!m) {
        c->state = IPC_STATE_OVER;
        return -1;
    }
    c->state = ipc_next_state(m->type, c->state);
    *message = m;
    return 1;
}

int channel_wait(struct channel *c, int timeout_ms, struct vlmd_error *err)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (channel_wants_write(c))
        p.events |= POLLOUT;
    if (poll(&p, 1, timeout_ms) < 0 && errno != EINTR)
        return err_errno(err, NULL, "cannot wait for the other process");
    struct vlmd_error why;
    bool sent = !(p.revents & POLLOUT) || channel_flush(c, &why) == 0;
    int status = channel_receive(c, err); /* a peer that is gone may have left last words */
    if (sent || status != 1)
        return status;
    return err_set(err, why.code, why.field, "%s", why.text);
}

int channel_next_wait(struct channel *c, int timeout_ms, struct ipc_message **message,
                      struct vlmd_error *err)
{
    int64_t deadline = clock_ms() + timeout_ms;
    for (bool open = true;;) {
        int got = channel_next(c, message, err);
        if (got != 0)
            return got;
        if (!open)
            return err_set(err, VLMD_IO, NULL, "the other process has gone");
        int left = -1;
        if (timeout_ms >= 0) {
            int64_t rest = deadline - clock_ms();
            if (rest <= 0 && timeout_ms > 0)
                return 0;
            left = rest > 0 ? (int)rest : 0;
        }
        int status = channel_wait(c, left, err);
        if (status < 0)
            return -1;
        open = status == 1;
        if (timeout_ms == 0 && open)
            return channel_next(c, message, err);
    }
}
