/* The reading of URLs, first and redirected. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/url.h"

static struct url_ports standard(void)
{
    struct url_ports ports;
    assert_int_equal(url_ports_parse(&ports, "80,443", NULL), 0);
    return ports;
}

static void test_taken(void **state)
{
    (void)state;
    struct url_ports ports = standard();
    static const struct {
        const char *url, *where;
    } cases[] = {
        {"http://example.org", "example.org:80"},
        {"HTTPS://Example.ORG/a.png", "Example.ORG:443"},
        {"http://example.org:443/", "example.org:443"},
        {"http://example.org:0080/", "example.org:80"},
        {"http://example.org:/", "example.org:80"},
        {"http://example.org./a b?c=d#e", "example.org.:80"},
        {"http://example.org/@b:c", "example.org:80"},
        {"http://example.org?@b", "example.org:80"},
        {"http://example.org#@b", "example.org:80"},
        {"http://[2001:db8::1]/", "[2001:db8::1]:80"},
        {"http://1.2.3.4/", "1.2.3.4:80"},
        {"http://b\xC3\xBC"
         "cher.example/\xC3\xBC.png",
         "b\xC3\xBC"
         "cher.example:80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vlmd_error err = {0};
        char where[160];
        CURLU *url = url_parse(cases[i].url, strlen(cases[i].url), &ports, &err);
        if (!url)
            fail_msg("%s was refused: %s", cases[i].url, err.text);
        url_describe(url, where, sizeof where);
        assert_string_equal(where, cases[i].where);
        curl_url_cleanup(url);
    }
}

static const char *const refused[] = {
    "",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:example.org",
    "http:/example.org",
    "http:///",
    "http:///example.org",
    "http:////example.org",
    "http://\\example.org",
    "example.org",
    "//example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "dict://example.org/",
    "ldap://example.org/",
    "javascript://example.org/",
    "data://example.org",
    "ws://example.org/",
    "httpx://example.org/",
    " http://example.org/",
    "http ://example.org/",
    "http://@example.org/",
    "http://:@example.org/",
    "http://a@example.org/",
    "http://a:b@example.org/",
    "http://:b@example.org/",
    "http://example.org\\@127.0.0.1/",
    "http://a%40b@example.org/",
    "http://example.org:22/",
    "http://example.org:0/",
    "http://example.org:8080/",
    "http://example.org:65536/",
    "http://example.org:99999999999999/",
    "http://example.org:-80/",
    "http://example.org:+80/",
    "http://example.org:80a/",
    "http://example.org:80:80/",
    "http://[::1",
    "http://::1/",
    "http://[::1]x/",
    "http://[]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://exa mple.org/",
    "http://example.org\t/",
    "http://example.org/\r\nHost: b/",
    "http://example.org/a\x01"
    "b",
    "http://example.org/\x7F",
    "http://exam%00ple.org/",
    "http://exam%0Aple.org/",
    "http://exam%20ple.org/",

    "http://a%2fb/",
    "http://a<b/",
    "http://a>b/",
    "http://a\"b/",
    "http://a^b/",
    "http://a`b/",
    "http://a{b/",
    "http://a}b/",
    "http://?",
    "http://#",
    "http://:80/",
    "http:// /",
};

static void test_refused(void **state)
{
    (void)state;
    struct url_ports ports = standard();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct vlmd_error err = {0};
        CURLU *url = url_parse(refused[i], strlen(refused[i]), &ports, &err);
        if (url)
            fail_msg("%s was taken", refused[i]);
        assert_int_equal(err.code, VLMD_INVALID);
        assert_true(err.text[0] != '\0');
    }
}

static void test_lengths(void **state)
{
    (void)state;
    struct url_ports ports = standard();
    struct vlmd_error err;
    for (size_t len = 1; len <= 400; len++) {
        char text[512] = "http://";
        for (size_t i = 0; i < len; i++) /* labels of 50 */
            strcat(text, i % 51 == 50 ? "." : "a");
        CURLU *url = url_parse(text, strlen(text), &ports, &err);
        assert_int_equal(url != NULL, len <= 253);
        curl_url_cleanup(url);
    }
    char *text = malloc(URL_MAX_BYTES + 2);
    memset(text, 'a', URL_MAX_BYTES + 1);
    text[URL_MAX_BYTES + 1] = '\0';
    memcpy(text, "http://b/", 9);
    assert_null(url_parse(text, URL_MAX_BYTES + 1, &ports, &err));
    CURLU *url = url_parse(text, URL_MAX_BYTES, &ports, &err);
    assert_non_null(url);
    curl_url_cleanup(url);
    text[20] = '\0';
    assert_null(url_parse(text, URL_MAX_BYTES, &ports, &err));
    free(text);
}

static void test_redirects(void **state)
{
    (void)state;
    struct url_ports ports = standard();
    static const struct {
        const char *location, *where; /* NULL: refused */
    } cases[] = {
        {"/b", "example.org:80"},
        {"b", "example.org:80"},
        {"?x", "example.org:80"},
        {"../../..", "example.org:80"},
        {"//other.example/", "other.example:80"},
        {"https://other.example/", "other.example:443"},
        {"http://127.0.0.1/", "127.0.0.1:80"}, /* judged when it is connected to */
        {"//a@other.example/", NULL},
        {"http://other.example:22/", NULL},
        {"//other.example:22/", NULL},
        {"ftp://other.example/", NULL},
        {"file:///etc/passwd", NULL},
        {"gopher://127.0.0.1/", NULL},
        {"http://[fe80::1%25eth0]/", NULL},
        {"http://a\nb/", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vlmd_error err = {0};
        char where[160];
        CURLU *from = url_parse("http://example.org/a/b.png", 26, &ports, &err);
        assert_non_null(from);
        CURLU *to = url_redirect(from, cases[i].location, &ports, &err);
        if (!cases[i].where != !to)
            fail_msg("%s: %s", cases[i].location, to ? "taken" : err.text);
        if (to) {
            url_describe(to, where, sizeof where);
            assert_string_equal(where, cases[i].where);
        }
        curl_url_cleanup(to);
        curl_url_cleanup(from);
    }
}

static void test_ports(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   ",",     "80,",    ",80",
                                      "0",  "65536", "80 443", "+80",
                                      "-1", "80,x",  "0x50",   "99999999999999999999",
                                      " 80"};
    struct url_ports ports;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (url_ports_parse(&ports, bad[i], NULL) == 0)
            fail_msg("%s was taken", bad[i]);
    assert_int_equal(url_ports_parse(&ports, "1,8080,65535", NULL), 0);
    assert_true(url_ports_have(&ports, 8080) && !url_ports_have(&ports, 80));
    char many[4 * (URL_MAX_PORTS + 1) + 1] = "";
    for (int i = 0; i <= URL_MAX_PORTS; i++)
        strcat(many, i ? ",80" : "80");
    assert_int_equal(url_ports_parse(&ports, many, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
