/* A growable run of bytes. A failed append leaves the contents as they were and marks the buffer,
 * so that a chain of appends may be checked once at its end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-terminated once anything was appended; the NUL is not counted */
    size_t len;
    size_t cap;
    bool failed; /* an append ran out of memory */
};

void buf_free(struct buf *b);  /* gives the memory back; the buffer is empty and usable again */
void buf_reset(struct buf *b); /* empties it and keeps the memory */
int buf_reserve(struct buf *b,
                size_t more); /* room for `more` bytes after len; -1 without memory */
int buf_append(struct buf *b, const void *bytes, size_t len);
int buf_append_text(struct buf *b, const char *text);
int buf_append_char(struct buf *b, char c);
int buf_appendf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t len); /* drops the first len bytes (at most all) */
