/* What the front counts and times, for operators: counters, distributions, and their text for
 * Prometheus (exposition format 0.0.4). Values that others hold (connections, models, memory) are
 * read when somebody asks, in monitor.c. Every function takes NULL for "nobody counts". */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ipc/codec.h"

struct metrics;

enum metrics_counter {
    METRICS_PROMPT_TOKENS,
    METRICS_COMPLETION_TOKENS,
    METRICS_IMAGES,
    METRICS_IMAGE_PIXELS,       /* as they were sent */
    METRICS_IMAGE_MODEL_PIXELS, /* as the model took them */
    METRICS_IMAGES_REFUSED,     /* by the decoder */
    METRICS_IMAGE_CACHE_HITS,   /* images that a model had kept */
    METRICS_IMAGE_CACHE_MISSES,
    METRICS_IMAGE_CACHE_EVICTIONS,
    METRICS_CLIENTS_GONE,        /* before their answer was complete */
    METRICS_SLOW_READERS,        /* cut off */
    METRICS_LATE_IDLE,           /* connections closed by a deadline: between requests, */
    METRICS_LATE_HEAD,           /* in a head, */
    METRICS_LATE_BODY,           /* in a body, */
    METRICS_LATE_READ,           /* while the client did not read */
    METRICS_CONNECTIONS_REFUSED, /* too many */
    METRICS_BODIES_REFUSED,      /* no room for another body */
    METRICS_QUEUE_REFUSED,       /* the queue was full */
    METRICS_QUEUE_TIMEOUTS,      /* waited too long in it */
    METRICS_RATE_LIMITED,        /* refused by a rate limit */
    METRICS_N_COUNTERS,
};

enum metrics_series {
    METRICS_QUEUE_SECONDS,       /* from the complete request to the model's work on it */
    METRICS_FIRST_TOKEN_SECONDS, /* from the complete request to its first text */
    METRICS_PREFILL_SECONDS,
    METRICS_VISION_SECONDS, /* of a request with images, in the vision tower */
    METRICS_DECODE_RATE,    /* tokens a second of one answer, from its second token on */
    METRICS_IMAGE_SECONDS,  /* decoding and resizing one image, its wait for a decoder included */
    METRICS_LOAD_SECONDS,   /* of a model */
    METRICS_PROMPT_LENGTH,
    METRICS_COMPLETION_LENGTH,
    METRICS_N_SERIES,
};

struct metrics *metrics_open(void); /* NULL without memory */
void metrics_close(struct metrics *m);

void metrics_add(struct metrics *m, enum metrics_counter counter, uint64_t n);
void metrics_observe(struct metrics *m, enum metrics_series series, double value);
/* An answer was given: `route` is a path of the table of routes (a string that lives as long as the
 * process), or NULL for requests that found none. */
void metrics_answered(struct metrics *m, const char *route, int status, double seconds);
/* A completion ended: its tokens and times. `images` of the request decide whether there was
 * vision. */
void metrics_completed(struct metrics *m, const struct ipc_done *done, size_t images);

/* Appends everything above with HELP and TYPE. */
void metrics_append(struct buf *out, const struct metrics *m);

/* Writing further families into the same page. Help and names are ours; a label's value is escaped.
 * Labels are pairs of name and value, ended by NULL. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);
void metrics_sample(struct buf *out, const char *name, double value, const char *const *labels);

struct metrics_totals {
    uint64_t answers, good, refused_busy; /* completions: all, below 400, 429 and 503 */
    double seconds;                       /* of all completions together */
};
struct metrics_totals metrics_totals(const struct metrics *m);
/* The q-quantile of the last 1,000 completions' times in seconds (q 0: the shortest, 1: the
 * longest), 0 without any. */
double metrics_recent_quantile(const struct metrics *m, double q);
size_t metrics_recent_count(const struct metrics *m);
double metrics_mean(const struct metrics *m, enum metrics_series series); /* 0 without values */
