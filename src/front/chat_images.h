/* The images of one request on their way through the decoders. Where several of them may need more
 * of the context than there is, their headers are read first and the room is shared by what each
 * needs; then come the pixels. What became of each is in the receipts. */
#pragma once

#include "front/chat_request.h"
#include "front/decoders.h"
#include "front/metrics.h"
#include "front/receipt.h"

struct chat_images_slot;

struct chat_images_options {
    struct decoders *decoders;
    struct metrics *metrics; /* NULL: nobody counts */
    int32_t limit_side;      /* of an encoded image */
    uint64_t limit_pixels;
    uint64_t pixel_budget; /* of all of them together, as they were sent; 0: any number */
    int32_t max_side;      /* as the model is shown them; 0: as memory allows */
    bool to_srgb;
    bool header_only; /* an estimate: no pixels */
};

/* Zero before it begins, but for the first four, which the caller sets. */
struct chat_images {
    struct chat_request *request; /* borrowed; its images' bytes are taken */
    struct receipts *receipts;    /* borrowed; opened here */
    void *context;
    void (*done)(void *context, const struct vlmd_error *err);

    struct chat_images_options options;
    struct ipc_image *images; /* as many as the request has; rgb -1 until decoded */
    struct chat_images_slot *slots;
    size_t pending;
    bool probing;
    int32_t factor;
    int32_t room; /* tokens for all of them */
    uint64_t pixels;
    double began;
};

/* Then `done` is called once, later, from the loop: with NULL when all are there, or at once with
 * the first error, named after its image's field. -1 with *err. chat_images_end is the caller's in
 * any case. */
int chat_images_begin(struct chat_images *ci, const struct chat_images_options *options,
                      const struct worker_info *info, struct vlmd_error *err);
void chat_images_end(struct chat_images *ci);
