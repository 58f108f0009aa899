/* Boxes in answers, whole and in pieces of every size. */
#include "unit.h"

#include <string.h>

#include "front/boxes.h"

static void expect(const char *text, const char *wanted)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece += 1 + piece / 16) {
        struct boxes b = {.scale_x = 2, .scale_y = 0.5, .width = 1000, .height = 100};
        struct buf out = {0};
        for (size_t at = 0; at < strlen(text); at += piece) {
            size_t left = strlen(text) - at;
            boxes_feed(&b, text + at, left < piece ? left : piece, &out);
        }
        boxes_end(&b, &out);
        assert_string_equal(out.data ? out.data : "", wanted);
        buf_free(&out);
    }
}

static void test_maps(void **state)
{
    (void)state;
    expect("[{\"bbox_2d\": [10, 20, 30, 40], \"label\": \"cat\"}]",
           "[{\"bbox_2d\": [20, 10, 60, 20], \"label\": \"cat\"}]");
    expect("{\"point_2d\":[7,9]}", "{\"point_2d\":[14,4]}");
    expect("{\"point_2d\" :\n [ 7 ,\t9 ] }", "{\"point_2d\" :\n [ 14 ,\t4 ] }");
    expect("\"point_2d\": [[1, 2], [3, 4]], x", "\"point_2d\": [[2, 1], [6, 2]], x");
    expect("\"bbox_2d\": [1.25, 2.5, 3, 4]", "\"bbox_2d\": [2.50, 1.25, 6, 2]");
    expect("\"bbox_2d\": [-5, 700, 900, 1e3]", "\"bbox_2d\": [0, 100, 1000, 100]");
    expect("\"\"bbox_2d\": [10, 20]", "\"\"bbox_2d\": [20, 10]");
}

static void test_leaves_the_rest(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "no boxes [1, 2, 3, 4]",
        "bbox_2d: [1, 2]",
        "\"bbox_2d\": \"[1, 2]\"",
        "\"bbox_2d\" [1, 2]",
        "\"bbox_2\": [1, 2]",
        "\"bbox_3d\": [1, 2, 3]",
        "\"bbox_2d\": [1, \"a\", 3]",
        "\"bbox_2d\": [1, 2",
        "\"bbox_2d\":",
        "\"bbox",
        "\"",
        "\"bbox_2d\": []",
        "a \"quoted\" word, \"\" and \"bb\"",
        "\"bbox_2d\": [--, +, .]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect(texts[i], texts[i]);
}

static void test_endless_lists_are_let_go(void **state)
{
    (void)state;
    char text[2 * BOXES_HELD] = "\"bbox_2d\": [1";
    memset(text + strlen(text), ' ', sizeof text - strlen(text) - 1);
    expect(text, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_leaves_the_rest),
        cmocka_unit_test(test_endless_lists_are_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
