/* Antialiased bicubic resize of 8-bit RGB, byte for byte what Pillow's Image.resize(size, BICUBIC)
 * gives as of Pillow 13.0. Rows go in one by one, from top to bottom, and the result grows as they
 * come, so that the picture need not be in memory. Says nothing about which size is wanted:
 * base/smart_resize.h does. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "media/decode.h"

struct resizer;

/* Resizes in_width x in_height to out (height x width x 3 bytes, the caller's). Sides up to 65535
 * on either side; NULL with VLMD_INVALID, VLMD_TOO_LARGE or VLMD_NO_MEMORY. */
struct resizer *resizer_open(int32_t in_width, int32_t in_height, int32_t width, int32_t height,
                             uint8_t *out, struct vlmd_error *err);
void resizer_close(struct resizer *r); /* NULL is fine */
/* Where the next row (in_width x 3 bytes) is to be written, until resizer_take. */
uint8_t *resizer_row(struct resizer *r);
/* Takes that row. After in_height of them `out` is complete; there must not be more. */
void resizer_take(struct resizer *r);

/* All rows of a picture that is in memory. */
int media_resize(const struct picture *picture, int32_t width, int32_t height, uint8_t *out,
                 struct vlmd_error *err);
