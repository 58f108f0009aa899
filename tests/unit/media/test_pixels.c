/* Pictures against the reference, from encoded bytes down to the floats that the vision tower
 * reads: tests/parity/pixels, made by tools/fixtures/pixels.py from Pillow and transformers. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/smart_resize.h"
#include "media/decode.h"
#include "media/resize.h"
#include "model/patches.h"

#define FOLDER "tests/parity/pixels"

static const struct patch_params params = {
    .patch = 14,
    .merge = 2,
    .temporal = 2,
    .mean = {0.48145466f, 0.4578275f, 0.40821073f},
    .std = {0.26862954f, 0.26130258f, 0.27577711f},
    .rescale = 1 / 255.0,
};

/* What the report at the end says. */
static struct {
    int pictures, sizes;
    size_t bytes, values;
    double worst;
} seen;

static json_t *load_expected(void)
{
    struct vlmd_error err = {0};
    json_t *expected = json_parse_file(FOLDER "/expected.json", 1 << 24, &err);
    if (!expected)
        fail_msg("%s", err.text);
    return expected;
}

static int32_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return (int32_t)json_integer_value(value);
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    assert_non_null(value);
    return value;
}

static void assert_sha(const void *data, size_t len, const char *wanted, const char *what,
                       const char *name)
{
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    assert_int_equal(hash_sha256(data, len, hash), 0);
    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    if (strcmp(hex, wanted) != 0)
        fail_msg("%s: %s differ from the reference", name, what);
}

static void check_values(const uint8_t *rgb, int32_t height, int32_t width, const json_t *want,
                         const char *name)
{
    struct vlmd_error err = {0};
    size_t rows, columns;
    assert_int_equal(patches_shape(height, width, &params, &rows, &columns, &err), 0);
    float *values = malloc(rows * columns * sizeof *values);
    assert_non_null(values);
    assert_int_equal(patches_from_rgb(rgb, height, width, &params, values, &err), 0);
    size_t i;
    json_t *sample;
    json_array_foreach (json_object_get(want, "samples"), i, sample) {
        size_t at = (size_t)json_integer_value(json_array_get(sample, 0));
        assert_true(at < rows * columns);
        double apart = fabs((double)values[at] - json_number_value(json_array_get(sample, 1)));
        seen.worst = fmax(seen.worst, apart);
        if (apart > 1e-6)
            fail_msg("%s: value %zu is off by %g", name, at, apart);
    }
    assert_true(i > 0);
    assert_sha(values, rows * columns * sizeof *values, text(want, "values_sha256"), "values",
               name);
    seen.values += rows * columns;
    free(values);
}

/* Size, bytes and floats that the reference makes of an upright picture. */
static void check_seen(const struct picture *picture, const json_t *want, const char *name)
{
    struct vlmd_error err = {0};
    int32_t width, height;
    if (smart_resize(picture->height, picture->width, params.patch * params.merge,
                     number(want, "min_pixels"), number(want, "max_pixels"), &height, &width, &err))
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(width, number(want, "width"));
    assert_int_equal(height, number(want, "height"));
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *rgb = malloc(bytes);
    assert_non_null(rgb);
    if (media_resize(picture, width, height, rgb, &err) < 0)
        fail_msg("%s: %s", name, err.text);
    assert_sha(rgb, bytes, text(want, "rgb_sha256"), "resized bytes", name);
    check_values(rgb, height, width, want, name);
    free(rgb);
    seen.sizes++;
    seen.bytes += bytes;
}

static void check_file(const json_t *entry)
{
    const char *name = text(entry, "file");
    struct vlmd_error err = {0};
    char *path = file_join(FOLDER, name);
    size_t len;
    char *bytes = file_read(path, 1 << 20, &len, &err);
    if (!bytes)
        fail_msg("%s", err.text);
    struct media_info info;
    if (media_probe((uint8_t *)bytes, len, NULL, &info, &err) < 0)
        fail_msg("%s: probe: %s", name, err.text);
    struct picture picture;
    if (media_decode((uint8_t *)bytes, len, NULL, &picture, &err) < 0)
        fail_msg("%s: decode: %s", name, err.text);
    assert_memory_equal(&info, &picture.info, sizeof info);
    assert_string_equal(media_format_name(info.format), text(entry, "format"));
    assert_int_equal(picture.width, number(entry, "width"));
    assert_int_equal(picture.height, number(entry, "height"));
    assert_int_equal(info.width, picture.width);
    assert_int_equal(info.height, picture.height);
    assert_sha(picture.rgb, (size_t)picture.width * (size_t)picture.height * 3,
               text(entry, "rgb_sha256"), "decoded bytes", name);
    check_seen(&picture, json_object_get(entry, "seen"), name);
    picture_free(&picture);
    free(bytes);
    free(path);
    seen.pictures++;
}

static void test_encoded_pictures(void **state)
{
    (void)state;
    json_t *expected = load_expected();
    size_t i;
    json_t *entry;
    json_array_foreach (json_object_get(expected, "pictures"), i, entry)
        check_file(entry);
    assert_true(i >= 40);
    json_decref(expected);
}

/* The formula of tools/fixtures/pixels.py. */
static uint8_t formula(uint32_t x, uint32_t y, uint32_t c, uint32_t seed, bool smooth)
{
    uint32_t h = seed * 0x9E3779B1u + x * 0x85EBCA77u + y * 0xC2B2AE3Du + c * 0x27D4EB2Fu;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    h = (h ^ h >> 12) * 0x297A2D39u;
    h ^= h >> 15;
    if (smooth)
        h = x * (3 + c) + y * (5 - c) + (h & 15);
    return (uint8_t)h;
}

static void test_generated_sizes(void **state)
{
    (void)state;
    json_t *expected = load_expected();
    size_t i;
    json_t *entry;
    json_array_foreach (json_object_get(expected, "generated"), i, entry) {
        struct picture picture = {.width = number(entry, "width"),
                                  .height = number(entry, "height")};
        char name[48];
        snprintf(name, sizeof name, "formula %d x %d", picture.width, picture.height);
        uint32_t seed = (uint32_t)number(entry, "seed");
        bool smooth = json_is_true(json_object_get(entry, "smooth"));
        uint8_t *p = malloc((size_t)picture.width * (size_t)picture.height * 3);
        assert_non_null(p);
        picture.rgb = p;
        for (int32_t y = 0; y < picture.height; y++) {
            for (int32_t x = 0; x < picture.width; x++) {
                for (uint32_t c = 0; c < 3; c++)
                    *p++ = formula((uint32_t)x, (uint32_t)y, c, seed, smooth);
            }
        }
        check_seen(&picture, json_object_get(entry, "seen"), name);
        picture_free(&picture);
    }
    assert_true(i >= 25);
    json_decref(expected);
    printf("pixels: %d encoded pictures, %d sizes, %zu resized bytes identical, %zu values "
           "identical, largest difference of a sample %g\n",
           seen.pictures, seen.sizes, seen.bytes, seen.values, seen.worst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoded_pictures),
        cmocka_unit_test(test_generated_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
