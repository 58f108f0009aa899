#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/text_stream.h"

static uint64_t xorshift(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static vlmd_text_stream *make(const char *const *stops, size_t n)
{
    struct vlmd_error err = {0};
    vlmd_text_stream *stream = text_stream_create(NULL, stops, n, &err);
    assert_non_null(stream);
    return stream;
}

/* Pushes bytes and expects this text and answer. */
static void push(vlmd_text_stream *stream, const char *bytes, int stopped, const char *expected)
{
    const char *text;
    size_t len;
    assert_int_equal(text_stream_push_bytes(stream, bytes, strlen(bytes), &text, &len, NULL),
                     stopped);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
}

static void finish(vlmd_text_stream *stream, const char *expected)
{
    const char *text;
    size_t len;
    assert_true(vlmd_text_stream_finish(stream, &text, &len, NULL) >= 0);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
}

/* ---- examples */

static void characters_stay_whole(void **state)
{
    (void)state;
    vlmd_text_stream *stream = make(NULL, 0);
    push(stream, "a\xF0", 0, "a");
    push(stream, "\x9F\x98", 0, "");
    push(stream, "\x80z\xC3", 0, "\xF0\x9F\x98\x80z");
    finish(stream, "\xEF\xBF\xBD");
    finish(stream, "");
    vlmd_text_stream_close(stream);
}

/* Expected values are Python's bytes.decode("utf-8", "replace"). */
static void bad_bytes_become_replacement_characters(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\x80", "?"},
        {"\xC3(", "?("},
        {"\xE2\x82(", "?("},
        {"\xE2(\xA1", "?(?"},
        {"\xF0\x90\x8Cz", "?z"},
        {"\xED\xA0\x80", "???"},
        {"\xC0\xAF", "??"},
        {"\xF5\x80\x80\x80", "????"},
        {"\xF4\x90\x80\x80", "????"},
        {"\xE2\x82\xE2\x82\xAC", "?\xE2\x82\xAC"},
        {"\xFF\xFEok", "??ok"},
        {"\xF0\x9F\xF0\x9F\x98\x80", "?\xF0\x9F\x98\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf expected = {0};
        for (const char *c = cases[i][1]; *c; c++)
            *c == '?' ? buf_append_text(&expected, "\xEF\xBF\xBD") : buf_append_char(&expected, *c);
        vlmd_text_stream *stream = make(NULL, 0);
        struct buf got = {0};
        for (const char *c = cases[i][0]; *c; c++) {
            const char *text;
            size_t len;
            assert_int_equal(text_stream_push_bytes(stream, c, 1, &text, &len, NULL), 0);
            buf_append(&got, text, len);
        }
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.data, expected.data, got.len);
        finish(stream, "");
        vlmd_text_stream_close(stream);
        buf_free(&expected);
        buf_free(&got);
    }
}

static void stops_end_the_text_before_them(void **state)
{
    (void)state;
    const char *stops[] = {"</s>", "\n\nUser:", "\xE4\xB8\xAD"};
    vlmd_text_stream *stream = make(stops, 3);
    push(stream, "a <", 0, "a ");
    push(stream, "/x \n", 0, "</x ");
    push(stream, "\n\nUse", 0, "\n");
    push(stream, "d \xE4\xB8", 0, "\n\nUsed ");
    push(stream, "\xAD more", 1, "");
    push(stream, "more", 1, "");
    finish(stream, "");
    vlmd_text_stream_close(stream);
}

static void of_overlapping_stops_the_first_complete_counts(void **state)
{
    (void)state;
    const char *stops[] = {"abcd", "bc", "xbc"};
    vlmd_text_stream *stream = make(stops, 3);
    push(stream, "zab", 0, "z");
    push(stream, "cd", 1, "a");
    vlmd_text_stream_close(stream);
    stream = make(stops, 3);
    push(stream, "axb", 0, "a");
    push(stream, "c", 1, "");
    vlmd_text_stream_close(stream);
}

static void held_text_comes_at_the_end(void **state)
{
    (void)state;
    const char *stops[] = {"aaab"};
    vlmd_text_stream *stream = make(stops, 1);
    push(stream, "aaaa", 0, "a");
    push(stream, "aa", 0, "aa");
    finish(stream, "aaa");
    vlmd_text_stream_close(stream);
}

static void bad_stops_are_named(void **state)
{
    (void)state;
    static char longer[TEXT_STREAM_MAX_STOP_BYTES + 2];
    memset(longer, 'a', sizeof longer - 1);
    const char *bad[] = {"", "\xC3", longer};
    for (size_t i = 0; i < 3; i++) {
        const char *stops[] = {"fine", bad[i]};
        struct vlmd_error err = {0};
        assert_null(text_stream_create(NULL, stops, 2, &err));
        assert_int_equal(err.code, VLMD_INVALID);
        assert_string_equal(err.field, "stop[1]");
    }
    const char *many[TEXT_STREAM_MAX_STOPS + 1];
    for (size_t i = 0; i < TEXT_STREAM_MAX_STOPS + 1; i++)
        many[i] = "x";
    struct vlmd_error err = {0};
    assert_null(text_stream_create(NULL, many, TEXT_STREAM_MAX_STOPS + 1, &err));
    assert_string_equal(err.field, "stop");
}

/* ---- random texts, cut at random, against the obvious way of doing it */

/* The longest beginning of text[0..len) that is a character cut short or, if that is none, 1. */
static size_t bad_run(const char *text, size_t len)
{
    uint32_t point;
    for (size_t n = len < 3 ? len : 3; n > 1; n--) {
        if (utf8_decode(text, n, &point) == 0)
            return n;
    }
    return 1;
}

static void decode_lossy(const struct buf *bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes->len;) {
        uint32_t point;
        int n = utf8_decode(bytes->data + i, bytes->len - i, &point);
        if (n > 0)
            buf_append(out, bytes->data + i, (size_t)n);
        else
            buf_append_text(out, "\xEF\xBF\xBD");
        i += n > 0 ? (size_t)n : bad_run(bytes->data + i, bytes->len - i);
    }
}

/* Cuts the text where the first stop string to be complete begins. */
static bool cut_at_stop(struct buf *text, const char *const *stops, size_t n_stops)
{
    for (size_t end = 1; end <= text->len; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n_stops; i++) {
            size_t len = strlen(stops[i]);
            if (len <= end && len > longest && memcmp(text->data + end - len, stops[i], len) == 0)
                longest = len;
        }
        if (longest) {
            text->len = end - longest;
            return true;
        }
    }
    return false;
}

/* True when all of `text` but what may still change was sent. */
static bool nothing_withheld(const struct buf *sent, const struct buf *whole,
                             const char *const *stops, size_t n_stops)
{
    size_t held = whole->len - sent->len;
    if (held == 0)
        return true;
    for (size_t i = 0; i < n_stops; i++) {
        if (strlen(stops[i]) > held && memcmp(whole->data + sent->len, stops[i], held) == 0)
            return true;
    }
    return false;
}

static void random_bytes(uint64_t *random, struct buf *out)
{
    static const char *const parts[] = {
        "a",        "b",    "ab",   "\xC3\xA9",     "\xE4\xB8\xAD", "\xF0\x9F\x98\x80",
        "\xF0\x9F", "\x98", "\xE4", "\xEF\xBF\xBD", "\xFF",         "a",
        "b"};
    size_t n = xorshift(random) % 24;
    for (size_t i = 0; i < n; i++)
        buf_append_text(out, parts[xorshift(random) % (sizeof parts / sizeof parts[0])]);
}

static void one_random_text(uint64_t *random)
{
    static const char *const all[] = {"ab",   "aab",          "b\xC3\xA9",    "\xC3\xA9",
                                      "abab", "\xE4\xB8\xAD", "\xEF\xBF\xBD", "ba\xF0\x9F\x98\x80"};
    const char *stops[3];
    size_t n_stops = xorshift(random) % 4;
    for (size_t i = 0; i < n_stops; i++)
        stops[i] = all[xorshift(random) % (sizeof all / sizeof all[0])];
    struct buf bytes = {0}, expected = {0}, got = {0};
    random_bytes(random, &bytes);
    decode_lossy(&bytes, &expected);
    bool stops_there = cut_at_stop(&expected, stops, n_stops);

    vlmd_text_stream *stream = make(stops, n_stops);
    const char *text;
    size_t len;
    bool stopped = false;
    for (size_t at = 0; at < bytes.len && !stopped;) {
        size_t n = 1 + xorshift(random) % 5;
        n = n < bytes.len - at ? n : bytes.len - at;
        stopped = text_stream_push_bytes(stream, bytes.data + at, n, &text, &len, NULL) == 1;
        at += n;
        assert_true(utf8_valid(text, len));
        buf_append(&got, text, len);
        struct buf so_far = {.data = bytes.data, .len = utf8_complete_prefix(bytes.data, at)};
        struct buf whole = {0};
        decode_lossy(&so_far, &whole);
        if (!stopped)
            assert_true(nothing_withheld(&got, &whole, stops, n_stops));
        buf_free(&whole);
    }
    assert_true(vlmd_text_stream_finish(stream, &text, &len, NULL) >= 0);
    buf_append(&got, text, len);
    assert_true(stops_there || !stopped);
    assert_int_equal(got.len, expected.len);
    if (got.len)
        assert_memory_equal(got.data, expected.data, got.len);
    vlmd_text_stream_close(stream);
    buf_free(&bytes);
    buf_free(&expected);
    buf_free(&got);
}

static void random_cuts_change_nothing(void **state)
{
    (void)state;
    uint64_t random = 2024;
    for (int i = 0; i < 50000; i++)
        one_random_text(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(bad_bytes_become_replacement_characters),
        cmocka_unit_test(stops_end_the_text_before_them),
        cmocka_unit_test(of_overlapping_stops_the_first_complete_counts),
        cmocka_unit_test(held_text_comes_at_the_end),
        cmocka_unit_test(bad_stops_are_named),
        cmocka_unit_test(random_cuts_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
