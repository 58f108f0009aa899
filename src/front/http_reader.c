#include "front/http_reader.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum phase {
    PHASE_HEAD,  /* collecting lines up to the empty one */
    PHASE_READY, /* HTTP_READ_HEAD was returned */
    PHASE_BODY,
    PHASE_DONE,
    PHASE_BAD,
};

struct span {
    const char *at;
    size_t len;
};

/* Where llhttp found the parts of the head; needed while it is read, and not kept. */
struct spans {
    struct span target, names[HTTP_MAX_FIELDS], values[HTTP_MAX_FIELDS];
};

struct http_reader {
    struct http_limits limits;
    enum phase phase;
    struct buf head;
    size_t line_start; /* in head */
    size_t first_line; /* bytes of the request line with its CRLF, 0 before its end */
    struct buf body;
    uint64_t framing; /* bytes of the body's chunk sizes and the like */
    char last;        /* byte of the body's part that was read before */
    llhttp_t parser;
    struct http_request request;
    struct spans *spans; /* during parse_head */
    int status;
    const char *text;
};

/* ---- llhttp's callbacks. The head comes in one piece, so a span is never split. */

static int fail(struct http_reader *r, int status, const char *text)
{
    if (r->phase != PHASE_BAD) {
        r->phase = PHASE_BAD;
        r->status = status;
        r->text = text;
    }
    return -1;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    struct http_reader *r = p->data;
    r->spans->target.at = at;
    r->spans->target.len = len;
    return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t len)
{
    struct http_reader *r = p->data;
    if (r->phase == PHASE_BODY)
        return fail(r, 400, "trailer fields are not accepted");
    if (r->request.n_fields == r->limits.fields)
        return fail(r, 431, "too many header fields");
    size_t i = r->request.n_fields++;
    r->spans->names[i].at = at;
    r->spans->names[i].len = len;
    r->spans->values[i].at = at + len; /* an empty value has no span */
    r->spans->values[i].len = 0;
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_reader *r = p->data;
    if (r->phase == PHASE_BODY || r->request.n_fields == 0)
        return fail(r, 400, "trailer fields are not accepted");
    size_t i = r->request.n_fields - 1;
    if (r->spans->values[i].len == 0)
        r->spans->values[i].at = at;
    r->spans->values[i].len = (size_t)(at + len - r->spans->values[i].at);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED; /* the head is judged before any of the body is read */
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_reader *r = p->data;
    if (len > r->limits.body_bytes - r->body.len)
        return fail(r, 413, "the body is larger than this server accepts");
    if (buf_append(&r->body, at, len) < 0)
        return fail(r, 503, "out of memory");
    return 0;
}

/* Its size is known before its data: there is no need to wait for what will be refused. */
static int on_chunk_header(llhttp_t *p)
{
    struct http_reader *r = p->data;
    if (p->content_length > r->limits.body_bytes - r->body.len)
        return fail(r, 413, "the body is larger than this server accepts");
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct http_reader *r = p->data;
    r->phase = PHASE_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static const llhttp_settings_t s = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete,
        .on_chunk_header = on_chunk_header,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    return &s;
}

/* ---- life */

static void start(struct http_reader *r)
{
    llhttp_init(&r->parser, HTTP_REQUEST, settings());
    r->parser.data = r;
    r->phase = PHASE_HEAD;
    r->line_start = 0;
    r->first_line = 0;
    r->framing = 0;
    r->request = (struct http_request){0};
}

struct http_reader *http_reader_open(const struct http_limits *limits)
{
    struct http_reader *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->limits = *limits;
    if (r->limits.fields > HTTP_MAX_FIELDS)
        r->limits.fields = HTTP_MAX_FIELDS;
    start(r);
    return r;
}

void http_reader_close(struct http_reader *r)
{
    if (!r)
        return;
    buf_free(&r->head);
    buf_free(&r->body);
    free(r);
}

void http_reader_next(struct http_reader *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
    start(r);
}

bool http_reader_idle(const struct http_reader *r)
{
    return r->phase == PHASE_HEAD && r->head.len == 0;
}

struct http_request *http_reader_request(struct http_reader *r)
{
    return &r->request;
}

char *http_reader_take_body(struct http_reader *r, size_t *len)
{
    char *body = r->body.data;
    *len = r->body.len;
    r->body = (struct buf){0};
    r->request.body = r->head.data + r->head.len;
    r->request.body_len = 0;
    return body;
}

size_t http_reader_bytes(const struct http_reader *r)
{
    return r->head.len + r->body.len;
}

int http_reader_refusal_status(const struct http_reader *r)
{
    return r->status;
}

const char *http_reader_refusal_text(const struct http_reader *r)
{
    return r->text;
}

const char *http_request_field(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_fields; i++)
        if (strcasecmp(request->fields[i].name, name) == 0)
            return request->fields[i].value;
    return NULL;
}

/* ---- judging the head */

static size_t count_fields(const struct http_request *q, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_fields; i++)
        n += strcasecmp(q->fields[i].name, name) == 0;
    return n;
}

/* Cuts the spans out of the head as NUL-terminated texts. Each is followed by a byte of framing
 * (space, colon, white space or CR) that may be overwritten now. */
static void cut_texts(struct http_reader *r)
{
    char *base = r->head.data;
    struct http_request *q = &r->request;
    for (size_t i = 0; i < q->n_fields; i++) {
        char *name = base + (r->spans->names[i].at - base);
        char *value = base + (r->spans->values[i].at - base);
        size_t len = r->spans->values[i].len;
        while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
            len--;
        while (len > 0 && (*value == ' ' || *value == '\t')) {
            value++;
            len--;
        }
        name[r->spans->names[i].len] = '\0';
        value[len] = '\0';
        q->fields[i] = (struct http_field){name, len ? value : ""};
    }
}

static int cut_target(struct http_reader *r)
{
    struct http_request *q = &r->request;
    if (!r->spans->target.at || r->spans->target.len == 0 || *r->spans->target.at != '/')
        return fail(r, 400, "the request's target must be a path");
    char *path = r->head.data + (r->spans->target.at - r->head.data);
    for (size_t i = 0; i < r->spans->target.len; i++)
        if (path[i] <= ' ' || path[i] > '~' || path[i] == '#')
            return fail(r, 400, "the request's target holds a character that must be encoded");
    path[r->spans->target.len] = '\0';
    q->path = path;
    char *mark = strchr(path, '?');
    if (mark)
        *mark = '\0';
    q->query = mark ? mark + 1 : path + r->spans->target.len;
    return 0;
}

/* uri-host [":" port]: letters, digits and -._~ or a bracketed address. */
static bool host_is_sound(const char *host)
{
    const char *p = host;
    if (*p == '[') {
        size_t inside = strspn(p + 1, "0123456789abcdefABCDEF:.");
        if (inside == 0 || p[1 + inside] != ']')
            return false;
        p += inside + 2;
    } else {
        size_t name =
            strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~");
        if (name == 0 || name > 253)
            return false;
        p += name;
    }
    if (*p == '\0')
        return true;
    size_t digits = *p == ':' ? strspn(p + 1, "0123456789") : 0;
    return digits >= 1 && digits <= 5 && p[1 + digits] == '\0';
}

static int judge_host(struct http_reader *r)
{
    struct http_request *q = &r->request;
    size_t n = count_fields(q, "host");
    q->host = "";
    if (n == 0 && q->minor == 0)
        return 0;
    if (n != 1)
        return fail(r, 400, n ? "more than one Host field" : "the Host field is missing");
    q->host = http_request_field(q, "host");
    if (!host_is_sound(q->host))
        return fail(r, 400, "the Host field is not a host with an optional port");
    return 0;
}

/* Who frames the body must be beyond doubt: one Content-Length of digits, or chunked alone. */
static int judge_framing(struct http_reader *r)
{
    struct http_request *q = &r->request;
    size_t lengths = count_fields(q, "content-length");
    size_t codings = count_fields(q, "transfer-encoding");
    q->has_length = lengths + codings > 0;
    if (lengths + codings > 1)
        return fail(r, 400, "more than one field says how long the body is");
    if (codings == 1) {
        if (q->minor == 0)
            return fail(r, 400, "Transfer-Encoding does not exist in HTTP/1.0");
        if (strcasecmp(http_request_field(q, "transfer-encoding"), "chunked") != 0)
            return fail(r, 501, "the only Transfer-Encoding understood is chunked");
        q->is_chunked = true;
        return 0;
    }
    if (lengths == 0)
        return 0;
    const char *text = http_request_field(q, "content-length");
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0' || digits > 18)
        return fail(r, 400, "Content-Length is not a number");
    q->announced = strtoull(text, NULL, 10);
    if (q->announced > r->limits.body_bytes)
        return fail(r, 413, "the body is larger than this server accepts");
    return 0;
}

static int judge_expect(struct http_reader *r)
{
    struct http_request *q = &r->request;
    const char *expect = http_request_field(q, "expect");
    if (!expect)
        return 0;
    if (count_fields(q, "expect") > 1 || strcasecmp(expect, "100-continue") != 0)
        return fail(r, 417, "the only expectation understood is 100-continue");
    q->expects_continue = q->minor == 1;
    return 0;
}

static int judge_head(struct http_reader *r)
{
    struct http_request *q = &r->request;
    q->method = llhttp_method_name((llhttp_method_t)r->parser.method);
    q->minor = r->parser.http_minor;
    q->keep_alive = llhttp_should_keep_alive(&r->parser);
    cut_texts(r);
    if (cut_target(r) < 0 || judge_host(r) < 0 || judge_framing(r) < 0 || judge_expect(r) < 0)
        return -1;
    q->body = r->head.data + r->head.len; /* the empty text, until there is one */
    return 0;
}

/* ---- collecting the head */

/* METHOD SP TARGET SP VERSION, where llhttp would take more spaces and other protocols. */
static int judge_request_line(struct http_reader *r, const char *line, size_t len)
{
    const char *end = line + len - 2;
    const char *first = memchr(line, ' ', len);
    const char *second = first ? memchr(first + 1, ' ', (size_t)(end - first - 1)) : NULL;
    if (!second || first == line || second == first + 1 ||
        memchr(second + 1, ' ', (size_t)(end - second - 1)) || end - second < 6 ||
        memcmp(second + 1, "HTTP/", 5) != 0)
        return fail(r, 400, "the request line is not METHOD TARGET HTTP/1.1");
    if (end - second != 9 || memcmp(second + 6, "1.", 2) != 0 ||
        (second[8] != '0' && second[8] != '1'))
        return fail(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    return 0;
}

/* One complete line, with its CRLF, was collected. Returns 1 at the empty line that ends the head,
 * -1 when the line is refused. */
static int end_line(struct http_reader *r)
{
    const char *line = r->head.data + r->line_start;
    size_t len = r->head.len - r->line_start;
    bool empty = len == 2;
    if (r->first_line == 0 && empty) {
        if (r->line_start > 0)
            return fail(r, 400, "empty lines instead of a request");
        r->line_start = r->head.len; /* RFC 9112, 2.2: one is forgiven */
        return 0;
    }
    if (r->first_line == 0) {
        if (judge_request_line(r, line, len) < 0)
            return -1;
        r->first_line = r->head.len;
        r->line_start = r->head.len;
        return 0;
    }
    if (empty)
        return 1;
    if (*line == ' ' || *line == '\t')
        return fail(r, 400, "folded header lines are not accepted");
    if (*line == ':')
        return fail(r, 400, "a header field without a name");
    r->line_start = r->head.len;
    return 0;
}

static int judge_byte(struct http_reader *r, unsigned char c)
{
    bool after_cr = r->head.len > r->line_start && r->head.data[r->head.len - 1] == '\r';
    if (after_cr && c != '\n')
        return fail(r, 400, "a CR without its LF");
    if (c == '\n' && !after_cr)
        return fail(r, 400, "a line that does not end with CRLF");
    if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7F)
        return fail(r, 400, "a control character in the head");
    if (r->first_line == 0 && r->head.len >= r->limits.target_bytes + 64)
        return fail(r, 414, "the request's target is too long");
    if (r->first_line > 0 && r->head.len - r->first_line >= r->limits.head_bytes)
        return fail(r, 431, "the header fields are too large");
    return 0;
}

/* Collects up to the empty line. 1: the head is complete. */
static int collect_head(struct http_reader *r, const char *data, size_t len, size_t *used)
{
    while (*used < len) {
        char c = data[*used];
        if (judge_byte(r, (unsigned char)c) < 0)
            return -1;
        if (buf_append_char(&r->head, c) < 0)
            return fail(r, 503, "out of memory");
        ++*used;
        if (c != '\n')
            continue;
        int end = end_line(r);
        if (end != 0)
            return end;
    }
    return 0;
}

static int parse_failed(struct http_reader *r)
{
    return fail(r, 400, "this is not a well-formed HTTP request");
}

static int parse_head(struct http_reader *r)
{
    struct spans spans;
    spans.target = (struct span){0};
    r->spans = &spans;
    enum llhttp_errno error = llhttp_execute(&r->parser, r->head.data, r->head.len);
    int status = error == HPE_PAUSED && r->phase != PHASE_BAD ? judge_head(r) : parse_failed(r);
    r->spans = NULL;
    return status;
}

/* ---- the body */

/* llhttp takes a bare LF for the empty line behind the last chunk. */
static bool ends_with_crlf(const struct http_reader *r, const char *data, size_t used)
{
    char before = used >= 2 ? data[used - 2] : r->last;
    return used >= 1 && before == '\r' && data[used - 1] == '\n';
}

static enum http_read feed_body(struct http_reader *r, const char *data, size_t len, size_t *used)
{
    size_t before = r->body.len;
    enum llhttp_errno error = llhttp_execute(&r->parser, data, len);
    if (r->phase == PHASE_BAD)
        return HTTP_READ_BAD;
    if (r->phase == PHASE_DONE) {
        /* It paused, or stopped because the client asked for another protocol, which we ignore. */
        const char *end = llhttp_get_error_pos(&r->parser);
        *used = end >= data && end <= data + len ? (size_t)(end - data) : len;
        if (r->request.is_chunked && !ends_with_crlf(r, data, *used)) {
            r->phase = PHASE_BODY;
            fail(r, 400, "a line that does not end with CRLF");
            return HTTP_READ_BAD;
        }
        r->request.body_len = r->body.len;
        if (r->body.data)
            r->request.body = r->body.data;
        return HTTP_READ_DONE;
    }
    if (error != HPE_OK) {
        parse_failed(r);
        return HTTP_READ_BAD;
    }
    *used = len;
    if (len > 0)
        r->last = data[len - 1];
    r->framing += len - (r->body.len - before);
    if (r->framing > (1u << 20) + r->body.len) {
        fail(r, 400, "the body's chunks are too small");
        return HTTP_READ_BAD;
    }
    return HTTP_READ_MORE;
}

enum http_read http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *used)
{
    *used = 0;
    switch (r->phase) {
    case PHASE_HEAD: {
        int got = collect_head(r, data, len, used);
        if (got == 0)
            return HTTP_READ_MORE;
        if (got < 0 || parse_head(r) < 0)
            return HTTP_READ_BAD;
        r->phase = PHASE_READY;
        return HTTP_READ_HEAD;
    }
    case PHASE_READY:
        r->phase = PHASE_BODY;
        llhttp_resume(&r->parser);
        return feed_body(r, data, len, used);
    case PHASE_BODY:
        return feed_body(r, data, len, used);
    case PHASE_DONE:
        return HTTP_READ_DONE;
    case PHASE_BAD:
        break;
    }
    return HTTP_READ_BAD;
}
