/* Strings that know where each of their bytes came from.
 *
 * A byte is trusted when it stands in the template itself (or is a bos/eos token of the
 * checkpoint), untrusted when it came with a message. Only trusted bytes may later be read as
 * special tokens. Every operation carries the marks along; where a result mixes both kinds in one
 * byte, untrusted wins. Texts are immutable, valid UTF-8, and live as long as their workspace.
 * Indices that templates see count code points, as Python's str does; those here count bytes. */
#pragma once

#include "chat/workspace.h"

struct text {
    const char *bytes;
    size_t len;
    const uint8_t *marks; /* one byte for each: 1 trusted, 0 not; NULL: all are `trusted` */
    bool trusted;
};

/* A piece of text without memory of its own: wraps `bytes`, which must outlive the use. */
struct text text_view(const char *bytes, size_t len, bool trusted);
/* The same as an object of the workspace; the bytes are borrowed. NULL with the error set. */
const struct text *text_new(struct workspace *ws, const char *bytes, size_t len, bool trusted);
const struct text *text_slice(struct workspace *ws, const struct text *text, size_t from,
                              size_t len);

bool text_all_trusted(const struct text *text);
bool text_equal(const struct text *a, const struct text *b); /* bytes only, not marks */
bool text_is(const struct text *text, const char *string);
int text_compare(const struct text *a, const struct text *b); /* by code points: <0, 0, >0 */
size_t text_length(const struct text *text);                  /* code points */
/* The byte where code point number `index` begins; text->len when there are fewer. */
size_t text_offset(const struct text *text, size_t index);
/* First (last) place of `needle` at or after `from`; SIZE_MAX when there is none. */
size_t text_find(const struct text *text, const struct text *needle, size_t from);
size_t text_rfind(const struct text *text, const struct text *needle);
bool text_starts_with(const struct text *text, const struct text *prefix);
bool text_ends_with(const struct text *text, const struct text *suffix);

/* str.isspace of Python for one character. */
bool text_is_space(uint32_t code_point);
/* The character at byte `at`, and its length. */
uint32_t text_char(const struct text *text, size_t at, size_t *len);
/* Removes whitespace, or any character of `chars` when that is not NULL. */
const struct text *text_strip(struct workspace *ws, const struct text *text,
                              const struct text *chars, bool left, bool right);
/* Replaces at most `limit` places (all when negative). What takes the place of untrusted bytes is
 * itself untrusted, so a message cannot make the template write a special token for it. */
const struct text *text_replace(struct workspace *ws, const struct text *text,
                                const struct text *old, const struct text *new, int64_t limit);

enum text_case {
    TEXT_UPPER,
    TEXT_LOWER,
    TEXT_CAPITALIZE,   /* first character title case, the rest lower */
    TEXT_TITLE,        /* str.title: every run of letters */
    TEXT_TITLE_FILTER, /* Jinja's title: every run behind a space or one of - ( { [ < */
};
const struct text *text_change_case(struct workspace *ws, const struct text *text,
                                    enum text_case how);

/* Collects text. Failures stay until text_builder_done, which then returns NULL. */
struct text_builder {
    struct workspace *ws;
    char *bytes;
    uint8_t *marks;
    size_t len, cap;
    size_t limit; /* 0: none but the workspace's */
    bool any_trusted, any_untrusted, failed;
};

void text_builder_open(struct text_builder *builder, struct workspace *ws);
int text_builder_add(struct text_builder *builder, const struct text *text);
int text_builder_add_bytes(struct text_builder *builder, const char *bytes, size_t len,
                           bool trusted);
int text_builder_add_char(struct text_builder *builder, uint32_t code_point, bool trusted);
const struct text *text_builder_done(struct text_builder *builder);
