/* A sliding window: at most so many requests in any stretch of time of a given length. Pure: time
 * is what the caller says it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    unsigned requests; /* 0: no limit */
    uint64_t window_ms;
    uint64_t *times; /* ring of `requests`: when those in the window came */
    unsigned first, n;
};

struct rate_answer {
    bool allowed;
    unsigned limit, remaining;
    uint64_t reset_ms; /* until nothing is in the window any more */
    uint64_t retry_ms; /* when refused: until one will be allowed */
};

int rate_limit_init(struct rate_limit *r, unsigned requests,
                    uint64_t window_ms); /* -1: no memory */
void rate_limit_free(struct rate_limit *r);
/* Counts the request when it is allowed. Those refused do not count. */
struct rate_answer rate_limit_take(struct rate_limit *r, uint64_t now_ms);
