/* The images of one request that are named instead of sent: all fetched at once. */
#pragma once

#include "front/chat_request.h"
#include "front/fetchers.h"

struct chat_fetch_slot;

/* Zero before it begins. */
struct chat_fetch {
    struct chat_request *request;
    struct chat_fetch_slot *slots; /* n_images */
    size_t pending;
    void *context;
    void (*done)(void *context, const struct vlmd_error *err);
};

/* 1: `done` is called later, from the loop: with NULL when all are there, or at once with the first
 * error, named after its image's field; chat_fetch_end is the caller's in any case. 0: there is
 * nothing to fetch. -1 with *err. The request is borrowed. */
int chat_fetch_begin(struct chat_fetch *f, struct fetchers *fetchers, const char *request_id,
                     size_t max_bytes, struct vlmd_error *err);
void chat_fetch_end(struct chat_fetch *f);
