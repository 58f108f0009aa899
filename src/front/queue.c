#include "front/queue.h"

#include <stdlib.h>
#include <strings.h>

struct list {
    struct queue_ticket *first, *last;
    unsigned n;
};

struct queue {
    struct queue_limits limits;
    struct list waiting[PRIORITIES]; /* in the order of their coming */
    struct list working;
    uint64_t entered, refused, late, completed;
    uint64_t turns, waited_ms; /* all that came, and how long they waited together */
    uint64_t typical_ms;       /* moving average of the time with a slot */
};

static const char *const names[PRIORITIES] = {"high", "normal", "low"};

int priority_from_text(const char *text)
{
    for (int i = 0; i < PRIORITIES; i++)
        if (strcasecmp(text, names[i]) == 0)
            return i;
    return -1;
}

const char *priority_name(enum priority priority)
{
    return names[priority];
}

/* ---- lists */

static void append(struct list *list, struct queue_ticket *t)
{
    t->prev = list->last;
    t->next = NULL;
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
    list->n++;
}

static void unlink_ticket(struct list *list, struct queue_ticket *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        list->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        list->last = t->prev;
    t->prev = t->next = NULL;
    list->n--;
}

/* ---- in and out */

struct queue *queue_open(const struct queue_limits *limits)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->limits = *limits;
    return q;
}

void queue_close(struct queue *q)
{
    free(q);
}

void queue_configure(struct queue *q, const struct queue_limits *limits)
{
    q->limits = *limits;
}

static void begin_work(struct queue *q, struct queue_ticket *t, uint64_t now)
{
    t->state = QUEUE_WORKING;
    t->turn_ms = now;
    t->late_ms = t->limit_ms;
    q->turns++;
    q->waited_ms += now - t->entered_ms;
    append(&q->working, t);
}

static unsigned waiting(const struct queue *q)
{
    unsigned n = 0;
    for (int i = 0; i < PRIORITIES; i++)
        n += q->waiting[i].n;
    return n;
}

enum queue_state queue_enter(struct queue *q, struct queue_ticket *t, uint64_t now)
{
    struct list *list = &q->waiting[t->priority];
    uint64_t wait_ms = q->limits.wait_ms[t->priority];
    bool turn = q->working.n < q->limits.slots && waiting(q) == 0;
    if (!turn && list->n >= q->limits.depth) {
        q->refused++;
        return QUEUE_OUT;
    }
    q->entered++;
    t->entered_ms = now;
    t->limit_ms = q->limits.total_ms ? now + q->limits.total_ms : 0;
    t->position = 0;
    if (turn) {
        begin_work(q, t, now);
        return t->state;
    }
    t->late_ms = wait_ms ? now + wait_ms : t->limit_ms;
    if (t->limit_ms && t->limit_ms < t->late_ms)
        t->late_ms = t->limit_ms;
    q->turns++;
    q->waited_ms += now - t->entered_ms;
    t->state = QUEUE_WAITING;
    append(list, t);
    t->position = waiting(q);
    return t->state;
}

void queue_leave(struct queue *q, struct queue_ticket *t, uint64_t now)
{
    if (t->state == QUEUE_WORKING) {
        uint64_t took = now - t->turn_ms;
        q->typical_ms = q->typical_ms ? (7 * q->typical_ms + took) / 8 : took;
        unlink_ticket(&q->working, t);
        q->completed++;
    }
    if (t->state == QUEUE_WAITING)
        unlink_ticket(&q->waiting[t->priority], t);
    t->state = QUEUE_OUT;
}

/* ---- whose turn it is */

static int rank(const struct queue *q, const struct queue_ticket *t, uint64_t now)
{
    uint64_t wait_ms = q->limits.wait_ms[t->priority];
    return wait_ms && now - t->entered_ms >= wait_ms / 2 ? PRIORITY_HIGH : (int)t->priority;
}

static unsigned working_for(const struct queue *q, unsigned owner)
{
    unsigned n = 0;
    for (const struct queue_ticket *t = q->working.first; t; t = t->next)
        n += t->owner == owner;
    return n;
}

static bool goes_before(const struct queue *q, const struct queue_ticket *a,
                        const struct queue_ticket *b, uint64_t now)
{
    int rank_a = rank(q, a, now), rank_b = rank(q, b, now);
    if (rank_a != rank_b)
        return rank_a < rank_b;
    unsigned busy_a = a->owner == b->owner ? 0 : working_for(q, a->owner);
    unsigned busy_b = a->owner == b->owner ? 0 : working_for(q, b->owner);
    if (busy_a != busy_b)
        return busy_a < busy_b;
    return a->entered_ms < b->entered_ms;
}

struct queue_ticket *queue_next(struct queue *q, uint64_t now)
{
    struct queue_ticket *best = NULL;
    if (q->working.n >= q->limits.slots)
        return NULL;
    for (int i = 0; i < PRIORITIES; i++)
        for (struct queue_ticket *t = q->waiting[i].first; t; t = t->next)
            if (!best || goes_before(q, t, best, now))
                best = t;
    if (!best)
        return NULL;
    unlink_ticket(&q->waiting[best->priority], best);
    begin_work(q, best, now);
    return best;
}

struct queue_ticket *queue_late(struct queue *q, uint64_t now)
{
    const struct list *lists[] = {&q->working, &q->waiting[PRIORITY_HIGH],
                                  &q->waiting[PRIORITY_NORMAL], &q->waiting[PRIORITY_LOW]};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (struct queue_ticket *t = lists[i]->first; t; t = t->next) {
            if (t->late_ms == 0 || t->late_ms > now)
                continue;
            q->late++;
            t->late_ms = 0;
            return t;
        }
    }
    return NULL;
}

static uint64_t first_late(const struct list *list)
{
    uint64_t first = UINT64_MAX;
    for (const struct queue_ticket *t = list->first; t; t = t->next)
        if (t->late_ms && t->late_ms < first)
            first = t->late_ms;
    return first;
}

uint64_t queue_due(const struct queue *q, uint64_t now)
{
    uint64_t first = first_late(&q->working);
    if (q->working.n < q->limits.slots && waiting(q) > 0)
        return 0;
    for (int i = 0; i < PRIORITIES; i++) {
        uint64_t late = first_late(&q->waiting[i]);
        first = late < first ? late : first;
    }
    if (first == UINT64_MAX)
        return first;
    return first > now ? first - now : 0;
}

/* ---- figures */

struct queue_counts queue_counts(const struct queue *q)
{
    struct queue_counts counts = {
        .slots = q->limits.slots,
        .working = q->working.n,
        .depth = q->limits.depth,
        .entered = q->entered,
        .refused = q->refused,
        .completed = q->completed,
        .late = q->late,
        .mean_wait_ms = q->turns ? (double)q->waited_ms / (double)q->turns : 0,
    };
    for (int i = 0; i < PRIORITIES; i++)
        counts.waiting[i] = q->waiting[i].n;
    return counts;
}

unsigned queue_retry_after(const struct queue *q)
{
    uint64_t turns = waiting(q) / (q->limits.slots ? q->limits.slots : 1) + 1;
    uint64_t seconds = (turns * q->typical_ms + 999) / 1000;
    return seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)seconds;
}
