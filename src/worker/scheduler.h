/* Which request runs when. Requests wait in order of arrival; up to SCHEDULER_RUNNING of them hold
 * a session. A turn is one image through the vision tower, or one prefill chunk of one request and
 * one decode step of all that decode.
 *
 * A request's numbers must not depend on who else is being served: its prefill is cut at the same
 * places and runs alone, and the rows of a decode step are computed independently of each other. So
 * the same seed gives the same text in any company.
 *
 * Knows the engine through vlmd.h and the outside through callbacks; no sockets, no JSON. */
#pragma once

#include "base/err.h"
#include "worker/image_cache.h"

#define SCHEDULER_RUNNING 16
#define SCHEDULER_WAITING 1024

struct scheduler;

/* An image as it arrives: planned size, height x width x 3 bytes. */
struct scheduler_image {
    const uint8_t *rgb;
    int32_t width, height;
};

enum scheduler_finish {
    SCHEDULER_STOP,   /* the model ended, or a stop string came */
    SCHEDULER_LENGTH, /* max_tokens, the context or the kv cache is full */
    SCHEDULER_CANCELLED,
};

struct scheduler_result {
    enum scheduler_finish finish;
    int32_t prompt_tokens, completion_tokens;
    double queue_seconds, vision_seconds, prefill_seconds, decode_seconds;
};

struct scheduler_events {
    void *context;
    void (*started)(void *context, uint64_t id, int32_t prompt_tokens);
    /* The last of its images is through the tower; bit i of `cached`: image i was found in the
     * cache. */
    void (*seen)(void *context, uint64_t id, uint64_t cached,
                 const struct image_cache_state *cache);
    /* Whole characters, never part of a stop string. */
    void (*text)(void *context, uint64_t id, const char *text, size_t len, int32_t tokens);
    void (*done)(void *context, uint64_t id, const struct scheduler_result *result);
    void (*failed)(void *context, uint64_t id, const struct vlmd_error *error);
    /* Called often during long work; looks for cancellations and may call scheduler_cancel and
     * scheduler_submit. True: nobody wants any of the work any more. */
    bool (*poll)(void *context);
};

struct scheduler_request {
    uint64_t id;
    uint64_t images_of;    /* whose images they are; see image_cache.h */
    const int32_t *tokens; /* the prompt, image placeholders expanded */
    int32_t n_tokens;
    const struct scheduler_image
        *images; /* pixels are given back through release, also on failure */
    int32_t n_images;
    void (*release)(void *owner); /* called once, when the pixels are not needed any more */
    void *owner;
    struct vlmd_sampling sampling;
    int32_t max_tokens; /* 0: as many as the context leaves room for */
    const char *const *stops;
    size_t n_stops;
    const char
        *echo; /* text that the answer begins with; not counted and not looked at for stops */
    size_t echo_len;
};

/* cache_bytes: of images that are kept for further requests. */
struct scheduler *scheduler_open(vlmd_engine *engine, const struct scheduler_events *events,
                                 uint64_t cache_bytes, struct vlmd_error *err);
/* Ends all requests without events. */
void scheduler_close(struct scheduler *s);

/* Copies the request (not the pixels). -1 with *err when it can never run; then no event follows
 * and release was called. */
int scheduler_submit(struct scheduler *s, const struct scheduler_request *request,
                     struct vlmd_error *err);
/* The request ends with SCHEDULER_CANCELLED at the next turn; an unknown id is ignored. */
void scheduler_cancel(struct scheduler *s, uint64_t id);

bool scheduler_idle(const struct scheduler *s);
/* One turn of work; events are called from here. */
void scheduler_turn(struct scheduler *s);
