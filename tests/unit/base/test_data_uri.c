#include "unit.h"

#include <string.h>

#include "base/data_uri.h"

#define ROOM 1000

static void assert_holds(const char *text, const char *mime, const char *bytes)
{
    struct vlmd_error err = {0};
    struct data_uri uri;
    if (data_uri_decode(text, strlen(text), ROOM, &uri, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(uri.mime, mime);
    assert_int_equal(uri.len, strlen(bytes));
    assert_memory_equal(uri.bytes, bytes, uri.len);
    data_uri_free(&uri);
    assert_null(uri.bytes);
}

static void assert_refused(const char *text, size_t room, enum vlmd_code code, const char *says)
{
    struct vlmd_error err = {0};
    struct data_uri uri;
    assert_int_equal(data_uri_decode(text, strlen(text), room, &uri, &err), -1);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, "");
    if (!strstr(err.text, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, says);
    assert_null(uri.bytes);
    assert_int_equal(uri.len, 0);
}

static void test_base64(void **state)
{
    (void)state;
    assert_holds("data:image/png;base64,Zm9vYg==", "image/png", "foob");
    assert_holds("data:image/png;base64,Zm9vYg", "image/png", "foob");
    assert_holds("data:image/png;base64,Zm9v\r\nYg==\n", "image/png", "foob");
    assert_holds("DATA:Image/PNG;BASE64,Zm9v", "image/png", "foo");
    assert_holds("data:image/svg+xml;charset=utf-8;base64,Zm9v", "image/svg+xml", "foo");
    assert_holds("data:;base64,Zm9v", "text/plain", "foo");
    assert_holds("data:image/png;base64,", "image/png", "");
    assert_holds("data:image/png;base64,Zm9vYg%3D%3D", "image/png", "foob");
    assert_holds("data:image/png;base64,%5A%6d9v%0AYg", "image/png", "foob");
    assert_holds("data:image/png;base64,%2B%2F%2b%2f", "image/png", "\xfb\xff\xbf");
}

static void test_percent_encoded(void **state)
{
    (void)state;
    assert_holds("data:,A%20brief%20note", "text/plain", "A brief note");
    assert_holds("data:text/plain;charset=iso-8859-7,%be%fa%be", "text/plain", "\xbe\xfa\xbe");
    assert_holds("data:image/gif,GIF89a%2c+", "image/gif", "GIF89a,+");
    assert_holds("data:,", "text/plain", "");
    /* Only the last parameter makes it base64. */
    assert_holds("data:text/plain;base64;x=y,Zm9v", "text/plain", "Zm9v");
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("", ROOM, VLMD_INVALID, "begins with");
    assert_refused("dat", ROOM, VLMD_INVALID, "begins with");
    assert_refused("http://x/", ROOM, VLMD_INVALID, "begins with");
    assert_refused("data:image/png;base64", ROOM, VLMD_INVALID, "no comma");
    assert_refused("data:image;base64,Zm9v", ROOM, VLMD_INVALID, "type/subtype");
    assert_refused("data:/png,x", ROOM, VLMD_INVALID, "type/subtype");
    assert_refused("data:image/,x", ROOM, VLMD_INVALID, "type/subtype");
    assert_refused("data:image/p ng,x", ROOM, VLMD_INVALID, "offset 12");
    assert_refused("data:image/a/b,x", ROOM, VLMD_INVALID, "offset 12");
    assert_refused("data:image/png;base64,Zm9v*", ROOM, VLMD_INVALID, "offset 26");
    assert_refused("data:image/png;base64,Zm9vY", ROOM, VLMD_INVALID, "too early");
    assert_refused("data:image/png;base64,Zm9v%", ROOM, VLMD_INVALID, "offset 26");
    assert_refused("data:image/png;base64,Zm9v%2a", ROOM, VLMD_INVALID, "character 4");
    assert_refused("data:,50%", ROOM, VLMD_INVALID, "offset 8");
    assert_refused("data:,%g0", ROOM, VLMD_INVALID, "offset 6");
    assert_refused("data:,%0g", ROOM, VLMD_INVALID, "offset 6");
    assert_refused("data:,a b", ROOM, VLMD_INVALID, "offset 7");
    assert_refused("data:,\xC3\xA9", ROOM, VLMD_INVALID, "offset 6");
    char type[200];
    memset(type, 'a', sizeof type);
    memcpy(type, "data:a/", 7);
    memcpy(type + sizeof type - 2, ",", 2);
    assert_refused(type, ROOM, VLMD_INVALID, "too long");
}

static void test_size_limit(void **state)
{
    (void)state;
    struct data_uri uri;
    assert_int_equal(data_uri_decode("data:,abcd", 10, 4, &uri, NULL), 0);
    data_uri_free(&uri);
    assert_refused("data:,abcde", 4, VLMD_TOO_LARGE, "more than 4 bytes");
    assert_refused("data:,%61%62%63%64%65", 4, VLMD_TOO_LARGE, "more than 4 bytes");
    assert_refused("data:;base64,Zm9vYmFy", 5, VLMD_TOO_LARGE, "more than 5 bytes");
    assert_refused("data:;base64,Zm9vYg", 3, VLMD_TOO_LARGE, "more than 3 bytes");
    assert_refused("data:;base64,%5A%6d%39%76", 2, VLMD_TOO_LARGE, "more than 2 bytes");
    assert_holds("data:;base64,Z m 9 v\n\n\n\n", "text/plain", "foo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_percent_encoded),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
