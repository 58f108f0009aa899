/* Who is worked on next: a bounded number of requests at once, the others wait by priority. Pure:
 * time is what the caller says it is (milliseconds of any clock that does not go back), and nobody
 * is called back; see admission.h for that.
 *
 * High goes before normal before low; what has waited half of its time goes with the high ones, so
 * that nobody is forgotten. Among equals the owner with the fewest requests being worked on is
 * first, then the one that came first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum priority {
    PRIORITY_HIGH,
    PRIORITY_NORMAL,
    PRIORITY_LOW,
    PRIORITIES,
};

/* "high", "normal", "low", in any case; -1 for anything else. */
int priority_from_text(const char *text);
const char *priority_name(enum priority priority);

struct queue_limits {
    unsigned slots;               /* worked on at once */
    unsigned depth;               /* waiting, of each priority */
    uint64_t wait_ms[PRIORITIES]; /* for a turn; 0: without end */
    uint64_t total_ms;            /* from entering to leaving; 0: without end */
};

enum queue_state {
    QUEUE_OUT, /* zero: a ticket needs no other initialisation */
    QUEUE_WAITING,
    QUEUE_WORKING,
};

/* A request's place; embedded in it, and not to be moved while it is not out. */
struct queue_ticket {
    enum priority priority;
    unsigned owner; /* whose request it is; any number */
    enum queue_state state;
    uint64_t entered_ms;
    uint64_t turn_ms;  /* when its turn came */
    uint64_t late_ms;  /* 0: never */
    uint64_t limit_ms; /* by when it is to have left; 0: never */
    unsigned position; /* when it entered: how many waited with it, itself included; 0: none */
    struct queue_ticket *prev, *next;
};

struct queue_counts {
    unsigned slots, working, depth, waiting[PRIORITIES];
    uint64_t entered, refused;
    uint64_t completed;  /* left after a turn */
    uint64_t late;       /* waiting or working */
    double mean_wait_ms; /* of those whose turn came */
};

struct queue;

struct queue *queue_open(const struct queue_limits *limits); /* NULL without memory */
void queue_close(struct queue *q);
/* Times apply to those that enter from now on. */
void queue_configure(struct queue *q, const struct queue_limits *limits);

/* QUEUE_WORKING: it is its turn now. QUEUE_WAITING: later. QUEUE_OUT: the queue is full. */
enum queue_state queue_enter(struct queue *q, struct queue_ticket *ticket, uint64_t now);
/* Gives back the place, or the slot; does nothing when it is out. */
void queue_leave(struct queue *q, struct queue_ticket *ticket, uint64_t now);
/* The next whose turn has come, now working; NULL when there is none. */
struct queue_ticket *queue_next(struct queue *q, uint64_t now);
/* One that is late, waiting or working: it is still in. NULL when there is none. */
struct queue_ticket *queue_late(struct queue *q, uint64_t now);
/* Milliseconds until queue_next or queue_late will have one; UINT64_MAX when that is not known. */
uint64_t queue_due(const struct queue *q, uint64_t now);

struct queue_counts queue_counts(const struct queue *q);
/* Seconds after which one that is refused now may find a place; a guess from how long requests take
 * here, 1 to 60. */
unsigned queue_retry_after(const struct queue *q);
