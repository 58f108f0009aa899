#include "base/smart_resize.h"

#include <math.h>

enum {
    MAX_RATIO = 200,
};

/* Nearest multiple, ties to the even one: Python's round(), which the reference uses. */
static double nearest(double side, double factor)
{
    return nearbyint(side / factor) * factor;
}

static int check_input(int32_t height, int32_t width, int32_t factor, int64_t min_pixels,
                       int64_t max_pixels, struct vlmd_error *err)
{
    if (height <= 0 || width <= 0)
        return err_set(err, VLMD_INVALID, NULL, "a picture of %d x %d pixels has no area", width,
                       height);
    if (factor <= 0 || min_pixels < 0 || max_pixels <= 0 || min_pixels > max_pixels)
        return err_set(err, VLMD_INVALID, "max_pixels",
                       "bounds of %lld to %lld pixels in steps of %d make no sense",
                       (long long)min_pixels, (long long)max_pixels, factor);
    int64_t longer = height > width ? height : width;
    int64_t shorter = height > width ? width : height;
    if (longer > MAX_RATIO * shorter)
        return err_set(err, VLMD_INVALID, NULL,
                       "a picture of %d x %d pixels is too narrow: its sides may differ at most "
                       "%d times",
                       width, height, MAX_RATIO);
    return 0;
}

int smart_resize(int32_t height, int32_t width, int32_t factor, int64_t min_pixels,
                 int64_t max_pixels, int32_t *out_height, int32_t *out_width,
                 struct vlmd_error *err)
{
    if (check_input(height, width, factor, min_pixels, max_pixels, err) < 0)
        return -1;
    /* Every quantity below is exact in a double or rounded as Python's division rounds it. */
    double h = height, w = width, step = factor;
    double tall = nearest(h, step);
    double wide = nearest(w, step);
    if (tall * wide > (double)max_pixels) {
        double beta = sqrt(h * w / (double)max_pixels);
        tall = fmax(step, floor(h / beta / step) * step);
        wide = fmax(step, floor(w / beta / step) * step);
    } else if (tall * wide < (double)min_pixels) {
        double beta = sqrt((double)min_pixels / (h * w));
        tall = ceil(h * beta / step) * step;
        wide = ceil(w * beta / step) * step;
    }
    if (tall < 1 || wide < 1)
        return err_set(err, VLMD_INVALID, "min_pixels",
                       "a picture of %d x %d pixels vanishes when rounded to multiples of %d; "
                       "raise min_pixels",
                       width, height, factor);
    if (tall > INT32_MAX || wide > INT32_MAX)
        return err_set(err, VLMD_INVALID, "min_pixels", "min_pixels of %lld is too large",
                       (long long)min_pixels);
    *out_height = (int32_t)tall;
    *out_width = (int32_t)wide;
    return 0;
}

int64_t smart_resize_area_within(int32_t width, int32_t height, int32_t max_side)
{
    int32_t longer = width > height ? width : height, shorter = width > height ? height : width;
    if (max_side == 0 || longer <= max_side)
        return INT64_MAX;
    int64_t area = (int64_t)max_side * max_side * shorter / longer;
    return area > 0 ? area : 1;
}
