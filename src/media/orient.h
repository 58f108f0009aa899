/* EXIF orientation: finds it in a TIFF block and applies it to pixels. Other EXIF is ignored. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "media/decode.h"

/* The orientation (1 to 8) in an EXIF block, with or without its "Exif\0\0" lead; 1 when there is
 * none or it makes no sense. */
int32_t orient_from_exif(const uint8_t *bytes, size_t len);

/* Does this orientation swap width and height? */
bool orient_swaps(int32_t orientation);

/* Row y of the upright picture, width x 3 bytes, out of the pixels as they are stored. */
void orient_row(const uint8_t *stored, const struct media_info *info, int32_t y, uint8_t *row);

/* Turns the picture upright by out->info.orientation and sets width and height. May replace
 * picture->rgb. */
int orient_apply(struct picture *picture, struct vlmd_error *err);
