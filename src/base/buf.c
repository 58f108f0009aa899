#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t more)
{
    size_t need;
    if (!checked_add(b->len, more, &need) || !checked_add(need, 1, &need)) {
        b->failed = true;
        return -1;
    }
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need) {
        if (!checked_mul(cap, 2, &cap))
            cap = need;
    }
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return -1;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (buf_reserve(b, len) < 0)
        return -1;
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_append_text(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_append_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

/* Written where there is room, and only measured by that where there is not. */
int buf_appendf(struct buf *b, const char *format, ...)
{
    va_list args;
    size_t room = b->cap - b->len;
    va_start(args, format);
    int need = vsnprintf(b->data ? b->data + b->len : NULL, room, format, args);
    va_end(args);
    if (need >= 0 && (size_t)need < room) {
        b->len += (size_t)need;
        return 0;
    }
    if (b->data)
        b->data[b->len] = '\0';
    if (need < 0 || buf_reserve(b, (size_t)need) < 0) {
        b->failed = true;
        return -1;
    }
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)need + 1, format, args);
    va_end(args);
    b->len += (size_t)need;
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    if (len > b->len)
        len = b->len;
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
    b->data[b->len] = '\0';
}
