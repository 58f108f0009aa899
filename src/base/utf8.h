/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at text[0..len). Returns its bytes (1 to 4) and sets *code_point; 0 when
 * the bytes are a valid beginning that `len` cuts short; -1 when they are not UTF-8. len must be at
 * least 1. */
int utf8_decode(const char *text, size_t len, uint32_t *code_point);
/* Writes 1 to 4 bytes to out; returns their number, 0 for a surrogate or a value above U+10FFFF. */
int utf8_encode(uint32_t code_point, char out[4]);
bool utf8_valid(const char *text, size_t len);
/* Bytes of the longest prefix that does not end inside a character. Invalid bytes count as whole.
 */
size_t utf8_complete_prefix(const char *text, size_t len);
