/* Bodies of chat requests into values; the long table of refusals is tests/e2e/test_errors.py. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/chat_request.h"

static const struct chat_limits limits = {.max_images = 2, .max_image_bytes = 16};

static struct chat_request parse(const char *body)
{
    struct chat_request q;
    struct vlmd_error err;
    if (chat_request_parse(body, strlen(body), &limits, &q, &err) < 0)
        fail_msg("%s: %s: %s", body, err.field, err.text);
    return q;
}

static void refuse(const char *body, enum vlmd_code code, const char *field)
{
    struct chat_request q;
    struct vlmd_error err;
    if (chat_request_parse(body, strlen(body), &limits, &q, &err) == 0)
        fail_msg("accepted: %s", body);
    if (err.code != code || strcmp(err.field, field) != 0)
        fail_msg("%s: %s in %s (%s)", body, err_code_name(err.code), err.field, err.text);
    chat_request_free(&q);
}

#define M           "\"model\":\"m\","
#define HI          "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define URI         "\"data:image/png;base64,aGVsbG8=\""
#define PARTS(list) "{" M "\"messages\":[{\"role\":\"user\",\"content\":[" list "]}]}"

static void test_defaults(void **state)
{
    (void)state;
    struct chat_request q = parse("{" M HI "}");
    assert_string_equal(q.params.model, "m");
    assert_string_equal(q.messages, "[{\"role\":\"user\",\"content\":\"hi\"}]");
    assert_true(q.params.temperature == 1 && q.params.top_p == 1 && q.params.min_p == 0 &&
                q.params.top_k == 0);
    assert_true(q.params.repetition_penalty == 1 && q.params.presence_penalty == 0 &&
                q.params.frequency_penalty == 0);
    assert_true(!q.params.has_seed && !q.params.stream && !q.params.include_usage);
    assert_int_equal(q.params.max_tokens, 0);
    assert_int_equal(q.n_images + q.params.n_stops, 0);
    chat_request_free(&q);
}

static void test_numbers(void **state)
{
    (void)state;
    struct chat_request q = parse(
        "{" M HI ",\"temperature\":0,\"top_p\":1,\"seed\":9223372036854775807,\"top_k\":2147483647,"
        "\"max_tokens\":7,\"max_completion_tokens\":7,\"stop\":[\"a\",\"\xC3\xBC\"]}");
    assert_true(q.params.temperature == 0 && q.params.has_seed && q.params.seed == INT64_MAX);
    assert_int_equal(q.params.top_k, INT32_MAX);
    assert_int_equal(q.params.max_tokens, 7);
    assert_int_equal(q.params.n_stops, 2);
    assert_string_equal(q.params.stops[1], "\xC3\xBC");
    chat_request_free(&q);
    refuse("{" M HI ",\"seed\":9223372036854775808}", VLMD_FORMAT, "");
    refuse("{" M HI ",\"top_k\":2147483648}", VLMD_INVALID, "top_k");
    refuse("{" M HI ",\"temperature\":true}", VLMD_INVALID, "temperature");
}

static void test_images(void **state)
{
    (void)state;
    struct chat_request q = parse(PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":" URI
                                        ",\"detail\":\"low\"}},{\"type\":\"text\",\"text\":\"x\"},"
                                        "{\"type\":\"image_url\",\"image_url\":" URI "}"));
    assert_int_equal(q.n_images, 2);
    assert_int_equal(q.images[0].len, 5);
    assert_memory_equal(q.images[0].bytes, "hello", 5);
    assert_true(q.images[0].low_detail && !q.images[1].low_detail);
    assert_string_equal(q.images[0].field, "messages[0].content[0].image_url.url");
    assert_string_equal(q.images[1].field, "messages[0].content[2].image_url");
    assert_string_equal(q.messages, "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},"
                                    "{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\"}]}]");
    chat_request_free(&q);
}

static void test_limits_of_images(void **state)
{
    (void)state;
    refuse(PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":"
                 "\"data:image/png;base64,aGVsbG8gaGVsbG8gaGVsbG8=\"}}"),
           VLMD_TOO_LARGE, "messages[0].content[0].image_url.url");
    refuse(PARTS("{\"type\":\"image_url\",\"image_url\":" URI "},"
                 "{\"type\":\"image_url\",\"image_url\":" URI "},"
                 "{\"type\":\"image_url\",\"image_url\":" URI "}"),
           VLMD_TOO_LARGE, "messages[0].content[2]");
    refuse(PARTS("{\"type\":\"image\"}"), VLMD_UNSUPPORTED, "messages[0].content[0].type");
}

static void test_unknown_parameters(void **state)
{
    (void)state;
    refuse("{" M HI ",\"best_of\":1}", VLMD_INVALID, "best_of");
    refuse("{" M HI ",\"tools\":[{}]}", VLMD_UNSUPPORTED, "tools");
    refuse("{" M HI ",\"modalities\":[\"text\",\"audio\"]}", VLMD_UNSUPPORTED, "modalities");
    refuse("{" M HI ",\"modalities\":\"text\"}", VLMD_INVALID, "modalities");
    refuse("{" M HI ",\"function_call\":{\"name\":\"f\"}}", VLMD_UNSUPPORTED, "function_call");
    struct chat_request q = parse("{" M HI ",\"tools\":null,\"user\":\"x\",\"seed\":null,"
                                  "\"modalities\":[\"text\"],\"function_call\":\"none\"}");
    chat_request_free(&q);
}

static void test_depth(void **state)
{
    (void)state;
    assert_true(params_depth_within("[[]]", 4, 2));
    assert_false(params_depth_within("[[[]]]", 6, 2));
    assert_true(params_depth_within("\"[[[\\\"[[[\"", 11, 0));
    assert_true(params_depth_within("[{}][{}][{}]", 12, 2));
    assert_true(params_depth_within("\"\\", 2, 0));
    refuse("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
           VLMD_FORMAT, "");
}

static void expect_bounds(struct pixel_bounds b, int64_t min, int64_t max)
{
    assert_int_equal(b.min, min);
    assert_int_equal(b.max, max);
}

static void test_pixel_bounds(void **state)
{
    (void)state;
    static const char *const same[] = {
        ",\"min_pixels\":4,\"max_pixels\":9",
        ",\"mm_processor_kwargs\":{\"min_pixels\":4,\"max_pixels\":9}",
        ",\"mm_processor_kwargs\":{\"size\":{\"shortest_edge\":4,\"longest_edge\":9}}",
        ",\"mm_processor_kwargs\":{\"images_kwargs\":{\"min_pixels\":4,\"max_pixels\":9}}",
        ",\"max_pixels\":9,\"mm_processor_kwargs\":{\"min_pixels\":4,\"max_pixels\":9}",
    };
    char body[512];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        snprintf(body, sizeof body, "{" M HI "%s}", same[i]);
        struct chat_request q = parse(body);
        expect_bounds(q.bounds, 4, 9);
        chat_request_free(&q);
    }
    struct chat_request q =
        parse(PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":" URI ",\"max_pixels\":9}},"
                    "{\"type\":\"image_url\",\"image_url\":" URI ",\"min_pixels\":4}"));
    expect_bounds(q.images[0].bounds, 0, 9);
    expect_bounds(q.images[1].bounds, 4, 0);
    chat_request_free(&q);
    refuse("{" M HI ",\"min_pixels\":9,\"max_pixels\":4}", VLMD_INVALID, "min_pixels");
    refuse("{" M HI ",\"min_pixels\":0}", VLMD_INVALID, "min_pixels");
    refuse("{" M HI ",\"max_pixels\":9,\"mm_processor_kwargs\":{\"max_pixels\":8}}", VLMD_INVALID,
           "mm_processor_kwargs.max_pixels");
    refuse("{" M HI ",\"mm_processor_kwargs\":{\"fps\":2}}", VLMD_UNSUPPORTED,
           "mm_processor_kwargs.fps");
    refuse("{" M HI ",\"mm_processor_kwargs\":{\"size\":{\"width\":2}}}", VLMD_UNSUPPORTED,
           "mm_processor_kwargs.size.width");
    refuse(PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":" URI ",\"max_pixels\":9},"
                 "\"max_pixels\":8}"),
           VLMD_INVALID, "messages[0].content[0].image_url.max_pixels");
}

static void test_coordinates(void **state)
{
    (void)state;
#define IMAGE        "{\"type\":\"image_url\",\"image_url\":" URI "}"
#define WITH(images) "{" M "\"messages\":[{\"role\":\"user\",\"content\":[" images "]}]"
    struct chat_request q = parse(WITH(IMAGE) ",\"coordinates\":\"original\"}");
    assert_true(q.original_coordinates && q.coordinates_image == 0);
    chat_request_free(&q);
    q = parse(WITH(IMAGE "," IMAGE) ",\"coordinates\":\"original\",\"coordinates_image\":1}");
    assert_true(q.original_coordinates && q.coordinates_image == 1);
    chat_request_free(&q);
    q = parse(WITH(IMAGE) ",\"coordinates\":\"model\"}");
    assert_false(q.original_coordinates);
    chat_request_free(&q);
    refuse(WITH(IMAGE "," IMAGE) ",\"coordinates\":\"original\"}", VLMD_INVALID,
           "coordinates_image");
    refuse(WITH(IMAGE) ",\"coordinates\":\"original\",\"coordinates_image\":1}", VLMD_INVALID,
           "coordinates_image");
    refuse(WITH(IMAGE) ",\"coordinates\":\"screen\"}", VLMD_INVALID, "coordinates");
    refuse(WITH(IMAGE) ",\"coordinates_image\":0}", VLMD_INVALID, "coordinates_image");
    refuse("{" M HI ",\"coordinates\":\"original\"}", VLMD_INVALID, "coordinates");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_limits_of_images),
        cmocka_unit_test(test_unknown_parameters),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_pixel_bounds),
        cmocka_unit_test(test_coordinates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
