#include "base/data_uri.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

#define SCHEME "data:"
#define BASE64 ";base64"

struct span {
    const char *text;
    size_t len;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_text(const char *text, const char *wanted, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(text[i]) != wanted[i])
            return false;
    }
    return true;
}

bool data_uri_is(const char *text, size_t len)
{
    return len >= strlen(SCHEME) && same_text(text, SCHEME, strlen(SCHEME));
}

/* RFC 6838's characters for the names of types. */
static bool is_type_char(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$&-^_.+", c));
}

/* "type/subtype" up to the first ';' to lower case; none at all means text/plain. */
static int read_type(struct span header, char *mime, size_t cap, struct vlmd_error *err)
{
    const char *end = memchr(header.text, ';', header.len);
    size_t len = end ? (size_t)(end - header.text) : header.len;
    if (len == 0) {
        memcpy(mime, "text/plain", sizeof "text/plain");
        return 0;
    }
    if (len >= cap)
        return err_set(err, VLMD_INVALID, NULL, "the data URI's media type is too long");
    const char *slash = memchr(header.text, '/', len);
    if (!slash || slash == header.text || slash == header.text + len - 1)
        return err_set(err, VLMD_INVALID, NULL, "the data URI's media type is not type/subtype");
    for (size_t i = 0; i < len; i++) {
        if (header.text + i != slash && !is_type_char(header.text[i]))
            return err_set(err, VLMD_INVALID, NULL,
                           "the data URI's media type has a wrong character at offset %zu",
                           strlen(SCHEME) + i);
        mime[i] = lower(header.text[i]);
    }
    mime[len] = '\0';
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX to out (room for body.len bytes). `loose` lets white space pass, for base64. Returns
 * the bytes written, or -1 with *bad_at. */
static int64_t percent_decode(struct span body, bool loose, uint8_t *out, size_t *bad_at)
{
    size_t written = 0;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.text[i];
        *bad_at = i;
        if (c == '%') {
            int high = i + 1 < body.len ? hex_value(body.text[i + 1]) : -1;
            int low = i + 2 < body.len ? hex_value(body.text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            out[written++] = (uint8_t)(high << 4 | low);
            i += 2;
            continue;
        }
        bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if ((c <= ' ' || c > '~') && !(loose && space))
            return -1;
        out[written++] = (uint8_t)c;
    }
    return (int64_t)written;
}

/* Bytes of content that the body cannot fall short of, judged by counting alone. */
static size_t least_content(struct span body, bool base64)
{
    size_t units = 0;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.text[i];
        if (base64 && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '='))
            continue;
        if (c == '%' && body.len - i > 2) {
            i += 2;
            if (base64) /* it may stand for a space or padding */
                continue;
        }
        units++;
    }
    return base64 ? units / 4 * 3 : units;
}

static int decode_base64(struct span body, size_t offset, struct data_uri *out,
                         struct vlmd_error *err)
{
    size_t bad_at;
    if (base64_decode(body.text, body.len, BASE64_SPACES, out->bytes, &out->len, &bad_at) == 0)
        return 0;
    if (bad_at == body.len)
        return err_set(err, VLMD_INVALID, NULL, "the data URI's base64 ends too early");
    return err_set(err, VLMD_INVALID, NULL,
                   "the data URI's base64 has a wrong character at offset %zu", offset + bad_at);
}

static int decode_body(struct span body, size_t offset, bool base64, struct data_uri *out,
                       struct vlmd_error *err)
{
    if (base64 && !memchr(body.text, '%', body.len))
        return decode_base64(body, offset, out, err);
    size_t bad_at = 0;
    int64_t len = percent_decode(body, base64, out->bytes, &bad_at);
    if (len < 0)
        return err_set(err, VLMD_INVALID, NULL, "the data URI has a wrong character at offset %zu",
                       offset + bad_at);
    out->len = (size_t)len;
    if (!base64)
        return 0;
    /* In place: base64_decode never writes ahead of what it reads. */
    struct span plain = {(const char *)out->bytes, out->len};
    size_t wrong;
    if (base64_decode(plain.text, plain.len, BASE64_SPACES, out->bytes, &out->len, &wrong) < 0)
        return err_set(err, VLMD_INVALID, NULL,
                       "the data URI's base64 is wrong at character %zu of its decoded text",
                       wrong);
    return 0;
}

static bool says_base64(struct span *header)
{
    size_t tail = strlen(BASE64);
    if (header->len < tail || !same_text(header->text + header->len - tail, BASE64, tail))
        return false;
    header->len -= tail;
    return true;
}

int data_uri_decode(const char *text, size_t len, size_t max_bytes, struct data_uri *out,
                    struct vlmd_error *err)
{
    *out = (struct data_uri){0};
    if (!data_uri_is(text, len))
        return err_set(err, VLMD_INVALID, NULL, "a data URI begins with \"data:\"");
    const char *comma = memchr(text, ',', len);
    if (!comma)
        return err_set(err, VLMD_INVALID, NULL, "the data URI has no comma before its content");
    struct span header = {text + strlen(SCHEME), (size_t)(comma - text) - strlen(SCHEME)};
    struct span body = {comma + 1, len - (size_t)(comma - text) - 1};
    bool base64 = says_base64(&header);
    if (read_type(header, out->mime, sizeof out->mime, err) < 0)
        goto fail;
    if (least_content(body, base64) > max_bytes) {
        err_set(err, VLMD_TOO_LARGE, NULL, "the data URI holds more than %zu bytes", max_bytes);
        goto fail;
    }
    /* base64_decoded_max can exceed the body by two bytes when that is tiny. */
    out->bytes = malloc(body.len + 2);
    if (!out->bytes) {
        err_no_memory(err, body.len + 2);
        goto fail;
    }
    if (decode_body(body, (size_t)(body.text - text), base64, out, err) < 0)
        goto fail;
    if (out->len > max_bytes) {
        err_set(err, VLMD_TOO_LARGE, NULL, "the data URI holds more than %zu bytes", max_bytes);
        goto fail;
    }
    return 0;
fail:
    data_uri_free(out);
    return -1;
}

void data_uri_free(struct data_uri *uri)
{
    free(uri->bytes);
    *uri = (struct data_uri){0};
}
