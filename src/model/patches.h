/* RGB pixels to the rows that Qwen2-VL's patch embedding reads: rescaled, normalised, cut into
 * patches. The picture already has its final size; a still image fills every temporal slot.
 * Source: transformers, models/qwen2_vl, Qwen2VLImageProcessorPil. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct patch_params {
    int32_t patch;    /* side of a patch in pixels: 14 */
    int32_t merge;    /* patches per side that the merger joins: 2 */
    int32_t temporal; /* frames per patch: 2 */
    float mean[3], std[3];
    double rescale; /* 1/255 */
};

/* rows x columns = (height/patch * width/patch) x (3 * temporal * patch * patch). Rows go through
 * the picture by merge x merge groups; a row is (channel, time, y, x). */
int patches_shape(int32_t height, int32_t width, const struct patch_params *params, size_t *rows,
                  size_t *columns, struct vlmd_error *err);

/* Writes rows x columns floats to out. Each value is float((float(v * rescale) - mean) / std), the
 * reference's own rounding. VLMD_INVALID unless both sides are multiples of patch * merge and the
 * parameters are positive. */
int patches_from_rgb(const uint8_t *rgb, int32_t height, int32_t width,
                     const struct patch_params *params, float *out, struct vlmd_error *err);
