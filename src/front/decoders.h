/* The decoders: a few processes that turn encoded images into pixels, one image at a time each, in
 * the order of arrival. The image of a decoder that dies is tried again by another, twice at most;
 * a decoder that is too slow is killed, and its image fails; one whose image nobody wants any more
 * is killed too, unless it is done at once. */
#pragma once

#include <uv.h>

#include "front/link.h"

struct decoders;
struct decode_job;

struct decoders_options {
    const char *program;
    unsigned processes;
    unsigned timeout_ms; /* for one image */
    bool sandbox;        /* false: tell them not to lock themselves in */
};

struct decode_order {
    int encoded; /* shared memory of len bytes: taken over, also on failure */
    size_t len;
    int32_t factor;
    uint64_t min_pixels, max_pixels;
    int32_t max_side;
    bool header_only; /* only what it would be: a result without pixels */
    bool to_srgb;     /* by the image's ICC profile */
    int32_t limit_side;
    uint64_t limit_pixels;
};

struct decode_result {
    struct ipc_image image; /* rgb -1 and no hash when only the header was read */
    bool has_pixels;
    char format[16];
    uint32_t changes; /* of enum ipc_change */
};

/* Called once: with the result, whose descriptor is the callee's (or set to -1), or with err. */
typedef void (*decoded_fn)(void *context, struct decode_result *result,
                           const struct vlmd_error *err);

struct decoders *decoders_open(uv_loop_t *loop, const struct decoders_options *options,
                               struct vlmd_error *err);
void decoders_close(struct decoders *decoders);
/* `done` is called from the loop, never from within. NULL with *err. */
struct decode_job *decoders_decode(struct decoders *decoders, const struct decode_order *order,
                                   decoded_fn done, void *context, struct vlmd_error *err);
/* No call any more. */
void decoders_let_go(struct decode_job *job);

struct decoders_status {
    unsigned processes, ready, restarts;
    bool sandboxed; /* all that are ready */
    size_t queued;
};
struct decoders_status decoders_status(const struct decoders *decoders);
pid_t decoders_pid(const struct decoders *decoders, unsigned i); /* 0 between processes */
