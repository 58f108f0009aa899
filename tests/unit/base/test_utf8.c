#include "unit.h"

#include <string.h>

#include "base/utf8.h"

static void test_every_code_point_returns(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        int n = utf8_encode(c, text);
        if (c >= 0xD800 && c <= 0xDFFF) {
            assert_int_equal(n, 0);
            continue;
        }
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        uint32_t back = ~0u;
        assert_int_equal(utf8_decode(text, (size_t)n, &back), n);
        assert_int_equal(back, c);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(text, (size_t)cut, &back), 0);
            assert_int_equal(utf8_complete_prefix(text, (size_t)cut), 0);
        }
        assert_int_equal(utf8_complete_prefix(text, (size_t)n), n);
    }
    char text[4];
    assert_int_equal(utf8_encode(0x110000, text), 0);
    assert_int_equal(utf8_encode(UINT32_MAX, text), 0);
}

static void test_refused_forms(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80",             /* a continuation alone */
        "\xC0\x80",         /* overlong NUL */
        "\xC1\xBF",         /* overlong */
        "\xE0\x9F\xBF",     /* overlong */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xED\xA0\x80",     /* a surrogate */
        "\xED\xBF\xBF",     /* a surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xC3\x28", /* no continuation where one must be */
        "\xE2\x82\x28",
        "\xF0\x9F\x98\x28",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint32_t c;
        size_t len = strlen(wrong[i]);
        if (utf8_decode(wrong[i], len, &c) != -1)
            fail_msg("form %zu is accepted", i);
        assert_false(utf8_valid(wrong[i], len));
        char text[16];
        memcpy(text, "ok", 2);
        memcpy(text + 2, wrong[i], len);
        assert_false(utf8_valid(text, len + 2));
    }
}

/* An independent reading of RFC 3629's grammar over all three-byte strings of some classes. */
static bool grammar(const unsigned char *p)
{
    bool tail1 = p[1] >= 0x80 && p[1] <= 0xBF, tail2 = p[2] >= 0x80 && p[2] <= 0xBF;
    if (p[0] < 0x80)
        return (p[1] < 0x80 && p[2] < 0x80) || (p[1] >= 0xC2 && p[1] <= 0xDF && tail2);
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return tail1 && p[2] < 0x80;
    if (p[0] < 0xE0 || p[0] > 0xEF || !tail1 || !tail2)
        return false;
    return (p[0] != 0xE0 || p[1] >= 0xA0) && (p[0] != 0xED || p[1] <= 0x9F);
}

static void test_all_strings_of_three_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1 << 24; i++) {
        unsigned char p[3] = {(unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i};
        if (utf8_valid((const char *)p, 3) != grammar(p))
            fail_msg("%02x %02x %02x", p[0], p[1], p[2]);
    }
}

static void test_complete_prefix(void **state)
{
    (void)state;
    assert_int_equal(utf8_complete_prefix("", 0), 0);
    assert_int_equal(utf8_complete_prefix("abc", 3), 3);
    assert_int_equal(utf8_complete_prefix("ab\xE2\x82", 4), 2);
    assert_int_equal(utf8_complete_prefix("ab\xE2\x82\xAC", 5), 5);
    assert_int_equal(utf8_complete_prefix("a\xF0\x9F\x98", 4), 1);
    /* Bytes that can never become a character are whole. */
    assert_int_equal(utf8_complete_prefix("a\xFF", 2), 2);
    assert_int_equal(utf8_complete_prefix("a\x80\x80\x80\x80", 5), 5);
    assert_int_equal(utf8_complete_prefix("a\xED\xA0", 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_returns),
        cmocka_unit_test(test_refused_forms),
        cmocka_unit_test(test_all_strings_of_three_bytes),
        cmocka_unit_test(test_complete_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
