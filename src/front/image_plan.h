/* How large an image may be shown to the model: what the checkpoint, the request, the operator and
 * this machine's memory allow, and which of them decided. Pure arithmetic. */
#pragma once

#include "front/chat_request.h"
#include "front/workers.h"

enum image_bound {
    IMAGE_BOUND_MODEL,   /* the checkpoint's max_pixels */
    IMAGE_BOUND_REQUEST, /* max_pixels as the user gave it */
    IMAGE_BOUND_DETAIL,  /* "detail": "low" */
    IMAGE_BOUND_SERVER,  /* the operator's longest side */
    IMAGE_BOUND_MEMORY,  /* vision tower or kv cache */
};

struct image_plan {
    uint64_t min_pixels, max_pixels;
    int32_t max_side;       /* 0: none */
    enum image_bound bound; /* what max_pixels comes from */
};

const char *image_bound_name(enum image_bound bound); /* "model", "request", ... */

/* The plan of request->images[index], as if it were alone. max_side: the operator's, 0 for none.
 * VLMD_INVALID for bounds that contradict the model's. */
int image_plan_make(const struct chat_request *request, size_t index,
                    const struct worker_info *info, int32_t max_side, struct image_plan *plan,
                    struct vlmd_error *err);
/* Tokens that the images of one request may have together, the same whatever text is around them.
 */
int32_t image_plan_room(const struct worker_info *info);
uint64_t image_plan_token_area(const struct worker_info *info); /* pixels of a token */
/* The most tokens that one of n images may have, so that all together have no more than `room`:
 * those that want less leave the rest to the others. At least 1. */
int32_t image_plan_share(const int32_t *wanted, size_t n, int32_t room);
void image_plan_limit_tokens(struct image_plan *plan, int32_t tokens, int32_t factor);
/* Did the plan make a picture of this upright size smaller, and what was it? */
bool image_plan_reduces(const struct image_plan *plan, int32_t width, int32_t height,
                        enum image_bound *bound);
