#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tokenizer/regex.h"

/* Pieces joined by '|'. */
static int join(void *context, const char *text, size_t len, struct vlmd_error *err)
{
    struct buf *out = context;
    (void)err;
    if (out->len)
        buf_append_char(out, '|');
    return buf_append(out, text, len);
}

static void splits(const char *pattern, enum regex_pieces which, const char *text,
                   const char *expected)
{
    struct vlmd_error err = {0};
    struct buf out = {0};
    struct regex *r = regex_compile(pattern, strlen(pattern), &err);
    if (!r)
        printf("%s: %s\n", pattern, err.text);
    assert_non_null(r);
    assert_int_equal(regex_split(r, which, text, strlen(text), join, &out, &err), 0);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_free(&out);
    regex_free(r);
}

static void pieces_are_matches_gaps_or_both(void **state)
{
    (void)state;
    splits("\\d+", REGEX_MATCHES_AND_GAPS, "a12b3", "a|12|b|3");
    splits("\\d+", REGEX_MATCHES, "a12b3", "12|3");
    splits("\\d+", REGEX_GAPS, "a12b3", "a|b");
    splits("x", REGEX_MATCHES_AND_GAPS, "abc", "abc");
    splits("x", REGEX_MATCHES, "abc", "");
    splits("a", REGEX_GAPS, "aaa", "");
    splits("a", REGEX_MATCHES_AND_GAPS, "", "");
}

/* Expected values are those of `tokenizers` 0.23.3 (Split, Isolated). */
static void empty_matches_cut_the_text(void **state)
{
    (void)state;
    splits("(?=x)", REGEX_MATCHES_AND_GAPS, "abxcxx", "ab|xc|x|x");
    splits("b*", REGEX_MATCHES_AND_GAPS, "abba\xC3\xA9", "a|bb|a|\xC3\xA9");
}

static void meaning_is_onigurumas(void **state)
{
    (void)state;
    /* U+180E is no space, U+0085 and U+2003 are */
    splits("\\s+", REGEX_MATCHES_AND_GAPS,
           "a\xE1\xA0\x8E"
           "b\xC2\x85\xE2\x80\x83"
           "c",
           "a\xE1\xA0\x8E"
           "b|\xC2\x85\xE2\x80\x83|c");
    splits("[^\\s\\p{L}]+", REGEX_MATCHES,
           "a\xE1\xA0\x8E"
           "1 b",
           "\xE1\xA0\x8E"
           "1");
    splits("\\S+", REGEX_MATCHES,
           " a\xE1\xA0\x8E"
           "b\xE3\x80\x80"
           "c",
           "a\xE1\xA0\x8E"
           "b|c");
    /* letters and digits newer than Unicode 14: U+1C89, U+31350, U+10D40, U+11F50 */
    splits("\\p{L}+", REGEX_MATCHES,
           "a\xE1\xB2\x89\xF0\xB1\x8D\x90"
           "1",
           "a\xE1\xB2\x89\xF0\xB1\x8D\x90");
    splits("\\p{N}", REGEX_MATCHES, "\xF0\x90\xB5\x80\xF0\x91\xBD\x90",
           "\xF0\x90\xB5\x80|\xF0\x91\xBD\x90");
    splits("\\P{L}+", REGEX_MATCHES, "a1\xE1\xB2\x89-", "1|-");
    splits("\\p{^N}+", REGEX_MATCHES, "a1b", "a|b");
    splits("[\\p{Lu}-]+", REGEX_MATCHES, "A-\xE1\xB2\x89z", "A-\xE1\xB2\x89");
    splits("[\\s-]+", REGEX_MATCHES, "a -b", " -");
    splits("^b", REGEX_MATCHES, "b\nb", "b|b"); /* lines, always */
    splits("a$", REGEX_MATCHES, "a\na", "a|a");
    splits("\\h+", REGEX_MATCHES, "xbeefz", "beef"); /* hexadecimal digits */
    splits("\\v", REGEX_MATCHES, "a\n\x0B", "\x0B");
    splits("\\u00e9|\\x{e4}|\\x41", REGEX_MATCHES,
           "\xC3\xA9\xC3\xA4"
           "A",
           "\xC3\xA9|\xC3\xA4|A");
    splits("(?i:'s|k)", REGEX_MATCHES, "'S'\xC5\xBF\xE2\x84\xAA", "'S|'\xC5\xBF|\xE2\x84\xAA");
    splits("(?i)AB|c", REGEX_MATCHES, "abC", "ab|C");
    splits("(a)(b)", REGEX_MATCHES, "abab", "ab|ab");
    splits("a{2,3}?", REGEX_MATCHES, "aaaa", "aa|aa");
    splits("\\{[\\]\\[]", REGEX_MATCHES, "{]{[", "{]|{[");
}

static void what_has_no_translation_is_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "\\bword",
        "\\w+",
        "\\W",
        "[\\w]",
        "a{2}+",
        "a{1,2}+",
        "a{2}?",
        "a{,2}",
        "{",
        "[a[b]]",
        "[a&&b]",
        "[[:alpha:]]",
        "[]a]",
        "(?m:a)",
        "(?s)a",
        "a(?i)b",
        "(?<n>a)",
        "(a)\\1",
        "\\p{Han}",
        "\\pL",
        "[\\P{L}]",
        "[^\\S]",
        "\\xe9",
        "\\u00g0",
        "\\x{110000}",
        "(?i:ss)",
        "(?i:FI)",
        "(?i:\xC3\x9F)",
        "(?i:\\p{Lu})",
        "\\K",
        "\\G",
        "\\R",
        "\\X",
        "a)",
        "[a",
        "\\",
        "[\\",
        "\\p{",
        "\\x{",
        "\\u12",
        "(?#a)",
        "\\p{C}",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct vlmd_error err = {0};
        struct regex *r = regex_compile(patterns[i], strlen(patterns[i]), &err);
        if (r || err.code != VLMD_UNSUPPORTED)
            printf("%s: %s\n", patterns[i], err.text);
        assert_null(r);
        assert_int_equal(err.code, VLMD_UNSUPPORTED);
        assert_string_equal(err.field, "Regex");
    }
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(a", "a**(", "[b-a]", "(?<=a+)b", "+"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct vlmd_error err = {0};
        assert_null(regex_compile(patterns[i], strlen(patterns[i]), &err));
        assert_int_equal(err.code, VLMD_FORMAT);
    }
    struct vlmd_error err = {0};
    assert_null(regex_compile("", 0, &err));
    assert_int_equal(err.code, VLMD_INVALID);
    assert_null(regex_compile("a\0b", 3, &err));
    assert_int_equal(err.code, VLMD_INVALID);
}

static void endless_backtracking_ends(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct regex *r = regex_compile("(?:a|a)+[bc]", 12, &err);
    char text[64];
    memset(text, 'a', sizeof text);
    assert_non_null(r);
    assert_int_equal(regex_split(r, REGEX_MATCHES, text, sizeof text, join, NULL, &err), -1);
    assert_int_equal(err.code, VLMD_TOO_LARGE);
    assert_string_equal(err.field, "text");
    regex_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_matches_gaps_or_both),
        cmocka_unit_test(empty_matches_cut_the_text),
        cmocka_unit_test(meaning_is_onigurumas),
        cmocka_unit_test(what_has_no_translation_is_refused),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(endless_backtracking_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
