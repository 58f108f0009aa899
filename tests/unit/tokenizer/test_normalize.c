#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "tokenizer/normalize.h"
#include "tokenizer/unicode.h"

static void becomes(const char *text, const char *expected)
{
    struct buf out = {0};
    struct vlmd_error err = {0};
    assert_int_equal(normalize_nfc(text, strlen(text), &out, &err), 0);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_free(&out);
}

/* Expected values are those of `tokenizers` 0.23.3. */
static void examples(void **state)
{
    (void)state;
    becomes("", "");
    becomes("plain \xC3\xA9", "plain \xC3\xA9");
    becomes("e\xCC\x81", "\xC3\xA9");
    becomes("ae\xCC\x81"
            "b",
            "a\xC3\xA9"
            "b");
    becomes("q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87");               /* marks are ordered */
    becomes("\xE2\x84\xAB\xE2\x84\xA6", "\xC3\x85\xCE\xA9");         /* singletons */
    becomes("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC");             /* excluded */
    becomes("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"); /* Hangul */
    becomes("\xEA\xB0\x80\xE1\x86\xA7", "\xEA\xB0\x80\xE1\x86\xA7"); /* U+11A7 stays */
    becomes("\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0", "\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0"); /* too new */
    becomes("q\xDF\xBD\xCC\xB4", "q\xDF\xBD\xCC\xB4"); /* U+07FD is a starter */
}

/* Random marks and letters that both know: the same as utf8proc does it in one go. */
static void equals_utf8proc_where_that_is_right(void **state)
{
    (void)state;
    static const uint32_t points[] = {'a',    'e',    'q',    0xC9,   0x300, 0x301,  0x323,  0x327,
                                      0x345,  0x334,  0x1E69, 0x212B, 0x3BB, 0x304B, 0x3099, 0x1100,
                                      0x1161, 0x11A8, 0xAC00, 0x958,  0x5D0, 0x5B7,  0x4E2D, ' '};
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        struct buf text = {0}, out = {0};
        struct vlmd_error err = {0};
        for (uint64_t n = random % 20; n-- > 0;) {
            char bytes[4];
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint32_t point = points[(random >> 33) % (sizeof points / sizeof points[0])];
            buf_append(&text, bytes, (size_t)utf8_encode(point, bytes));
        }
        random = random * 6364136223846793005u + 1442695040888963407u;
        random ^= random >> 29;
        if (text.len == 0)
            continue;
        assert_int_equal(normalize_nfc(text.data, text.len, &out, &err), 0);
        utf8proc_uint8_t *wanted = utf8proc_NFC((const utf8proc_uint8_t *)text.data);
        assert_non_null(wanted);
        assert_string_equal(out.data, (const char *)wanted);
        free(wanted);
        buf_free(&text);
        buf_free(&out);
    }
}

static void tables_of_characters(void **state)
{
    (void)state;
    assert_true(unicode_is_space(0x3000) && unicode_is_space(0x85) && !unicode_is_space(0x180E));
    assert_true(unicode_is_word(0x200D) && unicode_is_word(0x24B6) && unicode_is_word('_'));
    assert_false(unicode_is_word('-') || unicode_is_word(0xB2));
    assert_true(unicode_nfc_inert(0x7FD) && unicode_nfc_inert(0x11A7) && unicode_nfc_inert(0x897));
    assert_false(unicode_nfc_inert(0x301) || unicode_nfc_inert('a') || unicode_nfc_inert(0x10FFFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(equals_utf8proc_where_that_is_right),
        cmocka_unit_test(tables_of_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
