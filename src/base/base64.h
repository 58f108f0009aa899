/* Base64 as RFC 4648 section 4 has it: the standard alphabet, zero bits behind the last byte, and
 * padding that is either whole or absent. Anything else is refused with the place where it stands.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    BASE64_SPACES = 1, /* space, tab, CR and LF are skipped wherever they stand (MIME, PEM) */
};

/* Bytes that `len` characters can hold at most. */
size_t base64_decoded_max(size_t len);

/* Decodes text[0..len) to out, which has room for base64_decoded_max(len) bytes and may be the text
 * itself. Returns 0 and sets *out_len; -1 sets *bad_at to the offset of the first character that
 * does not belong (len when the text ends too early). */
int base64_decode(const char *text, size_t len, unsigned flags, uint8_t *out, size_t *out_len,
                  size_t *bad_at);
