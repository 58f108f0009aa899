#include "front/rate_limit.h"

#include <stdlib.h>

int rate_limit_init(struct rate_limit *r, unsigned requests, uint64_t window_ms)
{
    *r = (struct rate_limit){.requests = requests, .window_ms = window_ms};
    if (requests == 0)
        return 0;
    r->times = malloc(requests * sizeof *r->times);
    return r->times ? 0 : -1;
}

void rate_limit_free(struct rate_limit *r)
{
    free(r->times);
    *r = (struct rate_limit){0};
}

static uint64_t time_at(const struct rate_limit *r, unsigned i)
{
    return r->times[(r->first + i) % r->requests];
}

struct rate_answer rate_limit_take(struct rate_limit *r, uint64_t now)
{
    struct rate_answer answer = {.allowed = true, .limit = r->requests};
    if (r->requests == 0)
        return answer;
    while (r->n > 0 && now - time_at(r, 0) >= r->window_ms) {
        r->first = (r->first + 1) % r->requests;
        r->n--;
    }
    answer.allowed = r->n < r->requests;
    if (answer.allowed)
        r->times[(r->first + r->n++) % r->requests] = now;
    else
        answer.retry_ms = time_at(r, 0) + r->window_ms - now;
    answer.remaining = r->requests - r->n;
    answer.reset_ms = time_at(r, r->n - 1) + r->window_ms - now;
    return answer;
}
