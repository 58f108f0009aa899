#include "chat/text.h"

#include <string.h>
#include <utf8proc.h>

#include "base/checked.h"
#include "base/utf8.h"

struct text text_view(const char *bytes, size_t len, bool trusted)
{
    return (struct text){.bytes = bytes, .len = len, .trusted = trusted};
}

const struct text *text_new(struct workspace *ws, const char *bytes, size_t len, bool trusted)
{
    struct text *text = workspace_alloc(ws, sizeof *text);
    if (text)
        *text = text_view(bytes, len, trusted);
    return text;
}

const struct text *text_slice(struct workspace *ws, const struct text *text, size_t from,
                              size_t len)
{
    if (from == 0 && len == text->len)
        return text;
    struct text *slice = workspace_alloc(ws, sizeof *slice);
    if (!slice)
        return NULL;
    *slice = text_view(text->bytes + from, len, text->trusted);
    if (text->marks)
        slice->marks = text->marks + from;
    return slice;
}

static bool trusted_at(const struct text *text, size_t at)
{
    return text->marks ? text->marks[at] : text->trusted;
}

static bool trusted_between(const struct text *text, size_t from, size_t end)
{
    if (!text->marks)
        return text->trusted;
    return !memchr(text->marks + from, 0, end - from);
}

bool text_all_trusted(const struct text *text)
{
    return trusted_between(text, 0, text->len);
}

bool text_equal(const struct text *a, const struct text *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool text_is(const struct text *text, const char *string)
{
    return text->len == strlen(string) && memcmp(text->bytes, string, text->len) == 0;
}

int text_compare(const struct text *a, const struct text *b)
{
    /* The order of UTF-8 bytes is the order of code points. */
    size_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, len);
    if (order != 0)
        return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

static bool begins_char(const struct text *text, size_t at)
{
    return ((unsigned char)text->bytes[at] & 0xC0) != 0x80;
}

size_t text_length(const struct text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += begins_char(text, i);
    return n;
}

size_t text_offset(const struct text *text, size_t index)
{
    size_t at = 0;
    for (; at < text->len; at++) {
        if (begins_char(text, at) && index-- == 0)
            return at;
    }
    return at;
}

size_t text_find(const struct text *text, const struct text *needle, size_t from)
{
    if (from > text->len)
        return SIZE_MAX;
    if (needle->len == 0)
        return from;
    const char *hit = memmem(text->bytes + from, text->len - from, needle->bytes, needle->len);
    return hit ? (size_t)(hit - text->bytes) : SIZE_MAX;
}

size_t text_rfind(const struct text *text, const struct text *needle)
{
    for (size_t at = text->len + 1; at-- > 0;) {
        if (text->len - at >= needle->len && !memcmp(text->bytes + at, needle->bytes, needle->len))
            return at;
    }
    return SIZE_MAX;
}

bool text_starts_with(const struct text *text, const struct text *prefix)
{
    return text->len >= prefix->len && memcmp(text->bytes, prefix->bytes, prefix->len) == 0;
}

bool text_ends_with(const struct text *text, const struct text *suffix)
{
    return text->len >= suffix->len &&
           memcmp(text->bytes + text->len - suffix->len, suffix->bytes, suffix->len) == 0;
}

bool text_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

uint32_t text_char(const struct text *text, size_t at, size_t *len)
{
    uint32_t c = 0;
    int n = utf8_decode(text->bytes + at, text->len - at, &c);
    *len = n > 0 ? (size_t)n : 1;
    return c;
}

static bool is_stripped(const struct text *text, size_t at, size_t *len, const struct text *chars)
{
    uint32_t c = text_char(text, at, len);
    if (!chars)
        return text_is_space(c);
    struct text one = text_view(text->bytes + at, *len, false);
    return text_find(chars, &one, 0) != SIZE_MAX;
}

const struct text *text_strip(struct workspace *ws, const struct text *text,
                              const struct text *chars, bool left, bool right)
{
    size_t from = 0, end = text->len, len;
    while (left && from < end && is_stripped(text, from, &len, chars))
        from += len;
    while (right && end > from) {
        size_t last = end - 1;
        while (last > from && !begins_char(text, last))
            last--;
        if (!is_stripped(text, last, &len, chars))
            break;
        end = last;
    }
    if (workspace_spend(ws, (text->len - (end - from)) * (chars ? 8 + chars->len : 8)) < 0)
        return NULL;
    return text_slice(ws, text, from, end - from);
}

static void add_slice(struct text_builder *builder, const struct text *text, size_t from,
                      size_t end)
{
    struct text piece = text_view(text->bytes + from, end - from, text->trusted);
    if (text->marks)
        piece.marks = text->marks + from;
    text_builder_add(builder, &piece);
}

static void add_substitute(struct text_builder *builder, const struct text *new, bool trusted)
{
    if (trusted)
        text_builder_add(builder, new);
    else
        text_builder_add_bytes(builder, new->bytes, new->len, false);
}

/* Python puts `new` before every character and at the end when `old` is empty. */
static const struct text *interleave(struct workspace *ws, const struct text *text,
                                     const struct text *new, int64_t limit)
{
    struct text_builder builder;
    text_builder_open(&builder, ws);
    size_t at = 0, len;
    while (limit != 0 && !builder.failed) {
        add_substitute(&builder, new, text_all_trusted(text));
        limit--;
        if (at == text->len)
            break;
        text_char(text, at, &len);
        add_slice(&builder, text, at, at + len);
        at += len;
    }
    add_slice(&builder, text, at, text->len);
    return text_builder_done(&builder);
}

const struct text *text_replace(struct workspace *ws, const struct text *text,
                                const struct text *old, const struct text *new, int64_t limit)
{
    if (workspace_spend(ws, text->len) < 0)
        return NULL;
    if (old->len == 0)
        return interleave(ws, text, new, limit);
    struct text_builder builder;
    text_builder_open(&builder, ws);
    size_t at = 0;
    for (; limit != 0 && !builder.failed; limit--) {
        size_t hit = text_find(text, old, at);
        if (hit == SIZE_MAX)
            break;
        add_slice(&builder, text, at, hit);
        at = hit + old->len;
        add_substitute(&builder, new, trusted_between(text, hit, at));
    }
    if (at == 0 && !builder.failed)
        return text;
    add_slice(&builder, text, at, text->len);
    return text_builder_done(&builder);
}

static bool separates_words(uint32_t c)
{
    return text_is_space(c) || (c < 0x80 && c != 0 && strchr("-({[<", (int)c));
}

/* Letters with case, for str.title: a letter after another keeps the word going. */
static bool is_cased(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

static void add_upper(struct text_builder *builder, uint32_t c, bool title, bool trusted)
{
    if (c == 0xDF) { /* sharp s: the one common letter that becomes two */
        text_builder_add_bytes(builder, title ? "Ss" : "SS", 2, trusted);
        return;
    }
    utf8proc_int32_t point = (utf8proc_int32_t)c;
    point = title ? utf8proc_totitle(point) : utf8proc_toupper(point);
    text_builder_add_char(builder, (uint32_t)point, trusted);
}

const struct text *text_change_case(struct workspace *ws, const struct text *text,
                                    enum text_case how)
{
    if (workspace_spend(ws, text->len * 8) < 0)
        return NULL;
    struct text_builder builder;
    text_builder_open(&builder, ws);
    bool word = false; /* the character before belongs to the same word */
    size_t len;
    for (size_t at = 0; at < text->len && !builder.failed; at += len) {
        uint32_t c = text_char(text, at, &len);
        bool trusted = trusted_at(text, at);
        if (how == TEXT_UPPER || (how == TEXT_TITLE_FILTER && !word)) {
            add_upper(&builder, c, false, trusted);
        } else if (how != TEXT_LOWER && !word) {
            add_upper(&builder, c, true, trusted);
        } else {
            utf8proc_int32_t lower = utf8proc_tolower((utf8proc_int32_t)c);
            text_builder_add_char(&builder, (uint32_t)lower, trusted);
        }
        if (how == TEXT_TITLE)
            word = is_cased(c);
        else if (how == TEXT_TITLE_FILTER)
            word = !separates_words(c);
        else
            word = true;
    }
    return text_builder_done(&builder);
}

void text_builder_open(struct text_builder *builder, struct workspace *ws)
{
    *builder = (struct text_builder){.ws = ws};
}

static int reserve(struct text_builder *builder, size_t more)
{
    size_t need;
    if (builder->failed)
        return -1;
    if (!checked_add(builder->len, more, &need))
        need = SIZE_MAX / 4;
    if (builder->limit && need > builder->limit) {
        builder->failed = true;
        return workspace_fail_as(builder->ws, VLMD_TOO_LARGE,
                                 "the prompt would be longer than %zu MiB", builder->limit >> 20);
    }
    if (need <= builder->cap)
        return 0;
    size_t cap = builder->cap * 2 > need ? builder->cap * 2 : need + 32;
    char *bytes = workspace_alloc(builder->ws, cap);
    uint8_t *marks = bytes ? workspace_alloc(builder->ws, cap) : NULL;
    if (!marks) {
        builder->failed = true;
        return -1;
    }
    if (builder->len) {
        memcpy(bytes, builder->bytes, builder->len);
        memcpy(marks, builder->marks, builder->len);
    }
    builder->bytes = bytes;
    builder->marks = marks;
    builder->cap = cap;
    return 0;
}

int text_builder_add(struct text_builder *builder, const struct text *text)
{
    if (!text->marks)
        return text_builder_add_bytes(builder, text->bytes, text->len, text->trusted);
    if (reserve(builder, text->len) < 0)
        return -1;
    if (text->len == 0)
        return 0;
    memcpy(builder->bytes + builder->len, text->bytes, text->len);
    memcpy(builder->marks + builder->len, text->marks, text->len);
    builder->len += text->len;
    builder->any_trusted = builder->any_untrusted = true;
    return 0;
}

int text_builder_add_bytes(struct text_builder *builder, const char *bytes, size_t len,
                           bool trusted)
{
    if (reserve(builder, len) < 0)
        return -1;
    if (len == 0)
        return 0;
    memcpy(builder->bytes + builder->len, bytes, len);
    memset(builder->marks + builder->len, trusted, len);
    builder->len += len;
    if (trusted)
        builder->any_trusted = true;
    else
        builder->any_untrusted = true;
    return 0;
}

int text_builder_add_char(struct text_builder *builder, uint32_t code_point, bool trusted)
{
    char bytes[4];
    int len = utf8_encode(code_point, bytes);
    return text_builder_add_bytes(builder, bytes, (size_t)len, trusted);
}

const struct text *text_builder_done(struct text_builder *builder)
{
    if (builder->failed)
        return NULL;
    if (builder->len == 0)
        return text_new(builder->ws, "", 0, true);
    struct text *text = workspace_alloc(builder->ws, sizeof *text);
    if (!text)
        return NULL;
    *text = text_view(builder->bytes, builder->len, builder->any_trusted);
    if (builder->any_trusted && builder->any_untrusted)
        text->marks = builder->marks;
    return text;
}
