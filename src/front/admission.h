/* The queue under the event loop: calls those whose turn has come and those that are late. What the
 * order is, queue.h says. */
#pragma once

#include <uv.h>

#include "front/queue.h"

struct admission;

/* A request's place: zero, with the callbacks, priority and owner filled in, before it enters. */
struct admission_ticket {
    struct queue_ticket queue; /* first: found by its address */
    void *context;
    void (*on_turn)(void *context);
    /* It has waited too long for its turn, or (working) it takes too long altogether. It is to
     * leave. */
    void (*on_late)(void *context, bool working);
};

struct admission *admission_open(uv_loop_t *loop, const struct queue_limits *limits);
void admission_configure(struct admission *a, const struct queue_limits *limits);
/* Nobody is called from now on; the loop can end. */
void admission_stop(struct admission *a);
/* The loop has ended. */
void admission_close(struct admission *a);

/* As queue_enter. on_turn is called later, from the loop, and only for those that had to wait. */
enum queue_state admission_enter(struct admission *a, struct admission_ticket *ticket);
void admission_leave(struct admission *a, struct admission_ticket *ticket);

/* Milliseconds that it waited for its turn. */
uint64_t admission_waited(const struct admission *a, const struct admission_ticket *ticket);
unsigned admission_retry_after(const struct admission *a);
struct queue_counts admission_counts(const struct admission *a);
