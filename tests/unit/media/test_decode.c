/* What decoding refuses, tolerates and reports: formats, limits, damage. That its pixels are right
 * is shown by test_pixels.c, whose pictures are the material here. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "media/decode.h"
#include "media/orient.h"

#define FOLDER "tests/parity/pixels"

struct file {
    uint8_t *bytes;
    size_t len;
};

static struct file load(const char *name)
{
    struct vlmd_error err = {0};
    char *path = file_join(FOLDER, name);
    struct file file = {0};
    file.bytes = (uint8_t *)file_read(path, 1 << 20, &file.len, &err);
    if (!file.bytes)
        fail_msg("%s", err.text);
    free(path);
    return file;
}

/* Both probe and decode must say so, with no field and an empty result. */
static void assert_refused(const void *bytes, size_t len, const struct media_limits *limits,
                           enum vlmd_code code, const char *says)
{
    struct vlmd_error err = {0};
    struct media_info info;
    assert_int_equal(media_probe(bytes, len, limits, &info, &err), -1);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    err_clear(&err);
    struct picture picture;
    assert_int_equal(media_decode(bytes, len, limits, &picture, &err), -1);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, "");
    assert_null(picture.rgb);
    assert_int_equal(picture.width, 0);
}

static void test_other_formats_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *says;
    } cases[] = {
        {"II*\0\x08\0\0\0", 8, "image/tiff is not supported"},
        {"MM\0*\0\0\0\x08", 8, "image/tiff is not supported"},
        {"BM\x46\0\0\0", 6, "image/bmp is not supported"},
        {"\0\0\0\x1c"
         "ftypavif\0\0\0\0",
         16, "image/avif is not supported"},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0",
         16, "image/heic is not supported"},
        {"\0\0\0\x18"
         "ftypisom\0\0\0\0",
         16, "video/mp4 is not supported"},
        {"\xFF\x0A\xFA\x7F", 4, "image/jxl is not supported"},
        {"\0\0\0\x0CjP  \r\n\x87\n", 12, "image/jp2 is not supported"},
        {"\0\0\1\0\1\0", 6, "image/x-icon is not supported"},
        {"<svg xmlns=", 11, "image/svg+xml is not supported"},
        {"%PDF-1.7", 8, "application/pdf is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].bytes, cases[i].len, NULL, VLMD_UNSUPPORTED, cases[i].says);
}

static void test_what_is_no_picture(void **state)
{
    (void)state;
    assert_refused("", 0, NULL, VLMD_INVALID, "empty");
    assert_refused("hello", 5, NULL, VLMD_INVALID, "not a JPEG, PNG, GIF or WebP");
    assert_refused("\xFF\xD8", 2, NULL, VLMD_INVALID, "not a JPEG");
    assert_refused("RIFF\0\0\0\0WAVE", 12, NULL, VLMD_INVALID, "not a JPEG");
    assert_refused("\xFF\xD8\xFF", 3, NULL, VLMD_INVALID, "JPEG is cut short");
    assert_refused("\xFF\xD8\xFF\xD9", 4, NULL, VLMD_INVALID, "JPEG cannot be decoded");
    assert_refused("\x89PNG\r\n\x1a\n", 8, NULL, VLMD_INVALID, "PNG's header is damaged");
    assert_refused("GIF89a", 6, NULL, VLMD_INVALID, "GIF is cut short");
    assert_refused("GIF89a\1\0\1\0\0\0\0;00000000", 22, NULL, VLMD_INVALID, "holds no picture");
    assert_refused("RIFF\4\0\0\0WEBP", 12, NULL, VLMD_INVALID, "WebP is damaged or cut short");
}

static const char *const samples[] = {
    "baseline_420.jpg", "progressive.jpg",     "cmyk.jpg",          "grey.jpg",
    "rgb.png",          "interlaced_rgba.png", "palette_alpha.png", "grey_16.png",
    "interlaced.gif",   "offset.gif",          "lossy_alpha.webp",  "lossless.webp",
    "lossy.webp",       "animated.webp",       "animated.gif",      "orientation_6.jpg",
};

#define N_SAMPLES (sizeof samples / sizeof *samples)

/* A copy of exactly len bytes, so that the sanitizer sees a read beyond them. */
static uint8_t *copy_of(const struct file *file, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, file->bytes, len);
    return copy;
}

static void test_truncation(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SAMPLES; s++) {
        struct file file = load(samples[s]);
        struct picture whole;
        assert_int_equal(media_decode(file.bytes, file.len, NULL, &whole, NULL), 0);
        size_t size = (size_t)whole.width * (size_t)whole.height * 3;
        size_t refused = 0, step = 1 + file.len / 150;
        for (size_t len = 0; len < file.len; len += step) {
            uint8_t *copy = copy_of(&file, len);
            struct vlmd_error err = {0};
            struct picture part;
            if (media_decode(copy, len, NULL, &part, &err) < 0) {
                assert_true(err.code == VLMD_INVALID);
                assert_true(err.text[0] != '\0');
                assert_null(part.rgb);
                refused++;
            } else {
                /* Only what does not matter was missing. */
                assert_int_equal(part.width, whole.width);
                assert_memory_equal(part.rgb, whole.rgb, size);
                picture_free(&part);
            }
            free(copy);
        }
        if (refused * 2 < file.len / step && !strstr(samples[s], "animated"))
            fail_msg("%s: only %zu beginnings are refused", samples[s], refused);
        picture_free(&whole);
        free(file.bytes);
    }
}

/* Flipped bytes give an error or a picture, and nothing else. */
static void test_damage(void **state)
{
    (void)state;
    static const struct media_limits limits = {.pixels = 1 << 20};
    uint32_t random = 12345;
    for (size_t s = 0; s < N_SAMPLES; s++) {
        struct file file = load(samples[s]);
        for (int round = 0; round < 60; round++) {
            uint8_t *copy = copy_of(&file, file.len);
            for (int i = 0; i < 1 + round / 10; i++) {
                random = random * 1664525 + 1013904223;
                copy[random % file.len] ^= (uint8_t)(1u << (random >> 29));
            }
            struct vlmd_error err = {0};
            struct picture picture;
            if (media_decode(copy, file.len, &limits, &picture, &err) == 0)
                assert_true(picture.rgb && picture.width > 0 && picture.height > 0);
            else
                assert_true(err.code != VLMD_OK && err.text[0] && !picture.rgb);
            picture_free(&picture);
            free(copy);
        }
        free(file.bytes);
    }
}

static long resident_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
#ifdef __APPLE__
    return usage.ru_maxrss / 1024;
#else
    return usage.ru_maxrss;
#endif
}

/* Headers that promise 65535 x 65535 pixels (WebP: what its formats can say), 12 GB as RGB. */
static void test_huge_headers_cost_nothing(void **state)
{
    (void)state;
    uint8_t jpeg[] = {0xFF, 0xD8, 0xFF, 0xC0, 0,    17, 8, 0xFF, 0xFF, 0xFF, 0xFF, 3,
                      1,    0x22, 0,    2,    0x11, 0,  3, 0x11, 0,    0xFF, 0xDA, 0,
                      12,   3,    1,    0,    2,    0,  3, 0,    0,    63,   0,    0};
    static const char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xFF\xFF\0\0\xFF\xFF\x08\x06\0\0\0"
        "\0\0\0\0\0\0\0\1IDATx\0\0\0\0";
    static const char gif[] = "GIF89a\xFF\xFF\xFF\xFF\0\0\0,\0\0\0\0\xFF\xFF\xFF\xFF\0\x08\1\0\0;";
    static const char gif_frame[] =
        "GIF89a\1\0\1\0\0\0\0,\0\xFF\0\xFF\xFF\xFF\xFF\xFF\0\x08\1\0\0;";
    static const char lossless[] = "RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0/\xFF\xFF\xFF\x0f\0\0\0\0\0";
    static const char lossy[] =
        "RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\xFF\x3f\xFF\x3f";
    long before = resident_kib();
    struct media_limits wide = {.width = 70000, .height = 140000};
    assert_refused(jpeg, sizeof jpeg, &wide, VLMD_TOO_LARGE, "Maximum supported");
    jpeg[8] = jpeg[10] = 0xDC; /* 65500, the library's own limit */
    assert_refused(jpeg, sizeof jpeg, &wide, VLMD_TOO_LARGE, "4290250000 pixels");
    assert_refused(jpeg, sizeof jpeg, NULL, VLMD_TOO_LARGE, "65500 x 65500");
    assert_refused(png, sizeof png - 1, &wide, VLMD_TOO_LARGE, "4294836225 pixels");
    assert_refused(gif, sizeof gif - 1, &wide, VLMD_TOO_LARGE, "4294836225 pixels");
    assert_refused(gif_frame, sizeof gif_frame - 1, NULL, VLMD_TOO_LARGE, "are allowed");
    assert_refused(lossless, sizeof lossless - 1, NULL, VLMD_TOO_LARGE, "16384 x 16384");
    assert_refused(lossy, sizeof lossy - 1, NULL, VLMD_TOO_LARGE, "16383 x 16383");
    static const char chunk[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"
                                "\x90\x77\x53\xDE\x4E\0\0\0tEXt\0\0\0\0\0\0\0\0";
    struct vlmd_error err = {0};
    struct picture picture;
    assert_int_equal(media_decode((const uint8_t *)chunk, sizeof chunk - 1, NULL, &picture, &err),
                     -1);
    assert_string_equal(err.text, "the PNG is cut short");
    assert_true(resident_kib() - before < 8 * 1024);

    static const char beyond[] =
        "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\xFF\xFF\xFF\xFF\0\0\0\1\x08\2\0\0\0"
        "\0\0\0\0";
    assert_refused(beyond, sizeof beyond - 1, NULL, VLMD_INVALID, "4294967295 x 1");
    static const char nothing[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\1\x08\2\0\0\0"
                                  "\0\0\0\0";
    assert_refused(nothing, sizeof nothing - 1, NULL, VLMD_INVALID, "0 x 1");
}

static void test_limits(void **state)
{
    (void)state;
    struct file file = load("orientation_6.jpg"); /* 70 x 41 stored, 41 x 70 upright */
    struct media_limits exact = {file.len, 41, 70, 41 * 70};
    struct picture picture;
    assert_int_equal(media_decode(file.bytes, file.len, &exact, &picture, NULL), 0);
    picture_free(&picture);
    struct media_limits less = exact;
    less.bytes--;
    assert_refused(file.bytes, file.len, &less, VLMD_TOO_LARGE, "bytes; at most");
    less = exact;
    less.width--;
    assert_refused(file.bytes, file.len, &less, VLMD_TOO_LARGE, "at most 40 x 70");
    less = exact;
    less.height--;
    assert_refused(file.bytes, file.len, &less, VLMD_TOO_LARGE, "at most 41 x 69");
    less = exact;
    less.pixels--;
    assert_refused(file.bytes, file.len, &less, VLMD_TOO_LARGE, "2870 pixels (41 x 70)");
    free(file.bytes);
}

static void test_changes_are_reported(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned changes;
        int32_t orientation;
    } cases[] = {
        {"baseline_444.jpg", 0, 1},
        {"orientation_1.jpg", 0, 1},
        {"orientation_7.jpg", MEDIA_ORIENTED, 7},
        {"orientation_6.png", MEDIA_ORIENTED, 6},
        {"orientation_8.webp", MEDIA_ORIENTED, 8},
        {"cmyk.jpg", MEDIA_FROM_CMYK, 1},
        {"ycck.jpg", MEDIA_FROM_CMYK, 1},
        {"rgb.png", 0, 1},
        {"rgba.png", MEDIA_FLATTENED, 1},
        {"palette_key.png", MEDIA_FLATTENED, 1},
        {"grey_16.png", MEDIA_DEPTH | MEDIA_CLIPPED, 1},
        {"rgb_16.png", MEDIA_DEPTH, 1},
        {"rgba_16.png", MEDIA_DEPTH | MEDIA_FLATTENED, 1},
        {"animated.png", MEDIA_FIRST_FRAME, 1},
        {"plain.gif", 0, 1},
        {"transparent.gif", MEDIA_FLATTENED, 1},
        {"offset.gif", 0, 1},
        {"offset_transparent.gif", MEDIA_FLATTENED, 1},
        {"animated.gif", MEDIA_FIRST_FRAME, 1},
        {"lossy.webp", 0, 1},
        {"lossy_alpha.webp", MEDIA_FLATTENED, 1},
        {"animated.webp", MEDIA_FIRST_FRAME, 1},
        {"animated_offset.webp", MEDIA_FIRST_FRAME | MEDIA_FLATTENED, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = load(cases[i].name);
        struct picture picture;
        assert_int_equal(media_decode(file.bytes, file.len, NULL, &picture, NULL), 0);
        if (picture.changes != cases[i].changes)
            fail_msg("%s: changes are %u", cases[i].name, picture.changes);
        assert_int_equal(picture.info.orientation, cases[i].orientation);
        picture_free(&picture);
        assert_null(picture.rgb);
        free(file.bytes);
    }
}

static void test_exif_is_read_with_care(void **state)
{
    (void)state;
    static const uint8_t little[] = "II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0";
    static const uint8_t big[] = "MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0";
    size_t len = 22;
    assert_int_equal(orient_from_exif(little, len), 6);
    assert_int_equal(orient_from_exif(big, len), 8);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        uint8_t *tail = copy + 1; /* its end is the allocation's end */
        memcpy(tail, little, cut);
        assert_int_equal(orient_from_exif(tail, cut), 1);
        free(copy);
    }
    for (size_t at = 0; at < len; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t copy[22];
            memcpy(copy, little, len);
            copy[at] = (uint8_t)value;
            int32_t got = orient_from_exif(copy, len);
            assert_true(got >= 1 && got <= 8);
        }
    }
}

/* Offset of the first marker of that kind; 0 when there is none. */
static size_t find_marker(const struct file *file, size_t from, uint8_t kind)
{
    for (size_t at = from; at + 1 < file->len; at++) {
        if (file->bytes[at] == 0xFF && file->bytes[at + 1] == kind)
            return at;
    }
    return 0;
}

/* A progressive JPEG whose first scan comes 600 times more: each would cost a pass over it all. */
static void test_too_many_scans(void **state)
{
    (void)state;
    struct file file = load("progressive.jpg");
    size_t first = find_marker(&file, 2, 0xDA);
    size_t table = find_marker(&file, first + 2, 0xC4);
    assert_true(first && table > first);
    struct buf many = {0};
    buf_append(&many, file.bytes, first);
    for (int i = 0; i < 600; i++)
        buf_append(&many, file.bytes + first, table - first);
    assert_int_equal(buf_append(&many, file.bytes + table, file.len - table), 0);
    struct vlmd_error err = {0};
    struct picture picture;
    assert_int_equal(media_decode((uint8_t *)many.data, many.len, NULL, &picture, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_non_null(strstr(err.text, "too many scans"));
    buf_free(&many);
    free(file.bytes);
}

/* Two hundred thousand markers before the picture, each of which libjpeg would keep. */
static void test_many_markers(void **state)
{
    (void)state;
    enum {
        MARKERS = 200000
    };
    struct file file = load("baseline_420.jpg");
    size_t len = file.len + MARKERS * 4;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, file.bytes, 2);
    for (size_t i = 0; i < MARKERS; i++)
        memcpy(bytes + 2 + 4 * i, "\xFF\xE1\0\2", 4);
    memcpy(bytes + 2 + 4 * MARKERS, file.bytes + 2, file.len - 2);
    clock_t began = clock();
    struct picture picture;
    assert_int_equal(media_decode(bytes, len, NULL, &picture, NULL), 0);
    assert_true(clock() - began < 2 * CLOCKS_PER_SEC);
    picture_free(&picture);
    free(bytes);
    free(file.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_huge_headers_cost_nothing),
        cmocka_unit_test(test_other_formats_are_named),
        cmocka_unit_test(test_what_is_no_picture),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_changes_are_reported),
        cmocka_unit_test(test_exif_is_read_with_care),
        cmocka_unit_test(test_too_many_scans),
        cmocka_unit_test(test_many_markers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
