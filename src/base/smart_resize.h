/* The size at which Qwen2-VL's processor shows a picture to the vision tower: both sides multiples
 * of patch * merge, the area within bounds, the aspect ratio kept as closely as that allows.
 * Source: transformers, models/qwen2_vl, smart_resize(). Results are its results, halves and
 * all. */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* height, width: the upright picture. factor: patch size * merge size. min_pixels, max_pixels:
 * bounds of the area, min <= max, min may be 0. Sides beyond 200:1 are VLMD_INVALID, as is a result
 * with an empty side (a picture much smaller than factor and no min_pixels). */
int smart_resize(int32_t height, int32_t width, int32_t factor, int64_t min_pixels,
                 int64_t max_pixels, int32_t *out_height, int32_t *out_width,
                 struct vlmd_error *err);

/* The largest area that a picture of this shape may have for its longer side to become max_side;
 * INT64_MAX where it is not longer than that, or max_side is 0. At least 1. */
int64_t smart_resize_area_within(int32_t width, int32_t height, int32_t max_side);
