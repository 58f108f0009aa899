/* The body of POST /v1/chat/completions as a validated value. Pure: no sockets, no models. Knows
 * every parameter of OpenAI's schema (params.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/params.h"

struct chat_limits {
    size_t max_images;
    size_t max_image_bytes; /* of one encoded image */
    bool urls, files;       /* may images be named by http URLs and by files? */
};

/* Of an image's area as the model is shown it; 0: not given. */
struct pixel_bounds {
    int64_t min, max;
};

struct chat_image {
    uint8_t *bytes; /* encoded, owned */
    size_t len;
    char *url;    /* owned: where it is when it was not sent; then it is fetched into `shared` */
    bool fetched; /* `shared` holds a descriptor, or -1 */
    int shared;   /* memory of len bytes, owned */
    bool low_detail;
    struct pixel_bounds bounds; /* of this image alone */
    char field[96];             /* "messages[0].content[1].image_url.url" */
};

struct chat_request {
    struct params params;
    char *messages; /* JSON, with image parts as {"type":"image"}; see messages.def, GENERATE */
    struct chat_image *images;
    size_t n_images;
    struct pixel_bounds bounds; /* of all images */
    /* Boxes and points of the answer are in pixels of the original of images[coordinates_image]. */
    bool original_coordinates;
    size_t coordinates_image;
};

/* Fills *out, which the caller releases with chat_request_free in any case. Errors name the
 * parameter as their field. */
int chat_request_parse(const char *body, size_t len, const struct chat_limits *limits,
                       struct chat_request *out, struct vlmd_error *err);
void chat_request_free(struct chat_request *request);
