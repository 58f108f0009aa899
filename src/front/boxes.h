/* Boxes and points in an answer, from the pixels that the model was shown to those of the original
 * picture: the numbers of "bbox_2d" and "point_2d" in Qwen's JSON are scaled as the text passes
 * through, piece by piece. All other text stays as it is. */
#pragma once

#include <stdint.h>

#include "base/buf.h"

#define BOXES_HELD 1024 /* bytes that may wait for the end of a list */

struct boxes {
    double scale_x, scale_y; /* original over shown */
    int32_t width, height;   /* of the original: coordinates stay within */
    char held[BOXES_HELD];   /* from the quote of a key on */
    size_t n_held;
    int depth; /* brackets that are open in held */
};

/* Appends to out what is decided. */
void boxes_feed(struct boxes *b, const char *text, size_t len, struct buf *out);
/* Appends what waits, at the end of the answer. */
void boxes_end(struct boxes *b, struct buf *out);
