/* Routes, hosts, escapes, error bodies, settings. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "front/chat_text.h"
#include "front/errors.h"
#include "front/http_response.h"
#include "front/random_id.h"
#include "front/route.h"

static void test_routes(void **state)
{
    (void)state;
    static const struct route routes[] = {
        {"GET", "/a", NULL}, {"POST", "/a", NULL}, {"GET", "/b/", NULL}};
    struct route_match m = route_find(routes, 3, "POST", "/a");
    assert_ptr_equal(m.route, &routes[1]);
    m = route_find(routes, 3, "HEAD", "/a");
    assert_ptr_equal(m.route, &routes[0]);
    m = route_find(routes, 3, "PUT", "/a");
    assert_null(m.route);
    assert_int_equal(m.status, 405);
    assert_string_equal(m.allow, "GET, HEAD, POST");
    m = route_find(routes, 3, "GET", "/b/c/d");
    assert_ptr_equal(m.route, &routes[2]);
    assert_int_equal(route_find(routes, 3, "GET", "/b/").status, 404);
    assert_int_equal(route_find(routes, 3, "GET", "/b").status, 404);
    assert_int_equal(route_find(routes, 3, "GET", "/ab").status, 404);
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const local[] = {"localhost", "LocalHost:1", "127.0.0.1:80", "[::1]:2"};
    static const char *const foreign[] = {"",          "localhost.x", "127.0.0.11", "x.localhost",
                                          "127.0.0.2", "[::1",        "::1",        "0.0.0.0"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(route_host_is_local(local[i]));
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_false(route_host_is_local(foreign[i]));
}

static void test_percent(void **state)
{
    (void)state;
    char good[] = "a%2Fb%c3%BC%25";
    assert_true(route_percent_decode(good));
    assert_string_equal(good, "a/b\xC3\xBC%");
    static const char *const bad[] = {"%", "%4", "%zz", "a%00", "%%41"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *copy = strdup(bad[i]);
        assert_false(route_percent_decode(copy));
        free(copy);
    }
}

static void test_content_types(void **state)
{
    (void)state;
    assert_true(route_type_is_json("application/json"));
    assert_true(route_type_is_json("APPLICATION/JSON ; charset=utf-8"));
    assert_false(route_type_is_json("application/json5"));
    assert_false(route_type_is_json("text/json"));
    assert_false(route_type_is_json(NULL));
}

/* What jansson reads back is what was written. */
static void test_json_text(void **state)
{
    (void)state;
    char text[300];
    size_t len = 0;
    for (int c = 1; c < 128; c++)
        text[len++] = (char)c;
    memcpy(text + len, "\xC3\xBC\xF0\x9F\x98\x80", 7);
    len += 6;
    struct buf out = {0};
    buf_append_char(&out, '[');
    json_text_append(&out, text, len);
    buf_append_char(&out, ']');
    json_t *back = json_parse(out.data, out.len, "text", NULL);
    assert_non_null(back);
    assert_string_equal(json_string_value(json_array_get(back, 0)), text);
    json_decref(back);
    buf_free(&out);
}

static void test_error_bodies(void **state)
{
    (void)state;
    for (int code = VLMD_INVALID; code <= VLMD_INTERNAL; code++) {
        struct vlmd_error err;
        err_set(&err, (enum vlmd_code)code, "a.\"b\"", "text with \"quotes\"");
        struct api_error e = errors_from(&err);
        struct buf out = {0};
        errors_append_json(&out, &e);
        json_t *body = json_parse(out.data, out.len, "body", NULL);
        const json_t *inner = json_object_get(body, "error");
        assert_string_equal(json_string_value(json_object_get(inner, "message")), err.text);
        assert_string_equal(json_string_value(json_object_get(inner, "param")), err.field);
        assert_string_equal(json_string_value(json_object_get(inner, "type")),
                            e.status < 500 ? "invalid_request_error" : "server_error");
        assert_string_not_equal(http_status_text(e.status), "Status");
        json_decref(body);
        buf_free(&out);
    }
    struct api_error e = errors_from_status(405, "x");
    struct buf out = {0};
    errors_append_json(&out, &e);
    assert_string_equal(out.data,
                        "{\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\","
                        "\"param\":null,\"code\":\"method_not_allowed\"}}");
    buf_free(&out);
}

static void test_chunks(void **state)
{
    (void)state;
    struct chat_head head = {"chatcmpl-1", "m", 5, true, NULL};
    struct ipc_done done = {
        .reason = IPC_FINISH_LENGTH, .prompt_tokens = 2, .completion_tokens = 3};
    struct buf out = {0};
    chat_text_delta(&out, &head, "\"\n", 2);
    assert_string_equal(
        out.data,
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":5,"
        "\"model\":\"m\",\"system_fingerprint\":null,\"choices\":[{\"index\":0,\"delta\":{"
        "\"content\":\"\\\"\\n\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
    buf_reset(&out);
    chat_text_end(&out, &head, &done);
    assert_non_null(strstr(out.data, "\"finish_reason\":\"length\""));
    assert_non_null(strstr(out.data, "\"choices\":[],\"usage\":{\"prompt_tokens\":2,"
                                     "\"completion_tokens\":3,\"total_tokens\":5}"));
    assert_string_equal(out.data + out.len - 14, "data: [DONE]\n\n");
    buf_free(&out);
}

static void test_random_ids(void **state)
{
    (void)state;
    char a[RANDOM_ID_BYTES], b[RANDOM_ID_BYTES];
    random_id(a, "chatcmpl-");
    random_id(b, "chatcmpl-");
    assert_int_equal(strlen(a), 9 + 24);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),    cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_percent),   cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_json_text), cmocka_unit_test(test_error_bodies),
        cmocka_unit_test(test_chunks),    cmocka_unit_test(test_random_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
