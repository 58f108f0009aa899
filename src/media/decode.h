/* Pictures out of untrusted bytes: JPEG, PNG, GIF (first frame) and WebP (first frame), told apart
 * by their first bytes, upright, as 8-bit RGB. Sizes are judged from the header before anything is
 * allocated for pixels. Runs in the decoder role; opens no file and knows no URL.
 *
 * Colours are those of Pillow's convert("RGB"), except that transparency is laid over white, as
 * qwen-vl-utils does (transformers' processor and mlx-vlm drop alpha and show whatever colour
 * hides under it). ICC profiles are applied only where that is asked for: none of the three does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum media_format {
    MEDIA_UNKNOWN,
    MEDIA_JPEG,
    MEDIA_PNG,
    MEDIA_GIF,
    MEDIA_WEBP,
};

/* What an encoded picture may be at most; a 0 stands for the default. */
struct media_limits {
    size_t bytes;   /* of the encoded picture; default 10,000,000 */
    int32_t width;  /* pixels; default 32768 */
    int32_t height; /* pixels; default 32768 */
    int64_t pixels; /* width * height; default 67,108,864 */
};

/* What was done to the picture on its way to RGB. */
enum media_change {
    MEDIA_ORIENTED = 1,    /* turned or mirrored as its EXIF orientation says */
    MEDIA_FLATTENED = 2,   /* not everywhere opaque: laid over white */
    MEDIA_FIRST_FRAME = 4, /* further frames were left out */
    MEDIA_DEPTH = 8,       /* 16 bits a sample became 8 */
    MEDIA_FROM_CMYK = 16,
    MEDIA_CLIPPED = 32,      /* 16-bit grey beyond 255 became white */
    MEDIA_FROM_PROFILE = 64, /* by an ICC profile to sRGB */
};

/* The header's content. */
struct media_info {
    enum media_format format;
    int32_t stored_width, stored_height; /* as the file has it */
    int32_t width, height;               /* upright: sides swapped when the orientation says so */
    int32_t orientation;                 /* EXIF: 1 to 8; 1 when there is none */
};

struct picture {
    uint8_t *rgb; /* height x width x 3, owned: picture_free */
    int32_t width, height;
    struct media_info info;
    unsigned changes; /* of enum media_change */
};

/* The codec by its first bytes; MEDIA_UNKNOWN for everything else. */
enum media_format media_format_of(const uint8_t *bytes, size_t len);
const char *media_format_name(enum media_format format); /* "image/jpeg", ... */

/* Reads the header alone: no memory that grows with the picture's size. Fails with VLMD_INVALID
 * (empty or damaged), VLMD_UNSUPPORTED (names the format) or VLMD_TOO_LARGE (names the limit).
 * `limits` may be NULL. Errors have an empty field: the caller knows which image it was. */
int media_probe(const uint8_t *bytes, size_t len, const struct media_limits *limits,
                struct media_info *info, struct vlmd_error *err);

/* Decodes. Probes first and fails as that does; a picture that is cut short is VLMD_INVALID. On
 * failure *out is empty. */
int media_decode(const uint8_t *bytes, size_t len, const struct media_limits *limits,
                 struct picture *out, struct vlmd_error *err);
void picture_free(struct picture *picture);

struct media_target {
    int32_t width, height;
    uint8_t *rgb; /* height x width x 3 bytes, the caller's; not to be used after a failure */
    bool to_srgb; /* convert by the picture's ICC profile, where it has one */
};

/* The same pixels at another size (media/resize.h), upright. A JPEG that needs no turning passes
 * through row by row; other pictures are in memory once. `info` is what media_probe said of these
 * bytes; sets *changes (of enum media_change). */
int media_decode_resized(const uint8_t *bytes, size_t len, const struct media_info *info,
                         const struct media_target *target, unsigned *changes,
                         struct vlmd_error *err);
