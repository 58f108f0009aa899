/* Which limit decides over an image's size, and what receipts say of it. */
#include "unit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "front/receipt.h"

static const struct worker_info info = {
    .has_vision = true,
    .context_length = 4096,
    .kv_tokens = 4096,
    .image_factor = 28,
    .min_pixels = 3136,
    .max_pixels = 1003520,
};

static struct image_plan plan(const struct chat_image *image, struct pixel_bounds bounds,
                              size_t n_images, const struct worker_info *w, int32_t max_side)
{
    struct chat_image images[8] = {*image};
    struct chat_request q = {.images = images, .n_images = n_images, .bounds = bounds};
    struct image_plan made;
    struct vlmd_error err;
    if (image_plan_make(&q, 0, w, max_side, &made, &err) < 0)
        fail_msg("%s", err.text);
    return made;
}

static void expect(struct image_plan p, uint64_t min, uint64_t max, enum image_bound bound)
{
    assert_int_equal(p.min_pixels, min);
    assert_int_equal(p.max_pixels, max);
    assert_int_equal(p.bound, bound);
}

static const struct pixel_bounds none;

static void test_bounds(void **state)
{
    (void)state;
    struct chat_image image = {0};
    expect(plan(&image, none, 1, &info, 0), 3136, 1003520, IMAGE_BOUND_MODEL);
    struct pixel_bounds wish = {.min = 5000, .max = 200000};
    expect(plan(&image, wish, 1, &info, 0), 5000, 200000, IMAGE_BOUND_REQUEST);
    image.bounds.max = 100000; /* the image's own go before the request's */
    expect(plan(&image, wish, 1, &info, 0), 5000, 100000, IMAGE_BOUND_REQUEST);
    image =
        (struct chat_image){.bounds.max = 1000}; /* a stated limit wins over the model's least */
    expect(plan(&image, none, 1, &info, 0), 1000, 1000, IMAGE_BOUND_REQUEST);
    image = (struct chat_image){.low_detail = true};
    expect(plan(&image, none, 1, &info, 0), 3136, 262144, IMAGE_BOUND_DETAIL);
}

static void test_memory(void **state)
{
    (void)state;
    struct chat_image image = {0};
    struct image_plan p = plan(&image, none, 5, &info, 0);
    expect(p, 3136, 1003520, IMAGE_BOUND_MODEL);
    assert_int_equal(image_plan_room(&info), 3072);
    image_plan_limit_tokens(&p, 614, 28);
    expect(p, 3136, 614 * 784, IMAGE_BOUND_MEMORY);
    struct worker_info poor = info;
    poor.affordable_pixels = 300000;
    expect(plan(&image, none, 1, &poor, 0), 3136, 300000, IMAGE_BOUND_MEMORY);
    image.bounds.max = 2000000000;
    expect(plan(&image, none, 1, &info, 0), 3136, 3072 * 784, IMAGE_BOUND_MEMORY);
}

static int32_t share(int32_t room, size_t n, ...)
{
    int32_t wanted[8];
    va_list list;
    va_start(list, n);
    for (size_t i = 0; i < n; i++)
        wanted[i] = va_arg(list, int);
    va_end(list);
    return image_plan_share(wanted, n, room);
}

static void test_share(void **state)
{
    (void)state;
    assert_int_equal(share(3072, 5, 1280, 1280, 1280, 1280, 1280), 614);
    /* small ones leave the others what they do not want */
    assert_int_equal(share(1000, 4, 10, 20, 900, 900), 485);
    assert_int_equal(share(1000, 3, 10, 300, 900), 690);
    assert_int_equal(share(1000, 3, 100, 400, 900), 500);
    assert_true(share(1000, 3, 100, 400, 500) >= 500); /* they fit */
    assert_int_equal(share(1000, 1, 5000), 1000);
    assert_int_equal(share(2, 5, 9, 9, 9, 9, 9), 1);
    for (uint32_t seed = 1; seed < 2000; seed++) {
        int32_t wanted[8], room = (int32_t)(seed * 2654435761u >> 18);
        int64_t sum = 0;
        bool cut = false;
        for (uint32_t i = 0; i < 8; i++)
            wanted[i] = 1 + (int32_t)((seed * 40503u + i * 2654435761u) >> 20);
        int32_t most = image_plan_share(wanted, 8, room);
        for (int i = 0; i < 8; i++) {
            sum += wanted[i] < most ? wanted[i] : most;
            cut |= wanted[i] > most;
        }
        assert_true(sum <= (room > 8 ? room : 8));
        assert_true(!cut || sum > room - 8); /* nothing is left that somebody wants */
    }
}

static void test_contradictions(void **state)
{
    (void)state;
    struct chat_image image = {.field = "here", .bounds.min = 2000000};
    struct chat_request q = {.images = &image, .n_images = 1};
    struct image_plan made;
    struct vlmd_error err;
    assert_int_equal(image_plan_make(&q, 0, &info, 0, &made, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, "here");
}

static void test_reduces(void **state)
{
    (void)state;
    struct chat_image image = {0};
    enum image_bound bound;
    struct image_plan p = plan(&image, none, 1, &info, 0);
    assert_false(image_plan_reduces(&p, 1000, 1000, &bound));
    assert_true(image_plan_reduces(&p, 1100, 1000, &bound));
    assert_int_equal(bound, IMAGE_BOUND_MODEL);
    p = plan(&image, none, 1, &info, 512);
    assert_false(image_plan_reduces(&p, 512, 512, &bound));
    assert_true(image_plan_reduces(&p, 513, 10, &bound));
    assert_int_equal(bound, IMAGE_BOUND_SERVER);
}

/* The extension as it stands in an answer, parsed. */
static json_t *extension(const struct receipts *r)
{
    struct buf text = {0};
    buf_append_text(&text, "{\"a\":1");
    receipts_append_json(r, &text);
    buf_append_char(&text, '}');
    json_t *whole = json_parse(text.data, text.len, "extension", NULL);
    assert_non_null(whole);
    buf_free(&text);
    return whole;
}

static void test_receipts(void **state)
{
    (void)state;
    struct receipts r;
    assert_int_equal(receipts_open(&r, 1, NULL), 0);
    r.items[0].field = "messages[0]\"";
    r.items[0].plan = (struct image_plan){.max_pixels = 100000};
    struct decode_result result = {
        .image = {.width = 280, .height = 252, .orig_width = 1000, .orig_height = 900},
        .has_pixels = true,
        .format = "gif",
        .changes = IPC_CHANGE_FIRST_FRAME | IPC_CHANGE_ORIENTED,
    };
    result.image.sha256.bytes[0] = 0xAB;
    receipts_set(&r, 0, &result, 28);
    receipts_warn_of_losses(&r);
    json_t *whole = extension(&r), *vlmd = json_object_get(whole, "vlmd");
    json_t *image = json_array_get(json_object_get(vlmd, "images"), 0);
    assert_int_equal(json_integer_value(json_object_get(image, "tokens")), 90);
    assert_string_equal(json_string_value(json_object_get(image, "limited_by")), "model");
    assert_int_equal(json_array_size(json_object_get(image, "changes")), 2);
    assert_memory_equal(json_string_value(json_object_get(image, "sha256")), "ab00", 4);
    assert_true(json_is_false(json_object_get(image, "cached")));
    json_t *warnings = json_object_get(vlmd, "warnings");
    assert_int_equal(json_array_size(warnings), 2);
    json_decref(whole);

    receipts_set_cached(&r, 1);
    whole = extension(&r);
    image = json_array_get(json_object_get(json_object_get(whole, "vlmd"), "images"), 0);
    assert_true(json_is_true(json_object_get(image, "cached")));
    json_decref(whole);

    struct buf fields = {0};
    receipts_append_headers(&r, &fields);
    assert_string_equal(fields.data,
                        "X-Vlmd-Images: 1000x900;to=280x252;tokens=90;hash=ab00000000000000;"
                        "cached=1\r\n"
                        "X-Vlmd-Warnings: image_downscaled, image_first_frame\r\n");
    buf_free(&fields);
    receipts_free(&r);
}

static void test_nothing_to_say(void **state)
{
    (void)state;
    struct receipts r = {0};
    json_t *whole = extension(&r);
    assert_int_equal(json_object_size(whole), 1);
    json_decref(whole);
    receipts_warn(&r, "max_tokens_reduced", NULL, "%d", 3);
    whole = extension(&r);
    assert_int_equal(json_array_size(json_object_get(json_object_get(whole, "vlmd"), "warnings")),
                     1);
    json_decref(whole);
    receipts_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_memory),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_reduces),
        cmocka_unit_test(test_share),          cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
