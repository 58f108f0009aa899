/* Resizing by its properties and at hostile sizes. That it equals Pillow's is shown by
 * test_pixels.c; that all instruction sets give the same, by tests/images/resize_kernels.c. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "media/resize.h"

static struct picture plain(int32_t width, int32_t height, uint8_t value)
{
    struct picture picture = {.width = width, .height = height};
    size_t bytes = (size_t)width * (size_t)height * 3;
    picture.rgb = malloc(bytes);
    assert_non_null(picture.rgb);
    memset(picture.rgb, value, bytes);
    return picture;
}

/* One colour stays that colour: weights sum to one in either direction, at any ratio. */
static void check_plain(int32_t from_width, int32_t from_height, int32_t width, int32_t height)
{
    static const uint8_t values[] = {0, 1, 127, 254, 255};
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *out = malloc(bytes);
    assert_non_null(out);
    for (size_t v = 0; v < sizeof values; v++) {
        struct picture picture = plain(from_width, from_height, values[v]);
        memset(out, ~values[v], bytes);
        assert_int_equal(media_resize(&picture, width, height, out, NULL), 0);
        for (size_t i = 0; i < bytes; i++) {
            if (out[i] != values[v])
                fail_msg("%d x %d to %d x %d: %d became %d", from_width, from_height, width, height,
                         values[v], out[i]);
        }
        picture_free(&picture);
    }
    free(out);
}

static void test_one_colour_stays(void **state)
{
    (void)state;
    check_plain(1, 1, 1, 1);
    check_plain(1, 1, 56, 56);
    check_plain(3, 2, 140, 28);
    check_plain(500, 400, 28, 56);
    check_plain(997, 3, 28, 28);
    check_plain(3, 997, 28, 28);
    check_plain(30, 30, 30, 7);
    check_plain(30, 30, 7, 30);
}

static void test_hostile_sizes(void **state)
{
    (void)state;
    check_plain(65535, 1, 1, 65535);
    check_plain(1, 65535, 65535, 1);
    check_plain(65535, 2, 1, 1);
    check_plain(1, 1, 65535, 3);
}

static void test_same_size_is_a_copy(void **state)
{
    (void)state;
    struct picture picture = plain(9, 5, 0);
    uint8_t out[9 * 5 * 3];
    for (size_t i = 0; i < sizeof out; i++)
        picture.rgb[i] = (uint8_t)(i * 77);
    assert_int_equal(media_resize(&picture, 9, 5, out, NULL), 0);
    assert_memory_equal(out, picture.rgb, sizeof out);
    picture_free(&picture);
}

/* Bicubic weights are negative at their ends: a step from black to white must clip, not wrap. */
static void test_overshoot_is_clipped(void **state)
{
    (void)state;
    struct picture picture = plain(8, 1, 0);
    memset(picture.rgb + 4 * 3, 255, 4 * 3);
    uint8_t out[64 * 3];
    assert_int_equal(media_resize(&picture, 64, 1, out, NULL), 0);
    for (int i = 1; i < 64; i++)
        assert_true(out[i * 3] >= out[(i - 1) * 3]);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[63 * 3], 255);
    picture_free(&picture);
}

static void test_refusals(void **state)
{
    (void)state;
    struct picture picture = plain(2, 2, 0);
    static const int32_t sizes[][2] = {
        {0, 1}, {1, 0}, {-1, 5}, {5, INT32_MIN}, {65536, 1}, {1, 65536}, {INT32_MAX, INT32_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vlmd_error err = {0};
        assert_int_equal(media_resize(&picture, sizes[i][0], sizes[i][1], NULL, &err), -1);
        assert_int_equal(err.code, VLMD_INVALID);
    }
    picture.width = 0;
    assert_int_equal(media_resize(&picture, 1, 1, NULL, NULL), -1);
    picture_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_colour_stays),
        cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_same_size_is_a_copy),
        cmocka_unit_test(test_overshoot_is_clipped),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
