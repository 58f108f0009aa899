/* What one API key may send of images where that is not what the server's settings say. */
#pragma once

#include <stdint.h>

struct image_allowance {
    uint64_t all_pixels; /* of all images of a request together, as they are sent; 0: any number */
    /* Instead of the settings of the same names; ALLOWANCE_OF_SERVER and 0: as those. */
    int64_t max_images;
    uint64_t max_image_bytes, max_image_pixels, max_image_side;
};

#define ALLOWANCE_OF_SERVER (-1)

static inline uint64_t allowance_or(uint64_t allowed, uint64_t setting)
{
    return allowed > 0 ? allowed : setting;
}
