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

/* The plan of request->images[index]. max_side: the operator's, 0 for none. VLMD_INVALID for bounds
 * that contradict the model's. */
int image_plan_make(const struct chat_request *request, size_t index,
                    const struct worker_info *info, int32_t max_side, struct image_plan *plan,
                    struct vlmd_error *err);
/* Did the plan make a picture of this upright size smaller, and what was it? */
bool image_plan_reduces(const struct image_plan *plan, int32_t width, int32_t height,
                        enum image_bound *bound);
