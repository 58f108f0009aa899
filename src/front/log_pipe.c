#include "front/log_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "front/child.h"

#define MAX_LINE 8192

struct log_pipe {
    uv_poll_t poll;
    int ends[2];
    struct buf line;
    bool stopped;
};

static void forward_lines(struct log_pipe *p)
{
    char *end;
    while (p->line.len > 0 && (end = memchr(p->line.data, '\n', p->line.len))) {
        size_t len = (size_t)(end - p->line.data);
        log_forward(p->line.data, len);
        buf_consume(&p->line, len + 1);
    }
    if (p->line.len > MAX_LINE) {
        log_forward(p->line.data, p->line.len);
        buf_reset(&p->line);
    }
}

/* At most a few reads, so that a child that babbles does not hold the loop. */
static void take(struct log_pipe *p, int reads)
{
    char bytes[8192];
    while (reads-- > 0) {
        ssize_t n = read(p->ends[0], bytes, sizeof bytes);
        if (n <= 0)
            return;
        buf_append(&p->line, bytes, (size_t)n);
        forward_lines(p);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status == 0)
        take(poll->data, 4);
}

/* A child is never to wait for its log: what does not fit is lost. */
static int make_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

struct log_pipe *log_pipe_open(uv_loop_t *loop, struct vlmd_error *err)
{
    struct log_pipe *p = calloc(1, sizeof *p);
    if (!p || make_pipe(p->ends) < 0) {
        free(p);
        err_errno(err, NULL, "cannot make a pipe for the log");
        return NULL;
    }
    if (uv_poll_init(loop, &p->poll, p->ends[0]) < 0) {
        close(p->ends[0]);
        close(p->ends[1]);
        free(p);
        err_set(err, VLMD_IO, NULL, "cannot watch the pipe for the log");
        return NULL;
    }
    p->poll.data = p;
    uv_poll_start(&p->poll, UV_READABLE, on_readable);
    child_set_stderr(p->ends[1]);
    return p;
}

void log_pipe_stop(struct log_pipe *p)
{
    if (!p || p->stopped)
        return;
    p->stopped = true;
    uv_close((uv_handle_t *)&p->poll, NULL);
}

void log_pipe_close(struct log_pipe *p)
{
    if (!p)
        return;
    child_set_stderr(STDERR_FILENO);
    take(p, 1000);
    close(p->ends[0]);
    close(p->ends[1]);
    buf_free(&p->line);
    free(p);
}
