/* The ICC profile inside a picture, and the conversion of its pixels to sRGB through lcms2:
 * perceptual intent, as Pillow's ImageCms does by default. RGB profiles only; whoever asks decides
 * whether profiles matter at all. */
#pragma once

#include "media/codecs.h"

struct profile;

/* NULL when the picture has no profile, or none that can be used. */
struct profile *profile_open(struct bytes in, enum media_format format);
void profile_close(struct profile *profile); /* NULL is fine */
/* Converts n pixels of RGB in place. */
void profile_apply(const struct profile *profile, uint8_t *rgb, int32_t n);
