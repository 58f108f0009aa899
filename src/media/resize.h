/* Antialiased bicubic resize of 8-bit RGB, byte for byte what Pillow's Image.resize(size, BICUBIC)
 * gives as of Pillow 13.0. Says nothing about which size is wanted: base/smart_resize.h does. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "media/decode.h"

/* Resizes to out (height x width x 3 bytes, the caller's). Sides up to 65535 on either side;
 * VLMD_INVALID, VLMD_TOO_LARGE or VLMD_NO_MEMORY, and then out is undefined. */
int media_resize(const struct picture *picture, int32_t width, int32_t height, uint8_t *out,
                 struct vlmd_error *err);
