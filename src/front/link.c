#include "front/link.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"

#define HEARTBEATS 4 /* unanswered ones that end a child */

struct link {
    uv_poll_t poll;
    uv_signal_t child_signal;
    uv_idle_t later; /* breaks the link from the loop instead of from within a call */
    uv_timer_t heartbeat;
    int handles;
    unsigned unanswered; /* heartbeats since its last message */
    uint64_t pings;
    struct child child;
    struct link_events events;
    int watched; /* what the poll waits for */
    bool broken;
    bool reaped;
    char why[320];
    char how[64];
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_handle_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;
    if (--l->handles > 0)
        return;
    channel_close(l->child.channel);
    free(l);
}

static void end(struct link *l)
{
    l->events.on_ended(l->events.context, l->how);
    uv_close((uv_handle_t *)&l->poll, on_handle_closed);
    uv_close((uv_handle_t *)&l->child_signal, on_handle_closed);
    uv_close((uv_handle_t *)&l->later, on_handle_closed);
    uv_close((uv_handle_t *)&l->heartbeat, on_handle_closed);
}

static void break_now(uv_idle_t *idle)
{
    struct link *l = idle->data;
    uv_idle_stop(idle);
    uv_poll_stop(&l->poll);
    l->events.on_broken(l->events.context, l->why);
    if (l->reaped)
        end(l);
}

static void break_link(struct link *l, const char *why)
{
    if (l->broken)
        return;
    l->broken = true;
    snprintf(l->why, sizeof l->why, "%s", why);
    if (!l->reaped)
        kill(l->child.pid, SIGKILL);
    uv_timer_stop(&l->heartbeat);
    uv_idle_start(&l->later, break_now);
}

static void watch(struct link *l)
{
    if (l->broken)
        return;
    int events = UV_READABLE | (channel_wants_write(l->child.channel) ? UV_WRITABLE : 0);
    if (events != l->watched)
        uv_poll_start(&l->poll, events, on_poll);
    l->watched = events;
}

/* Hands over the messages that are complete. */
static void deliver(struct link *l)
{
    struct ipc_message *m;
    struct vlmd_error err;
    while (!l->broken) {
        int got = channel_next(l->child.channel, &m, &err);
        if (got == 0)
            return;
        if (got < 0) {
            break_link(l, err.text);
            return;
        }
        l->unanswered = 0;
        if (m->type != IPC_PONG)
            l->events.on_message(l->events.context, m);
        ipc_message_free(m);
    }
}

static void receive(struct link *l)
{
    struct vlmd_error err;
    int got = channel_receive(l->child.channel, &err);
    deliver(l);
    if (got == 0)
        break_link(l, "the process closed its channel");
    else if (got < 0)
        break_link(l, err.text);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link *l = poll->data;
    struct vlmd_error err;
    if (status < 0) {
        receive(l); /* its last words, if there are any */
        break_link(l, uv_strerror(status));
        return;
    }
    if ((events & UV_WRITABLE) && channel_flush(l->child.channel, &err) < 0) {
        receive(l);
        break_link(l, err.text);
        return;
    }
    if (events & UV_READABLE)
        receive(l);
    watch(l);
}

/* Beats are counted, not seconds: when this process itself was held up (a machine asleep), its
 * children get another chance. */
static void on_heartbeat(uv_timer_t *timer)
{
    struct link *l = timer->data;
    enum ipc_state state = channel_state(l->child.channel);
    struct ipc_message ping = {.type = IPC_PING, .ping = {.number = ++l->pings}};
    if (l->unanswered++ >= HEARTBEATS)
        break_link(l, "it does not answer any more");
    else if (state & (IPC_STATE_LOADING | IPC_STATE_SERVING))
        link_send(l, &ping, NULL);
}

void link_heartbeat(struct link *l, unsigned silence_ms)
{
    uint64_t beat = 1 + silence_ms / (HEARTBEATS + 1);
    if (l->broken)
        return;
    l->unanswered = 0;
    if (silence_ms > 0)
        uv_timer_start(&l->heartbeat, on_heartbeat, beat, beat);
    else
        uv_timer_stop(&l->heartbeat);
}

/* A stopped process does not go on by itself: it is as good as dead. */
static void on_child_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct link *l = handle->data;
    int status;
    if (l->reaped || waitpid(l->child.pid, &status, WNOHANG | WUNTRACED) != l->child.pid)
        return;
    if (WIFSTOPPED(status)) {
        break_link(l, "the process was stopped");
        return;
    }
    l->reaped = true;
    child_describe_exit(status, l->how, sizeof l->how);
    bool told = l->broken && !uv_is_active((uv_handle_t *)&l->later);
    if (told) {
        end(l);
        return;
    }
    if (!l->broken)
        receive(l); /* what it wrote before its end */
    char why[96];
    snprintf(why, sizeof why, "the process ended: %s", l->how);
    break_link(l, why);
}

struct link *link_start(uv_loop_t *loop, const struct child_plan *plan,
                        const struct link_events *events, struct vlmd_error *err)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        err_no_memory(err, sizeof *l);
        return NULL;
    }
    l->events = *events;
    l->poll.data = l->child_signal.data = l->later.data = l->heartbeat.data = l;
    uv_signal_init(loop, &l->child_signal);
    uv_idle_init(loop, &l->later);
    uv_timer_init(loop, &l->heartbeat);
    l->handles = 3;
    /* Listening before there is a child: its end cannot be missed. */
    uv_signal_start(&l->child_signal, on_child_signal, SIGCHLD);
    if (child_start(plan, &l->child, err) < 0) {
        uv_close((uv_handle_t *)&l->child_signal, on_handle_closed);
        uv_close((uv_handle_t *)&l->later, on_handle_closed);
        uv_close((uv_handle_t *)&l->heartbeat, on_handle_closed);
        return NULL;
    }
    uv_poll_init(loop, &l->poll, channel_fd(l->child.channel));
    l->handles++;
    watch(l);
    return l;
}

int link_send(struct link *l, struct ipc_message *message, struct vlmd_error *err)
{
    if (l->broken) {
        ipc_message_close_fds(message);
        return err_set(err, VLMD_IO, NULL, "the process has gone");
    }
    struct vlmd_error why;
    if (channel_send(l->child.channel, message, &why) < 0) {
        if (err)
            *err = why;
        /* What the codec refuses is this message's fault, not the child's. When the child is gone,
         * reading will say so, after its last words. */
        if (why.code == VLMD_BUSY)
            break_link(l, why.text);
        return -1;
    }
    watch(l);
    return 0;
}

void link_kill(struct link *l, const char *why)
{
    break_link(l, why);
}

pid_t link_pid(const struct link *l)
{
    return l->child.pid;
}
