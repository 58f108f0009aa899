#include "front/boxes.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[] = {"\"bbox_2d\"", "\"point_2d\""};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

enum fit {
    FITS_NOT,
    FITS_SO_FAR,
    FITS_LIST_OPEN, /* key, colon and bracket are there */
};

/* May this text become `"bbox_2d" : [`? */
static enum fit fit(const char *text, size_t len)
{
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        size_t n = strlen(keys[k]);
        if (len <= n && memcmp(text, keys[k], len) == 0)
            return FITS_SO_FAR;
        if (len < n || memcmp(text, keys[k], n) != 0)
            continue;
        while (n < len && is_space(text[n]))
            n++;
        if (n == len)
            return FITS_SO_FAR;
        if (text[n++] != ':')
            return FITS_NOT;
        while (n < len && is_space(text[n]))
            n++;
        if (n == len)
            return FITS_SO_FAR;
        return text[n] == '[' ? FITS_LIST_OPEN : FITS_NOT;
    }
    return FITS_NOT;
}

static bool of_a_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static bool of_a_list(char c)
{
    return of_a_number(c) || is_space(c) || c == ',' || c == '[' || c == ']';
}

/* Whole numbers stay whole; others keep two places. */
static void append_scaled(const struct boxes *b, const char *number, size_t len, bool is_y,
                          struct buf *out)
{
    char text[32], *end;
    if (len >= sizeof text) {
        buf_append(out, number, len);
        return;
    }
    memcpy(text, number, len);
    text[len] = '\0';
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) {
        buf_append(out, number, len);
        return;
    }
    double most = is_y ? b->height : b->width;
    value = fmin(fmax(value * (is_y ? b->scale_y : b->scale_x), 0), most);
    buf_appendf(out, memchr(number, '.', len) ? "%.2f" : "%.0f", value);
}

/* Appends a list with x and y in turn scaled. */
static void append_list(const struct boxes *b, const char *list, size_t len, struct buf *out)
{
    bool is_y = false;
    for (size_t i = 0; i < len;) {
        size_t n = 0;
        while (i + n < len && of_a_number(list[i + n]))
            n++;
        if (n == 0) {
            buf_append_char(out, list[i++]);
            continue;
        }
        append_scaled(b, list + i, n, is_y, out);
        is_y = !is_y;
        i += n;
    }
}

static void release(struct boxes *b, struct buf *out)
{
    buf_append(out, b->held, b->n_held);
    b->n_held = 0;
    b->depth = 0;
}

static void release_list(struct boxes *b, struct buf *out)
{
    size_t key = (size_t)((const char *)memchr(b->held, '[', b->n_held) - b->held);
    buf_append(out, b->held, key);
    append_list(b, b->held + key, b->n_held - key, out);
    b->n_held = 0;
    b->depth = 0;
}

static void feed(struct boxes *b, char c, struct buf *out)
{
    if (b->depth > 0) {
        b->held[b->n_held++] = c;
        b->depth += (c == '[') - (c == ']');
        if (b->depth == 0)
            release_list(b, out);
        else if (b->n_held == BOXES_HELD || !of_a_list(c))
            release(b, out);
        return;
    }
    if (b->n_held == 0 && c != '"') {
        buf_append_char(out, c);
        return;
    }
    b->held[b->n_held++] = c;
    enum fit how = fit(b->held, b->n_held);
    b->depth = how == FITS_LIST_OPEN;
    if (how == FITS_NOT && c == '"') { /* it may begin a key itself */
        b->n_held--;
        release(b, out);
        b->held[b->n_held++] = c;
    } else if (how == FITS_NOT || b->n_held == BOXES_HELD) {
        release(b, out);
    }
}

void boxes_feed(struct boxes *b, const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++)
        feed(b, text[i], out);
}

void boxes_end(struct boxes *b, struct buf *out)
{
    release(b, out);
}
