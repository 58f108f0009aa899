/* Any bytes as a connection: the first says in which steps they arrive. Read in one piece they must
 * mean the same. */
#include <stdlib.h>
#include <string.h>

#include "front/http_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .target_bytes = 256, .head_bytes = 1024, .fields = 16, .body_bytes = 2048};

/* Appends what was understood of the requests in the stream. */
static void read_stream(const char *data, size_t size, size_t step, struct buf *seen)
{
    struct http_reader *r = http_reader_open(&limits);
    enum http_read got = HTTP_READ_MORE;
    size_t at = 0;
    while (r && got != HTTP_READ_BAD && (at < size || got == HTTP_READ_HEAD)) {
        size_t piece = size - at < step ? size - at : step;
        size_t used;
        got = http_reader_feed(r, data + at, piece, &used);
        if (used > piece)
            abort();
        at += used;
        if (got == HTTP_READ_DONE) {
            struct http_request *q = http_reader_request(r);
            if (q->body_len > limits.body_bytes || q->n_fields > limits.fields || q->path[0] != '/')
                abort();
            buf_appendf(seen, "%s %s %s %zu;", q->method, q->path, q->host, q->body_len);
            for (size_t i = 0; i < q->n_fields; i++)
                buf_appendf(seen, "%s=%s,", q->fields[i].name, q->fields[i].value);
            buf_append(seen, q->body, q->body_len);
            http_reader_next(r);
        }
    }
    if (got == HTTP_READ_BAD)
        buf_appendf(seen, "refused %d", http_reader_refusal_status(r));
    http_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct buf whole = {0}, pieces = {0};
    const char *text = (const char *)data + 1;
    read_stream(text, size - 1, size, &whole);
    read_stream(text, size - 1, data[0] % 32 + 1, &pieces);
    if (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0))
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
