/* Which addresses may be connected to: every network of the lists at its first and last address and
 * just outside. */
#include "unit.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "fetch/address.h"

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static union any_address address(const char *text)
{
    union any_address a = {0};
    if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
        a.any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
        a.any.sa_family = AF_INET6;
    else
        fail_msg("%s is no address", text);
    return a;
}

static bool is_public(const char *text)
{
    union any_address a = address(text);
    return address_special(&a.any) == NULL;
}

static void test_blocked(void **state)
{
    (void)state;
    static const char *const blocked[] = {
        /* first and last of each IPv4 network */
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.192",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.0",
        "192.88.99.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        /* IPv6, and IPv4 in its disguises */
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "::ffff:0:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
        "100::",
        "100::ffff",
        "100:0:0:1::1",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001::",
        "2001:0:7f00:1::",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff:ffff::",
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2002::",
        "2002:7f00:1::",
        "2002:0a00:0001::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff::",
        "3fff:0fff:ffff::",
        "4000::",
        "5f00::1",
        "8000::1",
        "fc00::",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fdff::1",
        "fe00::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff00::",
        "ff02::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    };
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        if (is_public(blocked[i]))
            fail_msg("%s counts as public", blocked[i]);
}

static void test_public(void **state)
{
    (void)state;
    static const char *const allowed[] = {
        "1.0.0.0",         "1.1.1.1",
        "8.8.8.8",         "9.255.255.255",
        "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",     "126.255.255.255",
        "128.0.0.0",       "168.63.129.15",
        "168.63.129.17",   "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",
        "172.32.0.0",      "191.255.255.255",
        "192.0.1.0",       "192.0.3.0",
        "192.88.98.255",   "192.88.100.0",
        "192.167.255.255", "192.169.0.0",
        "198.17.255.255",  "198.20.0.0",
        "198.51.99.255",   "198.51.101.0",
        "203.0.112.255",   "203.0.114.0",
        "223.255.255.255", "2000::1",
        "2001:200::1",     "2001:db7::1",
        "2001:db9::1",     "2001:4860:4860::8888",
        "2003::1",         "2606:4700:4700::1111",
        "2620:fe::fe",     "2a00:1450:4001::1",
        "3ffe::1",         "3fff:1000::1",
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!is_public(allowed[i]))
            fail_msg("%s counts as special", allowed[i]);
}

/* Against the same lists in another form: the longest networks first, all 2^16 beginnings. */
static bool in_blocked_v4(unsigned a, unsigned b)
{
    return a == 0 || a == 10 || a == 127 || a >= 224 || (a == 100 && b >= 64 && b <= 127) ||
           (a == 169 && b == 254) || (a == 172 && b >= 16 && b <= 31) || (a == 192 && b == 168) ||
           (a == 198 && (b == 18 || b == 19));
}

static void test_all_beginnings(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char text[32];
            snprintf(text, sizeof text, "%u.%u.77.5", a, b);
            if (is_public(text) == in_blocked_v4(a, b))
                fail_msg("%s is judged wrongly", text);
        }
    }
    for (unsigned first = 0; first < 0x10000; first++) {
        char text[32];
        snprintf(text, sizeof text, "%x:4860::1", first);
        bool blocked = first < 0x2000 || first > 0x3FFF || first == 0x2002;
        if (is_public(text) == blocked)
            fail_msg("%s is judged wrongly", text);
    }
}

static void test_other_families(void **state)
{
    (void)state;
    struct sockaddr unix_domain = {.sa_family = AF_UNIX};
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct address_blocks blocks = {.n = 0};
    assert_non_null(address_special(&unix_domain));
    assert_non_null(address_special(&none));
    assert_non_null(address_refusal(&unix_domain, &blocks));
}

/* This program is linked with the allowance of the one that is shipped: there is none. */
static void test_own_addresses(void **state)
{
    (void)state;
    static const char *const tests_use[] = {"127.77.0.1", "127.77.255.255"};
    struct address_blocks blocks = {.n = 0};
    struct ifaddrs *list;
    assert_int_equal(getifaddrs(&list), 0);
    for (const struct ifaddrs *i = list; i; i = i->ifa_next)
        if (i->ifa_addr && !address_refusal(i->ifa_addr, &blocks))
            fail_msg("the address of %s may be connected to", i->ifa_name);
    freeifaddrs(list);
    for (size_t i = 0; i < sizeof tests_use / sizeof *tests_use; i++) {
        union any_address a = address(tests_use[i]);
        assert_non_null(address_refusal(&a.any, &blocks));
    }
    union any_address far = address("93.184.216.34");
    assert_null(address_refusal(&far.any, &blocks));
}

static void test_blocks(void **state)
{
    (void)state;
    struct address_blocks blocks;
    struct vlmd_error err;
    assert_int_equal(address_blocks_parse(&blocks, "", &err), 0);
    assert_int_equal(blocks.n, 0);
    assert_int_equal(
        address_blocks_parse(&blocks, "93.184.216.0/25,8.8.8.8,2606:4700::/33,1.0.0.0/0", &err), 0);
    assert_int_equal(blocks.n, 4);
    blocks.n = 3;
    static const struct {
        const char *text;
        bool blocked;
    } cases[] = {
        {"93.184.216.34", true},      {"93.184.216.127", true},
        {"93.184.216.128", false},    {"8.8.8.8", true},
        {"8.8.8.9", false},           {"2606:4700:7fff::1", true},
        {"2606:4700:8000::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        union any_address a = address(cases[i].text);
        if ((address_refusal(&a.any, &blocks) != NULL) != cases[i].blocked)
            fail_msg("%s is judged wrongly", cases[i].text);
    }
    blocks.n = 4;
    union any_address any = address("77.7.7.7");
    assert_non_null(address_refusal(&any.any, &blocks));
}

static void test_bad_blocks(void **state)
{
    (void)state;
    static const char *const bad[] = {
        ",",
        "1.2.3.4,",
        ",1.2.3.4",
        "1.2.3",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/+1",
        "1.2.3.4/8x",
        "::/129",
        "::/",
        "example.org",
        "1.2.3.4/8/9",
        "1.2.3.4 /8",
        "1.2.3.4/18446744073709551617",
        "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
        "11111111111111111",
    };
    struct address_blocks blocks;
    struct vlmd_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (address_blocks_parse(&blocks, bad[i], &err) == 0)
            fail_msg("%s was taken", bad[i]);
    char many[ADDRESS_MAX_BLOCKS * 8 + 16] = "";
    for (int i = 0; i <= ADDRESS_MAX_BLOCKS; i++)
        strcat(many, i ? ",1.2.3.4" : "1.2.3.4");
    assert_int_equal(address_blocks_parse(&blocks, many, &err), -1);
    assert_int_equal(err.code, VLMD_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocked),        cmocka_unit_test(test_public),
        cmocka_unit_test(test_all_beginnings), cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_blocks),         cmocka_unit_test(test_bad_blocks),
        cmocka_unit_test(test_own_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
