/* One HTTP/1.x request at a time out of a stream of bytes: llhttp's grammar with our limits and the
 * checks that it leaves open. Knows no sockets, routes or time. Policy: RFC 9112, and where that
 * leaves a choice, the strict one (no bare LF, no folded lines, no trailers, one Host). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct http_limits {
    size_t target_bytes; /* of the request line's target */
    size_t head_bytes;   /* of all header lines together */
    size_t fields;
    size_t body_bytes;
};

enum {
    HTTP_MAX_FIELDS = 100,
};

/* Texts are NUL-terminated and live until http_reader_next. */
struct http_field {
    const char *name;
    const char *value; /* without surrounding white space */
};

struct http_request {
    const char *method;
    char *path;  /* of the target, as sent (not percent-decoded) */
    char *query; /* behind the '?', or "" */
    int minor;   /* of the version 1.x */
    bool keep_alive;
    bool expects_continue;
    bool has_length; /* a Content-Length or chunked coding was given */
    bool is_chunked;
    uint64_t announced; /* Content-Length, 0 without */
    const char *host;   /* value of Host; "" when there is none (1.0 only) */
    struct http_field fields[HTTP_MAX_FIELDS];
    size_t n_fields;
    char *body; /* NUL-terminated */
    size_t body_len;
};

enum http_read {
    HTTP_READ_MORE, /* all bytes were used; more are needed */
    HTTP_READ_HEAD, /* the head is complete and sound, the body is not read yet */
    HTTP_READ_DONE, /* the request is complete */
    HTTP_READ_BAD,  /* answer with refusal_status and close */
};

struct http_reader;

struct http_reader *http_reader_open(const struct http_limits *limits); /* NULL without memory */
void http_reader_close(struct http_reader *r);
/* Reads from data[0..len); *used says how many bytes were taken. After HTTP_READ_HEAD and
 * HTTP_READ_MORE go on with the rest; after HTTP_READ_DONE call http_reader_next first. */
enum http_read http_reader_feed(struct http_reader *r, const char *data, size_t len, size_t *used);
/* Forgets the request and its memory, and waits for the next. */
void http_reader_next(struct http_reader *r);
/* No byte of a request has come yet. */
bool http_reader_idle(const struct http_reader *r);
/* Valid from HTTP_READ_HEAD (without body) or HTTP_READ_DONE until http_reader_next. */
struct http_request *http_reader_request(struct http_reader *r);
/* Hands the body over (NUL-terminated, to be freed by the caller); the request's body is empty
 * then. NULL when there is none. */
char *http_reader_take_body(struct http_reader *r, size_t *len);
size_t
http_reader_bytes(const struct http_reader *r); /* of head and body, as far as they are here */
int http_reader_refusal_status(const struct http_reader *r);
const char *http_reader_refusal_text(const struct http_reader *r);

/* Value of the first field of that name (any case), or NULL. */
const char *http_request_field(const struct http_request *request, const char *name);
