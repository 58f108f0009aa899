/* The request reader: every case whole and cut at every byte, with the same outcome. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/http_reader.h"

static const struct http_limits limits = {
    .target_bytes = 64, .head_bytes = 512, .fields = 8, .body_bytes = 100};

struct outcome {
    int status; /* of the refusal; 200: a request was read; 0: more is wanted */
    size_t used;
    struct buf seen; /* method, path, query, host, body */
};

static enum http_read feed_all(struct http_reader *r, const char *data, size_t len, size_t step,
                               size_t *at)
{
    enum http_read got = HTTP_READ_MORE;
    *at = 0;
    while (got == HTTP_READ_MORE || got == HTTP_READ_HEAD) {
        size_t piece = len - *at < step ? len - *at : step;
        if (piece == 0 && got == HTTP_READ_MORE)
            break;
        size_t used;
        got = http_reader_feed(r, data + *at, piece, &used);
        assert_true(used <= piece);
        *at += used;
    }
    return got;
}

static struct outcome read_in_steps(const char *data, size_t len, size_t step)
{
    struct outcome o = {0};
    struct http_reader *r = http_reader_open(&limits);
    assert_non_null(r);
    assert_true(http_reader_idle(r));
    enum http_read got = feed_all(r, data, len, step, &o.used);
    if (got == HTTP_READ_BAD) {
        o.status = http_reader_refusal_status(r);
        assert_non_null(http_reader_refusal_text(r));
    } else if (got == HTTP_READ_DONE) {
        struct http_request *q = http_reader_request(r);
        o.status = 200;
        buf_appendf(&o.seen, "%s %s?%s %s 1.%d %d [%s]", q->method, q->path, q->query, q->host,
                    q->minor, q->keep_alive, q->body);
        assert_int_equal(strlen(q->body), q->body_len);
    }
    http_reader_close(r);
    return o;
}

/* `rest`: bytes behind the request that must be left alone. */
static void expect(const char *data, size_t len, int status, const char *seen, size_t rest)
{
    for (size_t step = len; step > 0; step = step > 17 ? 17 : step - 1) {
        struct outcome o = read_in_steps(data, len, step);
        if (o.status != status || (seen && strcmp(o.seen.data, seen) != 0))
            fail_msg("in steps of %zu: %d %s\ninstead of %d %s\nfor %s", step, o.status,
                     o.seen.data ? o.seen.data : "", status, seen ? seen : "", data);
        if (status == 200)
            assert_int_equal(o.used, len - rest);
        buf_free(&o.seen);
    }
}

#define HOST                 "Host: a.b:1\r\n"
#define READ(text, seen)     expect(text, sizeof(text) - 1, 200, seen, 0)
#define REFUSE(text, status) expect(text, sizeof(text) - 1, status, NULL, 0)
#define MORE(text)           expect(text, sizeof(text) - 1, 0, NULL, 0)

static void test_requests(void **state)
{
    (void)state;
    READ("GET / HTTP/1.1\r\n" HOST "\r\n", "GET /? a.b:1 1.1 1 []");
    READ("\r\nGET /a/b?c=d&e HTTP/1.1\r\n" HOST "\r\n", "GET /a/b?c=d&e a.b:1 1.1 1 []");
    READ("GET / HTTP/1.0\r\n\r\n", "GET /?  1.0 0 []");
    READ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /?  1.0 1 []");
    READ("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET /? a.b:1 1.1 0 []");
    READ("POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
         "POST /x? a.b:1 1.1 1 [hello]");
    READ("POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST /x? a.b:1 1.1 1 []");
    READ("POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
         "3\r\nhel\r\n2;x=\"y\"\r\nlo\r\n0\r\n\r\n",
         "POST /x? a.b:1 1.1 1 [hello]");
    READ("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "GET /? a.b:1 1.1 1 []");
}

static void test_leaves_the_next_request_alone(void **state)
{
    (void)state;
    static const char two[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nokGET / HTTP";
    expect(two, sizeof two - 1, 200, "POST /? a.b:1 1.1 1 [ok]", 10);
    static const char three[] = "GET / HTTP/1.1\r\n" HOST "\r\n\r\nGET ";
    expect(three, sizeof three - 1, 200, "GET /? a.b:1 1.1 1 []", 6);
    static const char chunked[] =
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nGET";
    expect(chunked, sizeof chunked - 1, 200, "POST /? a.b:1 1.1 1 [ok]", 3);
}

static void test_wants_more(void **state)
{
    (void)state;
    MORE("G");
    MORE("\r\n");
    MORE("GET / HTTP/1.1\r\n" HOST "\r");
    MORE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell");
    MORE("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r");
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSE("GET / HTTP/1.1\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\nHost: a\n\n", 400);
    REFUSE("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\n" HOST "A: \0\r\n\r\n", 400);
    REFUSE("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400);
    REFUSE("GET  / HTTP/1.1\r\n" HOST "\r\n", 400);
    REFUSE("GET /\r\n\r\n", 400);
    REFUSE("GET a HTTP/1.1\r\n" HOST "\r\n", 400);
    REFUSE("GET /#a HTTP/1.1\r\n" HOST "\r\n", 400);
    REFUSE("GET / RTSP/1.0\r\n" HOST "\r\n", 400);
    REFUSE("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
    REFUSE("GET / HTTP/1.9\r\n" HOST "\r\n", 505);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           400);
    REFUSE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n", 413);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", 400);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400);
    REFUSE("POST / HTTP/1.1\r\n" HOST "Expect: x\r\nContent-Length: 1\r\n\r\n", 417);
}

static void test_limits(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_text(&text, "GET /");
    for (int i = 0; i < 200; i++)
        buf_append_char(&text, 'a');
    expect(text.data, text.len, 414, NULL, 0);
    buf_reset(&text);
    buf_append_text(&text, "GET / HTTP/1.1\r\n" HOST "A: ");
    for (int i = 0; i < 600; i++)
        buf_append_char(&text, 'a');
    expect(text.data, text.len, 431, NULL, 0);
    buf_reset(&text);
    buf_append_text(&text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 8; i++)
        buf_append_text(&text, "A: b\r\n");
    buf_append_text(&text, "\r\n");
    expect(text.data, text.len, 431, NULL, 0);
    buf_reset(&text);
    buf_append_text(&text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40\r\n");
    for (int i = 0; i < 64; i++)
        buf_append_char(&text, 'a');
    buf_append_text(&text, "\r\n40\r\n");
    for (int i = 0; i < 64; i++)
        buf_append_char(&text, 'a');
    expect(text.data, text.len, 413, NULL, 0);
    buf_free(&text);
}

static void test_one_reader_for_many_requests(void **state)
{
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nok";
    struct http_reader *r = http_reader_open(&limits);
    for (int i = 0; i < 3; i++) {
        size_t at;
        assert_int_equal(feed_all(r, text, sizeof text - 1, 5, &at), HTTP_READ_DONE);
        size_t len;
        char *body = http_reader_take_body(r, &len);
        assert_string_equal(body, "ok");
        assert_int_equal(len, 2);
        free(body);
        assert_int_equal(http_reader_request(r)->body_len, 0);
        http_reader_next(r);
        assert_true(http_reader_idle(r));
    }
    http_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),   cmocka_unit_test(test_leaves_the_next_request_alone),
        cmocka_unit_test(test_wants_more), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_one_reader_for_many_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
