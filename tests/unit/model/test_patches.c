/* Patch order and normalisation by their definition. That whole pictures give the reference's
 * floats is shown by tests/unit/media/test_pixels.c. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/patches.h"

static struct patch_params sound_params(int32_t patch, int32_t merge, int32_t temporal)
{
    return (struct patch_params){
        .patch = patch,
        .merge = merge,
        .temporal = temporal,
        .mean = {0.5f, 0.25f, 0.125f},
        .std = {0.5f, 0.25f, 0.75f},
        .rescale = 1 / 255.0,
    };
}

static uint8_t sample(int32_t y, int32_t x, int32_t c)
{
    return (uint8_t)(y * 37 + x * 11 + c * 101);
}

/* Looks every value up by walking the axes that the reference transposes: group row, group column,
 * row and column in the group, channel, time, y, x. */
static void check_order(int32_t down, int32_t across, struct patch_params p)
{
    int32_t side = p.patch * p.merge, height = down * side, width = across * side;
    size_t rows, columns;
    assert_int_equal(patches_shape(height, width, &p, &rows, &columns, NULL), 0);
    assert_int_equal(rows, down * across * p.merge * p.merge);
    assert_int_equal(columns, 3 * p.temporal * p.patch * p.patch);
    uint8_t *rgb = malloc((size_t)height * (size_t)width * 3);
    float *values = malloc(rows * columns * sizeof *values);
    assert_true(rgb && values);
    for (int32_t i = 0; i < height * width * 3; i++)
        rgb[i] = sample(i / 3 / width, i / 3 % width, i % 3);
    assert_int_equal(patches_from_rgb(rgb, height, width, &p, values, NULL), 0);
    for (size_t i = 0; i < rows * columns; i++) {
        int32_t rest = (int32_t)i;
        int32_t x = rest % p.patch, y = (rest /= p.patch) % p.patch;
        rest = rest / p.patch / p.temporal;
        int32_t c = rest % 3, column = (rest /= 3) % p.merge, row = (rest /= p.merge) % p.merge;
        int32_t left = (rest /= p.merge) % across, top = rest / across;
        uint8_t v = sample(top * side + row * p.patch + y, left * side + column * p.patch + x, c);
        double want = (v / 255.0 - (double)p.mean[c]) / (double)p.std[c];
        if (fabs((double)values[i] - want) > 1e-6)
            fail_msg("value %zu is %g instead of %g", i, (double)values[i], want);
    }
    free(rgb);
    free(values);
}

static void test_order(void **state)
{
    (void)state;
    check_order(1, 1, sound_params(14, 2, 2));
    check_order(3, 2, sound_params(14, 2, 2));
    check_order(2, 5, sound_params(14, 2, 1));
    check_order(2, 3, sound_params(4, 3, 2));
    check_order(4, 3, sound_params(5, 1, 3));
    check_order(1, 7, sound_params(1, 1, 1));
}

static void assert_refused(int32_t height, int32_t width, struct patch_params p, const char *field)
{
    struct vlmd_error err = {0};
    size_t rows, columns;
    assert_int_equal(patches_shape(height, width, &p, &rows, &columns, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, field);
    assert_int_equal(patches_from_rgb(NULL, height, width, &p, NULL, &err), -1);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct patch_params good = sound_params(14, 2, 2);
    assert_refused(27, 28, good, "");
    assert_refused(28, 42, good, "");
    assert_refused(0, 28, good, "");
    assert_refused(28, -28, good, "");
    assert_refused(28, 28, sound_params(0, 2, 2), "patch_size");
    assert_refused(28, 28, sound_params(INT32_MAX, 2, 2), "patch_size");
    assert_refused(28, 28, sound_params(14, 0, 2), "merge_size");
    assert_refused(28, 28, sound_params(14, INT32_MIN, 2), "merge_size");
    assert_refused(28, 28, sound_params(14, 2, -1), "temporal_patch_size");
    struct patch_params bad = good;
    bad.std[1] = 0;
    assert_refused(28, 28, bad, "image_std");
    bad = good;
    bad.mean[2] = NAN;
    assert_refused(28, 28, bad, "image_mean");
    bad = good;
    bad.rescale = INFINITY;
    assert_refused(28, 28, bad, "rescale_factor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
