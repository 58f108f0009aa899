#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void test_appends_keep_a_nul_behind(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append(&b, "ab\0c", 4), 0);
    assert_int_equal(buf_append_text(&b, "de"), 0);
    assert_int_equal(buf_append_char(&b, 'f'), 0);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.data, "ab\0cdef", 8);
    buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
}

static void test_grows_far(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_appendf(&b, "%d,", i % 10), 0);
    assert_int_equal(b.len, 200000);
    assert_true(b.cap > b.len);
    assert_memory_equal(b.data + 199998, "9,", 3);
    buf_free(&b);
}

static void test_format_longer_than_the_room(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append_text(&b, "<"), 0);
    assert_int_equal(buf_appendf(&b, "%0500d>", 7), 0);
    assert_int_equal(b.len, 502);
    assert_int_equal(strlen(b.data), 502);
    assert_memory_equal(b.data + 498, "007>", 5);
    buf_free(&b);
}

static void test_consume_and_reset(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_consume(&b, 5); /* of nothing */
    assert_int_equal(buf_append_text(&b, "abcdef"), 0);
    buf_consume(&b, 2);
    assert_string_equal(b.data, "cdef");
    buf_consume(&b, 0);
    assert_int_equal(b.len, 4);
    size_t cap = b.cap;
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
    assert_string_equal(b.data, "");
    assert_int_equal(buf_append_text(&b, "xy"), 0);
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_free(&b);
}

static void test_failure_keeps_contents_and_is_remembered(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append_text(&b, "kept"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
    assert_true(b.failed);
    assert_string_equal(b.data, "kept");
    assert_int_equal(b.len, 4);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 4), -1); /* room for the NUL is counted too */
    assert_int_equal(buf_append_text(&b, "!"), 0);
    assert_true(b.failed);
    buf_reset(&b);
    assert_false(b.failed);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_keep_a_nul_behind),
        cmocka_unit_test(test_grows_far),
        cmocka_unit_test(test_format_longer_than_the_room),
        cmocka_unit_test(test_consume_and_reset),
        cmocka_unit_test(test_failure_keeps_contents_and_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
