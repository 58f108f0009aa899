/* Unicode as the reference reads it. The `tokenizers` library carries its own Unicode data, newer
 * than PCRE2's for its regexes and older than utf8proc's for NFC; these tables are the difference.
 * Made by tools/fixtures/tokenizer_unicode.py. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code points assigned after Unicode 14 (what PCRE2 10.42 knows) up to the reference's version. */
struct unicode_range {
    uint32_t first, last;
    char category[3]; /* general category: "Lo", "Nd", ... */
};
extern const struct unicode_range unicode_newer[];
extern const size_t unicode_newer_count;

/* Characters that the reference's NFC leaves alone and takes for starters, though later Unicode
 * gives them a combining class or a composition; and U+11A7, which utf8proc 2.8 wrongly drops. */
bool unicode_nfc_inert(uint32_t code_point);

bool unicode_is_space(uint32_t code_point); /* White_Space */
bool unicode_is_word(uint32_t code_point);  /* Alphabetic, M, Nd, Pc or Join_Control */
