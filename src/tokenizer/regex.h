/* Regular expressions of tokenizer.json files, written for Oniguruma and run by PCRE2. A pattern is
 * translated so that it means the same; what cannot be translated faithfully is refused, by name.
 *
 * The differences, each found by comparing the two over all of Unicode or by reading both manuals:
 *   \s \S       PCRE2 counts U+180E as a space; Oniguruma has White_Space. Written out as a class.
 *   \p{L} ...   PCRE2 10.42 knows Unicode 14, `tokenizers` 0.23 Unicode 16. The categories'
 *               newer members are added to the class (unicode.h). Other properties are refused.
 *   ^ $         match at every line in Oniguruma: PCRE2_MULTILINE.
 *   \h \v \w \b hexadecimal digit, vertical tab, and a wider word in Oniguruma: \h and \v are
 *               written out, \w and \b are refused.
 *   \uHHHH      is \x{HHHH}. \xHH above 7F is a byte in Oniguruma and refused.
 *   (?i:...)    in Oniguruma matches multi-character folds (ss as U+00DF) and folds \p{Lu}; both
 *               are refused inside. (?i) is taken at the very beginning only; (?m), (?s), (?x) are
 *               refused.
 *   a{1,2}+     is a repeated group in Oniguruma and possessive in PCRE2; refused, as are a{2}?
 *               and braces that are no interval.
 *   [a[b]&&c]   nested classes and intersections exist in Oniguruma only; refused.
 *   back references, named groups, \G \K \R \X \N \O: refused; no tokenizer uses them. */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct regex;

enum regex_pieces {
    REGEX_MATCHES_AND_GAPS, /* "Isolated" */
    REGEX_MATCHES,          /* "Removed", inverted */
    REGEX_GAPS,             /* "Removed" */
};

/* Called for each piece in order; -1 with *err ends the splitting. */
typedef int (*regex_piece_fn)(void *context, const char *text, size_t len, struct vlmd_error *err);

/* NULL with *err, whose field is "Regex". The pattern is UTF-8. Freed with regex_free. */
struct regex *regex_compile(const char *pattern, size_t len, struct vlmd_error *err);
void regex_free(struct regex *r); /* NULL is fine */

/* Cuts `text` (valid UTF-8, looked at on its own) along the matches and hands out the non-empty
 * pieces. Fails when `piece` does, or when a match takes too many steps (field "text"). */
int regex_split(const struct regex *r, enum regex_pieces which, const char *text, size_t len,
                regex_piece_fn piece, void *context, struct vlmd_error *err);

/* The translation itself, for tests: a PCRE2 pattern that the caller frees. */
char *regex_translate(const char *pattern, size_t len, struct vlmd_error *err);
