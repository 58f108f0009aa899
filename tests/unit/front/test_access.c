/* Keys, rates by a clock of our own, and what heads of requests are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "front/access.h"
#include "front/rate_limit.h"

/* ---- keys */

static void add_key(struct auth_keys *keys, const char *name, const char *secret)
{
    assert_int_equal(auth_keys_begin(keys, name, NULL), 0);
    assert_int_equal(auth_keys_set(keys, "secret", secret, NULL), 0);
}

static void test_keys(void **state)
{
    (void)state;
    struct auth_keys keys = {0};
    struct vlmd_error err;
    add_key(&keys, "alice", "alice-secret");
    assert_int_equal(auth_keys_begin(&keys, "bob", &err), 0);
    /* sha256 of "bob-secret" */
    uint8_t digest[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    assert_int_equal(hash_sha256("bob-secret", 10, digest), 0);
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02X", digest[i]);
    assert_int_equal(auth_keys_set(&keys, "sha256", hex, &err), 0);
    assert_int_equal(auth_keys_set(&keys, "priority", "low", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "rate-limit", "7", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "image-pixels", "1000000", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "max-images", "0", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "max-image-side", "640", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "admin", "yes", &err), 0);
    assert_int_equal(keys.items[0].images.max_images, ALLOWANCE_OF_SERVER);
    assert_int_equal(keys.items[1].images.max_images, 0);
    assert_int_equal(keys.items[1].images.all_pixels, 1000000);
    assert_int_equal(keys.items[1].images.max_image_side, 640);
    assert_int_equal(auth_keys_check(&keys, &err), 0);
    assert_ptr_equal(auth_find(&keys, "Bearer alice-secret"), &keys.items[0]);
    assert_ptr_equal(auth_find(&keys, "bearer  bob-secret"), &keys.items[1]);
    assert_int_equal(keys.items[1].rate_limit, 7);
    assert_true(keys.items[1].admin);
    static const char *const wrong[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer alice-secre",
        "Bearer alice-secrets",
        "alice-secret",
        "Basic alice-secret",
        "Bearer bob-secret ",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(auth_find(&keys, wrong[i]));
    assert_null(auth_find(&keys, NULL));
    struct auth_keys copy;
    assert_int_equal(auth_keys_copy(&copy, &keys, &err), 0);
    assert_true(auth_keys_same(&copy, &keys));
    copy.items[0].rate_limit = 1;
    assert_false(auth_keys_same(&copy, &keys));
    auth_keys_free(&copy);
    assert_int_equal(auth_keys_begin(&keys, "alice", &err), -1);
    auth_keys_free(&keys);
}

static void test_wrong_keys(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"secret", "short"},   {"secret", "with a blank"},  {"sha256", "00"},
        {"sha256", "zz"},      {"priority", "urgent"},      {"rate-limit", "-1"},
        {"rate-limit", "1e3"}, {"rate-limit", ""},          {"image-pixels", "many"},
        {"admin", "perhaps"},  {"password", "long enough"}, {"rate-limit", "1000001"},
        {"max-images", "65"},  {"max-image-side", "65536"}, {"max-image-bytes", "1073741825"},
    };
    struct vlmd_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct auth_keys keys = {0};
        assert_int_equal(auth_keys_begin(&keys, "a", &err), 0);
        if (auth_keys_set(&keys, wrong[i][0], wrong[i][1], &err) == 0)
            fail_msg("%s = %s was taken", wrong[i][0], wrong[i][1]);
        auth_keys_free(&keys);
    }
    struct auth_keys keys = {0};
    assert_int_equal(auth_keys_begin(&keys, "", &err), -1);
    assert_int_equal(auth_keys_begin(&keys, "a", &err), 0);
    assert_int_equal(auth_keys_check(&keys, &err), -1); /* no secret */
    assert_int_equal(auth_keys_set(&keys, "secret", "long enough", &err), -1);
    assert_int_equal(auth_keys_set(&keys, "secret", "long-enough", &err), 0);
    assert_int_equal(auth_keys_set(&keys, "secret", "long-enough-too", &err), -1);
    add_key(&keys, "b", "long-enough");
    assert_int_equal(auth_keys_check(&keys, &err), -1); /* twice the same */
    assert_null(strstr(err.text, "long-enough"));
    auth_keys_free(&keys);
}

/* ---- rates */

static void test_window(void **state)
{
    (void)state;
    struct rate_limit r;
    assert_int_equal(rate_limit_init(&r, 3, 1000), 0);
    struct rate_answer a = rate_limit_take(&r, 100);
    assert_true(a.allowed);
    assert_int_equal(a.limit, 3);
    assert_int_equal(a.remaining, 2);
    assert_int_equal(a.reset_ms, 1000);
    assert_true(rate_limit_take(&r, 500).allowed);
    a = rate_limit_take(&r, 900);
    assert_true(a.allowed);
    assert_int_equal(a.remaining, 0);
    a = rate_limit_take(&r, 1000);
    assert_false(a.allowed);
    assert_int_equal(a.retry_ms, 100);
    assert_int_equal(a.reset_ms, 900);
    assert_false(rate_limit_take(&r, 1099).allowed);
    assert_true(rate_limit_take(&r, 1100).allowed);
    assert_false(rate_limit_take(&r, 1100).allowed);
    assert_int_equal(rate_limit_take(&r, 5000).remaining, 2);
    rate_limit_free(&r);
    assert_int_equal(rate_limit_init(&r, 0, 0), 0);
    assert_true(rate_limit_take(&r, 0).allowed);
    rate_limit_free(&r);
}

/* In no stretch of the window's length are more allowed than the limit, and one is refused only
 * when one more would break that. */
static void test_random_rates(void **state)
{
    (void)state;
    srandom(3);
    for (int run = 0; run < 100; run++) {
        struct rate_limit r;
        uint64_t taken[2000], now = 0;
        size_t n = 0;
        unsigned limit = 1 + (unsigned)random() % 10;
        assert_int_equal(rate_limit_init(&r, limit, 100), 0);
        for (int step = 0; step < 2000; step++) {
            now += (uint64_t)random() % 20;
            size_t inside = 0;
            for (size_t i = n; i > 0 && taken[i - 1] + 100 > now; i--)
                inside++;
            struct rate_answer a = rate_limit_take(&r, now);
            assert_int_equal(a.allowed, inside < limit);
            if (a.allowed)
                taken[n++] = now;
            else
                assert_true(a.retry_ms > 0 && a.retry_ms <= 100);
        }
        rate_limit_free(&r);
    }
}

/* ---- heads */

static struct http_request request(const char *method, char *path, const char *host)
{
    return (struct http_request){.method = method, .path = path, .host = host};
}

static void add(struct http_request *q, const char *name, const char *value)
{
    q->fields[q->n_fields++] = (struct http_field){name, value};
}

static struct config settings(char *flags)
{
    struct config c;
    struct vlmd_error err;
    char *words[16];
    int n = 0;
    for (char *word = strtok(flags, " "); word && n < 16; word = strtok(NULL, " "))
        words[n++] = word;
    struct config_input input = {n, words, NULL, 0};
    if (config_read(&c, &input, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static int status_of_host(const char *flags, bool loopback, bool admin, const char *host)
{
    char line[256];
    snprintf(line, sizeof line, "%s", flags);
    struct config c = settings(line);
    struct access *a = access_open(&c, NULL);
    struct access_port port = {.admin = admin, .loopback = loopback};
    struct access_verdict verdict;
    char path[] = "/v1/models";
    struct http_request q = request("GET", path, host);
    access_judge(a, &port, &q, &verdict);
    access_close(a);
    config_free(&c);
    return verdict.status;
}

static void test_hosts(void **state)
{
    (void)state;
    assert_int_equal(status_of_host("", true, false, "localhost:1"), 0);
    assert_int_equal(status_of_host("", true, false, "evil.example"), 403);
    assert_int_equal(status_of_host("", false, false, "evil.example"), 0);
    static const char listed[] = "--allowed-hosts vlm.example --allowed-hosts 10.0.0.1:80 "
                                 "--allowed-hosts [fe80::1]";
    for (int loopback = 0; loopback < 2; loopback++) {
        assert_int_equal(status_of_host(listed, loopback, false, "VLM.example"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "vlm.example:8080"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "10.0.0.1:80"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "10.0.0.1:81"), 403);
        assert_int_equal(status_of_host(listed, loopback, false, "[fe80::1]"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "[fe80::1]:9"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "[fe80::2]"), 403);
        assert_int_equal(status_of_host(listed, loopback, false, "127.0.0.1:3"), 0);
        assert_int_equal(status_of_host(listed, loopback, false, "evil.example"), 403);
        assert_int_equal(status_of_host(listed, loopback, false, "vlm.example.evil"), 403);
        assert_int_equal(status_of_host("--allowed-hosts *", loopback, false, "any"), 0);
    }
    /* The admin answers to this machine alone, whatever is listed. */
    assert_int_equal(status_of_host(listed, true, true, "vlm.example"), 403);
}

static void test_who_needs_a_key(void **state)
{
    (void)state;
    char flags[] = "--api-key secret-of-one";
    struct config c = settings(flags);
    struct access *a = access_open(&c, NULL);
    struct access_port public = {0}, admin = {.admin = true, .loopback = true};
    struct access_verdict verdict;
    char *const paths[] = {(char[]){"/v1/models"}, (char[]){"/metrics"}, (char[]){"/nothing/here"},
                           (char[]){"/v1/chat/completions"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_request q = request("GET", paths[i], "localhost");
        access_judge(a, &public, &q, &verdict);
        assert_int_equal(verdict.status, 401);
        assert_string_equal(verdict.code, "invalid_api_key");
        assert_non_null(strstr(verdict.fields, "WWW-Authenticate: Bearer\r\n"));
        add(&q, "authorization", "Bearer secret-of-two");
        access_judge(a, &public, &q, &verdict);
        assert_int_equal(verdict.status, 401);
        q.fields[0].value = "Bearer secret-of-one";
        access_judge(a, &public, &q, &verdict);
        assert_int_equal(verdict.status, 0);
        assert_int_equal(access_owner(a, access_key(a, &q)), 1);
    }
    char health[] = "/health", status[] = "/admin/status";
    struct http_request q = request("GET", health, "localhost");
    access_judge(a, &public, &q, &verdict);
    assert_int_equal(verdict.status, 0);
    q = request("GET", status, "localhost");
    access_judge(a, &admin, &q, &verdict); /* no key has that right: loopback is enough */
    assert_int_equal(verdict.status, 0);
    config_free(&c);
    access_close(a);
}

static void test_the_admin_key(void **state)
{
    (void)state;
    char none[] = "";
    struct config c = settings(none);
    add_key(&c.keys, "user", "secret-of-user");
    add_key(&c.keys, "root", "secret-of-root");
    assert_int_equal(auth_keys_set(&c.keys, "admin", "yes", NULL), 0);
    struct access *a = access_open(&c, NULL);
    struct access_port admin = {.admin = true, .loopback = true};
    struct access_verdict verdict;
    char status[] = "/admin/status", health[] = "/admin/health";
    struct http_request q = request("GET", health, "localhost");
    access_judge(a, &admin, &q, &verdict);
    assert_int_equal(verdict.status, 0);
    q = request("GET", status, "localhost");
    access_judge(a, &admin, &q, &verdict);
    assert_int_equal(verdict.status, 401);
    add(&q, "Authorization", "Bearer secret-of-user");
    access_judge(a, &admin, &q, &verdict);
    assert_int_equal(verdict.status, 403);
    q.fields[0].value = "Bearer secret-of-root";
    access_judge(a, &admin, &q, &verdict);
    assert_int_equal(verdict.status, 0);
    config_free(&c);
    access_close(a);
}

static void test_priorities(void **state)
{
    (void)state;
    struct auth_key free_key = {0}, low = {.has_priority = true, .priority = PRIORITY_LOW};
    struct auth_key high = {.has_priority = true, .priority = PRIORITY_HIGH};
    char path[] = "/";
    struct http_request q = request("POST", path, "");
    assert_int_equal(access_priority(NULL, &q), PRIORITY_NORMAL);
    assert_int_equal(access_priority(&free_key, &q), PRIORITY_NORMAL);
    assert_int_equal(access_priority(&low, &q), PRIORITY_LOW);
    assert_int_equal(access_priority(&high, &q), PRIORITY_HIGH);
    add(&q, "X-Priority", "high");
    assert_int_equal(access_priority(NULL, &q), PRIORITY_HIGH);
    assert_int_equal(access_priority(&free_key, &q), PRIORITY_HIGH);
    assert_int_equal(access_priority(&low, &q), PRIORITY_LOW);
    q.fields[0].value = "low";
    assert_int_equal(access_priority(&high, &q), PRIORITY_LOW);
    q.fields[0].value = "soon";
    assert_int_equal(access_priority(NULL, &q), PRIORITY_NORMAL);
}

static void test_cors(void **state)
{
    (void)state;
    char flags[] = "--cors-origins https://a.example --api-key secret-of-one", none[] = "",
         star[] = "--cors-origins *";
    struct config c = settings(flags), closed = settings(none), open = settings(star);
    struct access *a = access_open(&c, NULL);
    struct access_port port = {0};
    struct access_verdict verdict;
    char path[] = "/v1/chat/completions";
    struct http_request q = request("OPTIONS", path, "localhost");
    add(&q, "Origin", "https://a.example");
    add(&q, "Access-Control-Request-Method", "POST");
    add(&q, "Access-Control-Request-Headers", "x-stainless-os");
    access_judge(a, &port, &q, &verdict);
    assert_int_equal(verdict.status, 200); /* before any key: browsers send none here */
    assert_non_null(strstr(verdict.fields, "Access-Control-Allow-Origin: https://a.example\r\n"));
    assert_non_null(strstr(verdict.fields, "Access-Control-Allow-Headers: x-stainless-os\r\n"));
    assert_non_null(strstr(verdict.fields, "Vary: Origin\r\n"));
    q.fields[0].value = "https://b.example";
    access_judge(a, &port, &q, &verdict);
    assert_int_equal(verdict.status, 401);
    assert_null(strstr(verdict.fields, "Access-Control"));
    assert_int_equal(access_configure(a, &closed, NULL), 0);
    q.fields[0].value = "https://a.example";
    access_judge(a, &port, &q, &verdict);
    assert_int_equal(verdict.status, 0);
    assert_string_equal(verdict.fields, "");
    assert_int_equal(access_configure(a, &open, NULL), 0);
    access_judge(a, &port, &q, &verdict);
    assert_int_equal(verdict.status, 200);
    assert_non_null(strstr(verdict.fields, "Access-Control-Allow-Origin: *\r\n"));
    /* An answer to a request, not only to a preflight. */
    q = request("GET", path, "localhost");
    add(&q, "Origin", "https://anything.example");
    access_judge(a, &port, &q, &verdict);
    assert_int_equal(verdict.status, 0);
    assert_non_null(strstr(verdict.fields, "Access-Control-Allow-Origin: *\r\n"));
    /* A field that does not fit is left out whole. */
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    q = request("OPTIONS", path, "localhost");
    add(&q, "Origin", "https://a.example");
    add(&q, "Access-Control-Request-Method", "POST");
    add(&q, "Access-Control-Request-Headers", longer);
    access_judge(a, &port, &q, &verdict);
    assert_null(strstr(verdict.fields, "xxx"));
    assert_string_equal(verdict.fields + strlen(verdict.fields) - 2, "\r\n");
    config_free(&c);
    config_free(&closed);
    config_free(&open);
    access_close(a);
}

static void test_counting(void **state)
{
    (void)state;
    char flags[] = "--rate-limit-enabled --rate-limit-rpm 60 --rate-limit-burst 2";
    struct config c = settings(flags);
    add_key(&c.keys, "own", "secret-of-own");
    assert_int_equal(auth_keys_set(&c.keys, "rate-limit", "1", NULL), 0);
    struct access *a = access_open(&c, NULL);
    char path[] = "/v1/chat/completions";
    struct http_request anyone = request("POST", path, ""), own = anyone;
    struct access_verdict verdict = {0};
    add(&own, "authorization", "Bearer secret-of-own");
    access_count(a, &anyone, 0, &verdict);
    assert_int_equal(verdict.status, 0);
    assert_non_null(strstr(verdict.fields, "X-RateLimit-Remaining-Requests: 1\r\n"));
    access_count(a, &anyone, 500, &verdict);
    assert_int_equal(verdict.status, 0);
    verdict = (struct access_verdict){0};
    access_count(a, &anyone, 900, &verdict);
    assert_int_equal(verdict.status, 429);
    assert_non_null(strstr(verdict.fields, "Retry-After: 2\r\n"));
    assert_non_null(strstr(verdict.fields, "X-RateLimit-Limit-Requests: 2\r\n"));
    verdict = (struct access_verdict){0};
    access_count(a, &own, 900, &verdict); /* counted by itself */
    assert_int_equal(verdict.status, 0);
    /* New settings do not give a new window to those whose limit stays. */
    assert_int_equal(access_configure(a, &c, NULL), 0);
    access_count(a, &own, 1000, &verdict);
    assert_int_equal(verdict.status, 429);
    verdict = (struct access_verdict){0};
    access_count(a, &anyone, 2001, &verdict);
    assert_int_equal(verdict.status, 0);
    config_free(&c);
    access_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_window),        cmocka_unit_test(test_random_rates),
        cmocka_unit_test(test_hosts),         cmocka_unit_test(test_who_needs_a_key),
        cmocka_unit_test(test_the_admin_key), cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_cors),          cmocka_unit_test(test_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
