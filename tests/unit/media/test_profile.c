/* Pictures with an ICC profile: converted where that is asked for, and only there. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#include "base/buf.h"
#include "base/file.h"
#include "media/decode.h"

/* A profile whose red and blue have changed places, so that the result is known. */
static size_t swapped_profile(uint8_t **icc)
{
    cmsCIExyY white = {0.3127, 0.3290, 1};
    cmsCIExyYTRIPLE swapped = {{0.15, 0.06, 1}, {0.30, 0.60, 1}, {0.64, 0.33, 1}};
    cmsToneCurve *curve = cmsBuildGamma(NULL, 2.2);
    cmsHPROFILE profile =
        cmsCreateRGBProfile(&white, &swapped, (cmsToneCurve *[]){curve, curve, curve});
    cmsUInt32Number len = 0;
    assert_true(cmsSaveProfileToMem(profile, NULL, &len));
    *icc = malloc(len);
    assert_non_null(*icc);
    assert_true(cmsSaveProfileToMem(profile, *icc, &len));
    cmsCloseProfile(profile);
    cmsFreeToneCurve(curve);
    return len;
}

/* The JPEG of tests/parity/pixels with the profile in two APP2 markers. `count` is what they say.
 */
static size_t with_profile(const uint8_t *icc, size_t icc_len, uint8_t count, uint8_t **out)
{
    size_t len;
    char *file = file_read("tests/parity/pixels/baseline_444.jpg", 1 << 20, &len, NULL);
    assert_non_null(file);
    struct buf made = {0};
    buf_append(&made, file, 2);
    size_t half = icc_len / 2;
    for (int i = 0; i < 2; i++) {
        size_t n = i == 0 ? half : icc_len - half;
        uint8_t head[18] = {0xFF, 0xE2, (uint8_t)((n + 16) >> 8), (uint8_t)(n + 16)};
        memcpy(head + 4, "ICC_PROFILE", 12);
        head[16] = (uint8_t)(i + 1);
        head[17] = count;
        buf_append(&made, head, sizeof head);
        buf_append(&made, icc + (i == 0 ? 0 : half), n);
    }
    buf_append(&made, file + 2, len - 2);
    free(file);
    *out = (uint8_t *)made.data;
    return made.len;
}

static unsigned decode(const uint8_t *bytes, size_t len, bool to_srgb, uint8_t rgb[131 * 97 * 3])
{
    struct media_info info;
    struct media_target target = {131, 97, rgb, to_srgb};
    unsigned changes;
    assert_int_equal(media_probe(bytes, len, NULL, &info, NULL), 0);
    assert_int_equal(media_decode_resized(bytes, len, &info, &target, &changes, NULL), 0);
    return changes;
}

static void test_converts_on_demand(void **state)
{
    (void)state;
    static uint8_t plain[131 * 97 * 3], converted[131 * 97 * 3];
    uint8_t *icc, *bytes;
    size_t icc_len = swapped_profile(&icc);
    size_t len = with_profile(icc, icc_len, 2, &bytes);
    assert_int_equal(decode(bytes, len, false, plain), 0);
    assert_int_equal(decode(bytes, len, true, converted), MEDIA_FROM_PROFILE);
    for (size_t i = 0; i < sizeof plain; i += 3) {
        /* sRGB's own curve is not quite a power of 2.2: dark tones differ a little. */
        assert_in_range(abs(converted[i] - plain[i + 2]), 0, 14);
        assert_in_range(abs(converted[i + 2] - plain[i]), 0, 14);
    }
    free(bytes);
    free(icc);
}

static void test_broken_profiles_are_ignored(void **state)
{
    (void)state;
    static uint8_t plain[131 * 97 * 3], converted[131 * 97 * 3];
    uint8_t *icc, *bytes;
    size_t icc_len = swapped_profile(&icc);
    size_t len = with_profile(icc, icc_len, 3, &bytes); /* one part is missing */
    decode(bytes, len, false, plain);
    assert_int_equal(decode(bytes, len, true, converted), 0);
    assert_memory_equal(plain, converted, sizeof plain);
    free(bytes);
    memset(icc, 0xAA, icc_len);
    len = with_profile(icc, icc_len, 2, &bytes);
    assert_int_equal(decode(bytes, len, true, converted), 0);
    assert_memory_equal(plain, converted, sizeof plain);
    free(bytes);
    free(icc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_converts_on_demand),
        cmocka_unit_test(test_broken_profiles_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
