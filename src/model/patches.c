#include "model/patches.h"

#include <math.h>

#include "base/checked.h"

enum {
    CHANNELS = 3,
    LEVELS = 256,
    MAX_PATCH = 1024, /* far beyond any model; keeps the products below in range */
};

static int check_params(const struct patch_params *p, struct vlmd_error *err)
{
    if (p->patch < 1 || p->patch > MAX_PATCH)
        return err_set(err, VLMD_INVALID, "patch_size", "patch_size must be 1 to %d, not %d",
                       MAX_PATCH, p->patch);
    if (p->merge < 1 || p->merge > MAX_PATCH)
        return err_set(err, VLMD_INVALID, "merge_size", "merge_size must be 1 to %d, not %d",
                       MAX_PATCH, p->merge);
    if (p->temporal < 1 || p->temporal > MAX_PATCH)
        return err_set(err, VLMD_INVALID, "temporal_patch_size",
                       "temporal_patch_size must be 1 to %d, not %d", MAX_PATCH, p->temporal);
    if (!isfinite(p->rescale))
        return err_set(err, VLMD_INVALID, "rescale_factor", "rescale_factor must be finite");
    for (int c = 0; c < CHANNELS; c++) {
        if (!isfinite(p->mean[c]))
            return err_set(err, VLMD_INVALID, "image_mean", "image_mean must be finite");
        if (!isfinite(p->std[c]) || p->std[c] <= 0)
            return err_set(err, VLMD_INVALID, "image_std", "image_std must be positive");
    }
    return 0;
}

int patches_shape(int32_t height, int32_t width, const struct patch_params *params, size_t *rows,
                  size_t *columns, struct vlmd_error *err)
{
    if (check_params(params, err) < 0)
        return -1;
    int32_t step = params->patch * params->merge;
    if (height <= 0 || width <= 0 || height % step != 0 || width % step != 0)
        return err_set(err, VLMD_INVALID, NULL,
                       "a picture of %d x %d pixels does not divide into %d x %d", width, height,
                       step, step);
    size_t area = (size_t)params->patch * (size_t)params->patch;
    *rows = (size_t)(height / params->patch) * (size_t)(width / params->patch);
    *columns = (size_t)CHANNELS * (size_t)params->temporal * area;
    size_t bytes;
    if (!checked_mul3(*rows, *columns, sizeof(float), &bytes))
        return err_set(err, VLMD_TOO_LARGE, NULL, "a picture of %d x %d pixels is too large", width,
                       height);
    return 0;
}

/* One patch of one channel from its upper left sample. Returns the place behind it. */
static float *put_patch(const uint8_t *rgb, size_t stride, int32_t patch, const float *level,
                        float *out)
{
    for (int32_t y = 0; y < patch; y++) {
        const uint8_t *p = rgb + (size_t)y * stride;
        for (int32_t x = 0; x < patch; x++)
            *out++ = level[p[x * CHANNELS]];
    }
    return out;
}

/* One row of the result: every channel, repeated for every frame. */
static float *put_row(const uint8_t *rgb, size_t stride, const struct patch_params *params,
                      float level[CHANNELS][LEVELS], float *out)
{
    for (int c = 0; c < CHANNELS; c++) {
        for (int32_t t = 0; t < params->temporal; t++)
            out = put_patch(rgb + c, stride, params->patch, level[c], out);
    }
    return out;
}

int patches_from_rgb(const uint8_t *rgb, int32_t height, int32_t width,
                     const struct patch_params *params, float *out, struct vlmd_error *err)
{
    size_t rows, columns;
    if (patches_shape(height, width, params, &rows, &columns, err) < 0)
        return -1;
    float level[CHANNELS][LEVELS];
    for (int c = 0; c < CHANNELS; c++) {
        for (int v = 0; v < LEVELS; v++)
            level[c][v] = ((float)(v * params->rescale) - params->mean[c]) / params->std[c];
    }
    size_t stride = (size_t)width * CHANNELS;
    size_t patch = (size_t)params->patch, merge = (size_t)params->merge;
    size_t groups_down = (size_t)height / (patch * merge);
    size_t groups_across = (size_t)width / (patch * merge);
    for (size_t group = 0; group < groups_down * groups_across; group++) {
        size_t top = group / groups_across * merge;
        size_t left = group % groups_across * merge;
        for (size_t i = 0; i < merge * merge; i++) {
            size_t y = (top + i / merge) * patch;
            size_t x = (left + i % merge) * patch;
            out = put_row(rgb + y * stride + x * CHANNELS, stride, params, level, out);
        }
    }
    return 0;
}
