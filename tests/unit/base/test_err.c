#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

static void test_set_and_clear(void **state)
{
    (void)state;
    struct vlmd_error err;
    assert_int_equal(err_set(&err, VLMD_INVALID, "seed", "seed is %d", 7), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, "seed");
    assert_string_equal(err.text, "seed is 7");
    assert_int_equal(err_set(&err, VLMD_BUSY, NULL, "later"), -1);
    assert_string_equal(err.field, "");
    err_clear(&err);
    assert_int_equal(err.code, VLMD_OK);
    assert_string_equal(err.text, "");
    assert_int_equal(err_set(NULL, VLMD_BUSY, "x", "nobody listens"), -1);
    assert_int_equal(err_errno(NULL, "x", "nobody listens"), -1);
    assert_int_equal(err_no_memory(NULL, 1), -1);
    err_prefix_field(NULL, "x");
    err_clear(NULL);
}

static void test_long_texts_are_cut_at_characters(void **state)
{
    (void)state;
    struct vlmd_error err;
    char text[600];
    /* One to four bytes before the first euro sign: the cut falls everywhere in a character. */
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'x', lead);
        for (size_t i = lead; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4);
        err_set(&err, VLMD_INVALID, text, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_true(utf8_valid(err.field, strlen(err.field)));
        assert_true(strlen(err.text) >= sizeof err.text - 3);
        assert_true(strlen(err.field) >= sizeof err.field - 3);
        errno = EACCES;
        err_errno(&err, text, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
    }
}

static void test_texts_are_always_utf8(void **state)
{
    (void)state;
    struct vlmd_error err;
    err_set(&err, VLMD_INVALID, "a\xFF", "%.3s and \x80", "a\xC3\xA4\xC3\xA4");
    assert_string_equal(err.field, "a?");
    assert_true(utf8_valid(err.text, strlen(err.text)));
    err_set(&err, VLMD_INVALID, NULL, "%.2s, \xFE", "a\xC3\xA4");
    assert_string_equal(err.text, "a?, ?");
    errno = ENOENT;
    err_errno(&err, NULL, "cannot open %s", "\xE4.png");
    assert_memory_equal(err.text, "cannot open ?.png: ", 19);
}

static void test_errno_chooses_the_code(void **state)
{
    (void)state;
    struct vlmd_error err;
    errno = ENOENT;
    err_errno(&err, "model", "cannot open %s", "x");
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    assert_memory_equal(err.text, "cannot open x: ", 15);
    errno = ENOMEM;
    err_errno(&err, NULL, "no");
    assert_int_equal(err.code, VLMD_NO_MEMORY);
    errno = EACCES;
    err_errno(&err, NULL, "no");
    assert_int_equal(err.code, VLMD_IO);
    err_no_memory(&err, 123);
    assert_int_equal(err.code, VLMD_NO_MEMORY);
    assert_non_null(strstr(err.text, "123"));
}

static void test_prefix(void **state)
{
    (void)state;
    struct vlmd_error err;
    err_set(&err, VLMD_INVALID, "url", "bad");
    err_prefix_field(&err, "content[1]");
    assert_string_equal(err.field, "content[1].url");
    err_set(&err, VLMD_INVALID, "[2]", "bad");
    err_prefix_field(&err, "messages");
    assert_string_equal(err.field, "messages[2]");
    err_set(&err, VLMD_INVALID, NULL, "bad");
    err_prefix_field(&err, "messages");
    assert_string_equal(err.field, "messages");
    for (int i = 0; i < 50; i++)
        err_prefix_field(&err, "\xC3\xA4\xC3\xA4");
    assert_true(utf8_valid(err.field, strlen(err.field)));
}

static void test_every_code_has_its_name(void **state)
{
    (void)state;
    for (int a = VLMD_OK; a <= VLMD_INTERNAL; a++) {
        assert_string_not_equal(err_code_name((enum vlmd_code)a), "unknown");
        for (int b = VLMD_OK; b < a; b++)
            assert_string_not_equal(err_code_name((enum vlmd_code)a),
                                    err_code_name((enum vlmd_code)b));
    }
    assert_string_equal(err_code_name((enum vlmd_code)(VLMD_INTERNAL + 1)), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_clear),
        cmocka_unit_test(test_long_texts_are_cut_at_characters),
        cmocka_unit_test(test_texts_are_always_utf8),
        cmocka_unit_test(test_errno_chooses_the_code),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_every_code_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
