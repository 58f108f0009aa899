#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

static void assert_decodes(const char *text, unsigned flags, const char *bytes, size_t len)
{
    uint8_t out[64];
    size_t got, bad;
    assert_true(base64_decoded_max(strlen(text)) <= sizeof out);
    if (base64_decode(text, strlen(text), flags, out, &got, &bad) < 0)
        fail_msg("\"%s\" is refused at %zu", text, bad);
    assert_int_equal(got, len);
    assert_memory_equal(out, bytes, len);
}

static void assert_fails(const char *text, unsigned flags, size_t at)
{
    uint8_t out[64];
    size_t got, bad = 999;
    assert_int_equal(base64_decode(text, strlen(text), flags, out, &got, &bad), -1);
    if (bad != at)
        fail_msg("\"%s\" is refused at %zu instead of %zu", text, bad, at);
}

/* RFC 4648, section 10. */
static void test_rfc_vectors(void **state)
{
    (void)state;
    assert_decodes("", 0, "", 0);
    assert_decodes("Zg==", 0, "f", 1);
    assert_decodes("Zm8=", 0, "fo", 2);
    assert_decodes("Zm9v", 0, "foo", 3);
    assert_decodes("Zm9vYg==", 0, "foob", 4);
    assert_decodes("Zm9vYmE=", 0, "fooba", 5);
    assert_decodes("Zm9vYmFy", 0, "foobar", 6);
    assert_decodes("+/+/", 0, "\xfb\xff\xbf", 3);
}

static void test_padding_may_be_absent(void **state)
{
    (void)state;
    assert_decodes("Zg", 0, "f", 1);
    assert_decodes("Zm8", 0, "fo", 2);
    assert_decodes("Zm9vYg", 0, "foob", 4);
}

static void test_spaces_need_the_flag(void **state)
{
    (void)state;
    assert_decodes(" Zm9v\r\nYm\tFy \n", BASE64_SPACES, "foobar", 6);
    assert_decodes("Zg=\n= ", BASE64_SPACES, "f", 1);
    assert_decodes(" \n", BASE64_SPACES, "", 0);
    assert_fails("Zm9v\nYmFy", 0, 4);
    assert_fails("Zm9v\vYmFy", BASE64_SPACES, 4);
}

static void test_what_is_wrong_is_located(void **state)
{
    (void)state;
    assert_fails("Z", 0, 1);
    assert_fails("Zm9vY", 0, 5);
    assert_fails("Zg=", 0, 3);   /* half a padding */
    assert_fails("Zg===", 0, 4); /* too much */
    assert_fails("Zm9v=", 0, 4);
    assert_fails("=", 0, 0);
    assert_fails("Zg==Zg==", 0, 4);
    assert_fails("Zm-v", 0, 2); /* the URL alphabet */
    assert_fails("Zm9_", 0, 3);
    assert_fails("Zm\xC3\xA9", 0, 2);
    assert_fails("Zh==", 0, 1); /* bits that no byte takes */
    assert_fails("Zm9", 0, 2);
    assert_fails("Zm9=", 0, 2);
}

static void test_every_byte_in_place(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned a = 0; a < 256; a++) {
        uint8_t bytes[3] = {(uint8_t)a, (uint8_t)(a * 7), (uint8_t)(255 - a)};
        uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
        char text[4];
        for (int i = 0; i < 4; i++)
            text[i] = digits[group >> (18 - 6 * i) & 63];
        size_t len, bad;
        assert_int_equal(base64_decode(text, 4, 0, (uint8_t *)text, &len, &bad), 0);
        assert_int_equal(len, 3);
        assert_memory_equal(text, bytes, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vectors),
        cmocka_unit_test(test_padding_may_be_absent),
        cmocka_unit_test(test_spaces_need_the_flag),
        cmocka_unit_test(test_what_is_wrong_is_located),
        cmocka_unit_test(test_every_byte_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
