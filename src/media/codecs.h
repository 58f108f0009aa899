/* What the codecs share, private to src/media. A codec has a probe (header only) and a decode; both
 * get bytes whose first ones were recognised. The decode is called after its probe accepted the
 * picture within the limits. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "media/decode.h"

/* Borrowed bytes. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

/* Each sets stored_width, stored_height and orientation; nothing else. */
int jpeg_probe(struct bytes in, struct media_info *info, struct vlmd_error *err);
int png_probe(struct bytes in, struct media_info *info, struct vlmd_error *err);
int gif_probe(struct bytes in, struct media_info *info, struct vlmd_error *err);
int webp_probe(struct bytes in, struct media_info *info, struct vlmd_error *err);

/* Each fills out->rgb with stored_height x stored_width x 3 bytes (out->info is set), and adds to
 * out->changes. There is room for 4 bytes a pixel, so that transparent pixels need no memory of
 * their own. */
int png_decode(struct bytes in, struct picture *out, struct vlmd_error *err);
int gif_decode(struct bytes in, struct picture *out, struct vlmd_error *err);
int webp_decode(struct bytes in, struct picture *out, struct vlmd_error *err);

/* Where a codec that gives row after row puts them. */
struct rows {
    uint8_t *(*next)(void *context); /* memory for the next row: stored_width x 3 bytes */
    void (*take)(void *context);     /* it is written */
    void *context;
};

/* Gives stored_height rows and adds to *changes. */
int jpeg_read(struct bytes in, const struct rows *rows, unsigned *changes, struct vlmd_error *err);

/* The ICC profile, in new memory of at most MAX_PROFILE bytes; NULL when there is none that is
 * whole. */
enum {
    MAX_PROFILE = 4 << 20
};
uint8_t *jpeg_profile(struct bytes in, size_t *len);
uint8_t *png_profile(struct bytes in, size_t *len);
uint8_t *webp_profile(struct bytes in, size_t *len);

/* `channel` over white at this alpha, rounded to nearest: Pillow's paste() with a mask. */
static inline uint8_t over_white(uint8_t channel, uint8_t alpha)
{
    unsigned sum = channel * (unsigned)alpha + 255u * (255u - alpha) + 128u;
    return (uint8_t)(((sum >> 8) + sum) >> 8);
}

/* n pixels of RGBA to RGB over white, which may be the same memory. Returns MEDIA_FLATTENED if any
 * was not opaque, else 0. */
unsigned rgba_over_white(const uint8_t *rgba, size_t n, uint8_t *rgb);
