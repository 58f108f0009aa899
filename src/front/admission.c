#include "front/admission.h"

#include <stdlib.h>

struct admission {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct queue *queue;
    bool stopped;
};

static void on_timer(uv_timer_t *timer);

/* Sets the timer to when there is something to do next. */
static void plan(struct admission *a)
{
    uint64_t due = queue_due(a->queue, uv_now(a->loop));
    if (a->stopped)
        return;
    if (due == UINT64_MAX)
        uv_timer_stop(&a->timer);
    else
        uv_timer_start(&a->timer, on_timer, due, 0);
}

/* One at a time: what is called may leave, or let others leave. */
static void on_timer(uv_timer_t *timer)
{
    struct admission *a = timer->data;
    struct queue_ticket *t;
    while (!a->stopped && (t = queue_late(a->queue, uv_now(a->loop)))) {
        struct admission_ticket *ticket = (struct admission_ticket *)t;
        ticket->on_late(ticket->context, t->state == QUEUE_WORKING);
    }
    while (!a->stopped && (t = queue_next(a->queue, uv_now(a->loop)))) {
        struct admission_ticket *ticket = (struct admission_ticket *)t;
        ticket->on_turn(ticket->context);
    }
    plan(a);
}

struct admission *admission_open(uv_loop_t *loop, const struct queue_limits *limits)
{
    struct admission *a = calloc(1, sizeof *a);
    struct queue *queue = queue_open(limits);
    if (!a || !queue) {
        free(a);
        queue_close(queue);
        return NULL;
    }
    a->loop = loop;
    a->queue = queue;
    uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    return a;
}

void admission_configure(struct admission *a, const struct queue_limits *limits)
{
    queue_configure(a->queue, limits);
    plan(a);
}

void admission_stop(struct admission *a)
{
    if (!a || a->stopped)
        return;
    a->stopped = true;
    uv_close((uv_handle_t *)&a->timer, NULL);
}

void admission_close(struct admission *a)
{
    if (!a)
        return;
    queue_close(a->queue);
    free(a);
}

enum queue_state admission_enter(struct admission *a, struct admission_ticket *ticket)
{
    enum queue_state state = queue_enter(a->queue, &ticket->queue, uv_now(a->loop));
    plan(a);
    return state;
}

void admission_leave(struct admission *a, struct admission_ticket *ticket)
{
    queue_leave(a->queue, &ticket->queue, uv_now(a->loop));
    plan(a);
}

uint64_t admission_waited(const struct admission *a, const struct admission_ticket *ticket)
{
    const struct queue_ticket *t = &ticket->queue;
    return t->state == QUEUE_WAITING ? uv_now(a->loop) - t->entered_ms : t->turn_ms - t->entered_ms;
}

unsigned admission_retry_after(const struct admission *a)
{
    return queue_retry_after(a->queue);
}

struct queue_counts admission_counts(const struct admission *a)
{
    return queue_counts(a->queue);
}
