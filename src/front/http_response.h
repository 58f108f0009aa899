/* The text of a response's head. Writes no body and knows no connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum http_framing {
    HTTP_SIZED,   /* Content-Length */
    HTTP_CHUNKED, /* for HTTP/1.1 clients */
    HTTP_TO_END,  /* the end of the connection ends the body; for HTTP/1.0 clients */
};

struct http_head {
    int status;
    const char *type;       /* Content-Type; NULL: none */
    const char *request_id; /* X-Request-Id; NULL: none */
    const char *also;       /* further fields, each ended by CRLF; NULL: none */
    const char *more;       /* the same */
    enum http_framing framing;
    uint64_t length; /* with HTTP_SIZED */
    bool keep_alive;
};

const char *http_status_text(int status);
/* Appends the head with its empty line. */
void http_head_append(struct buf *out, const struct http_head *head);
