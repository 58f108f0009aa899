#include "tokenizer/normalize.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

#define MAX_DECOMPOSED 4 /* code points that one character decomposes to, canonically */

/* Decomposed characters of a stretch of text. */
struct decomposed {
    utf8proc_int32_t *points;
    size_t len, cap;
};

static int decomposed_reserve(struct decomposed *d, size_t more, struct vlmd_error *err)
{
    if (d->cap - d->len >= more)
        return 0;
    size_t cap = d->cap ? d->cap * 2 : 256; /* bounded by the limit on texts */
    utf8proc_int32_t *points = realloc(d->points, cap * sizeof *points);
    if (!points)
        return err_no_memory(err, cap * sizeof *points);
    d->points = points;
    d->cap = cap;
    return 0;
}

static uint8_t combining_class(utf8proc_int32_t point)
{
    return (uint8_t)utf8proc_get_property(point)->combining_class;
}

/* Canonical order of one run of combining marks: a stable counting sort by combining class.
 * utf8proc's own is an insertion sort, quadratic in a run that an attacker may make long. */
static int order_run(utf8proc_int32_t *run, size_t n, struct vlmd_error *err)
{
    bool ordered = true;
    for (size_t i = 1; i < n && ordered; i++)
        ordered = combining_class(run[i - 1]) <= combining_class(run[i]);
    if (ordered)
        return 0;
    utf8proc_int32_t *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return err_no_memory(err, n * sizeof *sorted);
    size_t place[257] = {0};
    for (size_t i = 0; i < n; i++)
        place[combining_class(run[i]) + 1]++;
    for (size_t c = 1; c < 257; c++)
        place[c] += place[c - 1];
    for (size_t i = 0; i < n; i++)
        sorted[place[combining_class(run[i])]++] = run[i];
    memcpy(run, sorted, n * sizeof *sorted);
    free(sorted);
    return 0;
}

static int order_marks(struct decomposed *d, struct vlmd_error *err)
{
    for (size_t i = 0; i < d->len;) {
        size_t end = i;
        while (end < d->len && combining_class(d->points[end]) != 0)
            end++;
        if (end - i > 1 && order_run(d->points + i, end - i, err) < 0)
            return -1;
        i = end + 1;
    }
    return 0;
}

static int append_point(struct buf *out, uint32_t point, struct vlmd_error *err)
{
    char bytes[4];
    int n = utf8_encode(point, bytes);
    if (buf_append(out, bytes, (size_t)n) < 0)
        return err_no_memory(err, out->len + 4);
    return 0;
}

/* Orders, composes and writes what was decomposed so far. */
static int flush(struct decomposed *d, struct buf *out, struct vlmd_error *err)
{
    if (d->len == 0)
        return 0;
    if (order_marks(d, err) < 0)
        return -1;
    utf8proc_ssize_t n = utf8proc_normalize_utf32(d->points, (utf8proc_ssize_t)d->len,
                                                  UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    d->len = 0;
    if (n < 0)
        return err_set(err, VLMD_INTERNAL, "text", "normalization failed: %s", utf8proc_errmsg(n));
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (append_point(out, (uint32_t)d->points[i], err) < 0)
            return -1;
    }
    return 0;
}

static int decompose(struct decomposed *d, uint32_t point, struct vlmd_error *err)
{
    if (decomposed_reserve(d, MAX_DECOMPOSED, err) < 0)
        return -1;
    int last_boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        (utf8proc_int32_t)point, d->points + d->len, (utf8proc_ssize_t)(d->cap - d->len),
        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &last_boundary);
    if (n < 0 || (size_t)n > d->cap - d->len)
        return err_set(err, VLMD_INTERNAL, "text", "U+%04X does not decompose", (unsigned)point);
    d->len += (size_t)n;
    return 0;
}

/* Bytes of the longest prefix in which every character is below U+0300: nothing there changes,
 * but the last of them may compose with what follows and is left out. */
static size_t plain_prefix(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && (unsigned char)text[i] < 0xCC) /* 0xCC begins U+0300 */
        i++;
    if (i == len)
        return len;
    while (i > 0 && ((unsigned char)text[--i] & 0xC0) == 0x80)
        ;
    return i;
}

int normalize_nfc(const char *text, size_t len, struct buf *out, struct vlmd_error *err)
{
    struct decomposed d = {0};
    int result = -1;
    size_t i = plain_prefix(text, len);
    if (buf_append(out, text, i) < 0) {
        err_no_memory(err, len);
        goto out;
    }
    while (i < len) {
        uint32_t point;
        int n = utf8_decode(text + i, len - i, &point);
        if (n <= 0) {
            err_set(err, VLMD_INVALID, "text", "the text is not UTF-8 (byte %zu)", i);
            goto out;
        }
        i += (size_t)n;
        if (unicode_nfc_inert(point)) {
            if (flush(&d, out, err) < 0 || append_point(out, point, err) < 0)
                goto out;
        } else if (decompose(&d, point, err) < 0) {
            goto out;
        }
        /* plain text composes with nothing before it: write what there is and copy */
        size_t plain = plain_prefix(text + i, len - i);
        if (plain == 0)
            continue;
        if (flush(&d, out, err) < 0)
            goto out;
        if (buf_append(out, text + i, plain) < 0) {
            err_no_memory(err, len);
            goto out;
        }
        i += plain;
    }
    result = flush(&d, out, err);
out:
    free(d.points);
    return result;
}
