/* What the fuzz targets of single formats share: any bytes behind the format's first ones, decoded
 * both ways, which must agree. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "media/resize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void media_format_require(bool holds)
{
    if (!holds)
        abort();
}

static inline void media_format_compare(const uint8_t *bytes, size_t len, struct picture *picture)
{
    int32_t width = picture->width / 2 + 1, height = picture->height / 3 + 1;
    size_t size = (size_t)width * (size_t)height * 3;
    uint8_t *a = malloc(size), *b = malloc(size);
    unsigned changes;
    struct media_target target = {width, height, b, false};
    media_format_require(a && b && media_resize(picture, width, height, a, NULL) == 0);
    media_format_require(
        media_decode_resized(bytes, len, &picture->info, &target, &changes, NULL) == 0);
    media_format_require(memcmp(a, b, size) == 0 && changes == picture->changes);
    free(a);
    free(b);
}

/* magic stands in the place of the input's first bytes. */
static inline int media_format_try(const uint8_t *data, size_t size, const char *magic, size_t n)
{
    static const struct media_limits limits = {.pixels = 1 << 16};
    struct picture picture;
    uint8_t *bytes = malloc(size + n);
    if (!bytes)
        return 0;
    size_t len = size > n ? size : n;
    memcpy(bytes, data, size);
    memcpy(bytes, magic, n);
    if (media_decode(bytes, len, &limits, &picture, NULL) == 0) {
        media_format_compare(bytes, len, &picture);
        picture_free(&picture);
    }
    free(bytes);
    return 0;
}
