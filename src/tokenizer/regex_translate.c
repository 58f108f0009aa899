#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode.h"

#define MAX_PATTERN  65536
#define NOT_CASELESS (-1)

/* White_Space, as members of a class. Ends with a range, so that a hyphen behind it is literal. */
static const char SPACES[] = "\\t-\\r\\x20\\x85\\xA0\\x{1680}\\x{2028}\\x{2029}\\x{202F}"
                             "\\x{205F}\\x{3000}\\x{2000}-\\x{200A}";

struct translation {
    const char *in;
    size_t len;
    size_t pos;
    struct buf out;
    int depth;          /* open groups */
    int caseless_depth; /* the group that began with (?i:, or NOT_CASELESS */
    struct vlmd_error *err;
};

static int refuse(struct translation *t, const char *what)
{
    return err_set(t->err, VLMD_UNSUPPORTED, "Regex",
                   "the pattern's %s (at byte %zu) has no faithful translation", what, t->pos);
}

static char peek(const struct translation *t, size_t ahead)
{
    return t->len - t->pos > ahead ? t->in[t->pos + ahead] : '\0';
}

static bool looking_at(const struct translation *t, const char *text)
{
    size_t n = strlen(text);
    return t->len - t->pos >= n && memcmp(t->in + t->pos, text, n) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Out of memory shows in out.failed, which regex_translate looks at once. */
static void emit(struct translation *t, const char *text)
{
    buf_append_text(&t->out, text);
}

static void copy(struct translation *t, size_t n)
{
    buf_append(&t->out, t->in + t->pos, n);
    t->pos += n;
}

/* ---- escapes */

static void emit_newer_members(struct translation *t, const char *category)
{
    size_t n = strlen(category);
    uint32_t first = 0, last = 0;
    bool open = false;
    for (size_t i = 0; i < unicode_newer_count; i++) {
        const struct unicode_range *r = &unicode_newer[i];
        if (strncmp(r->category, category, n) != 0)
            continue;
        if (open && r->first == last + 1) {
            last = r->last;
            continue;
        }
        if (open)
            buf_appendf(&t->out, "\\x{%X}-\\x{%X}", (unsigned)first, (unsigned)last);
        first = r->first;
        last = r->last;
        open = true;
    }
    if (open)
        buf_appendf(&t->out, "\\x{%X}-\\x{%X}", (unsigned)first, (unsigned)last);
}

/* \p{..}, \P{..}, \p{^..} of a general category */
static int translate_property(struct translation *t, bool in_class)
{
    bool negated = peek(t, 1) == 'P';
    size_t at = 3;
    if (peek(t, 2) != '{')
        return refuse(t, "\\p without braces");
    if (peek(t, at) == '^') {
        negated = !negated;
        at++;
    }
    char name[3] = {peek(t, at), 0, 0};
    if (peek(t, at + 1) != '}')
        name[1] = peek(t, ++at);
    if (peek(t, at + 1) != '}' || !strchr("LMNPSZ", name[0]) || name[0] == '\0')
        return refuse(t, "property (only L, M, N, P, S, Z and their parts are known)");
    if (negated && in_class)
        return refuse(t, "negated property inside brackets");
    if (t->caseless_depth != NOT_CASELESS && name[0] == 'L' && name[1] != '\0')
        return refuse(t, "property of case inside (?i:...)");
    if (!in_class)
        emit(t, negated ? "[^" : "[");
    buf_appendf(&t->out, "\\p{%s}", name);
    emit_newer_members(t, name);
    if (!in_class)
        emit(t, "]");
    t->pos += at + 2;
    return 0;
}

/* A set given by its members, or all but these. */
static int translate_set(struct translation *t, const char *members, bool negated, bool in_class)
{
    if (in_class && negated)
        return refuse(t, "negated set inside brackets");
    if (!in_class)
        emit(t, negated ? "[^" : "[");
    emit(t, members);
    if (!in_class)
        emit(t, "]");
    t->pos += 2;
    return 0;
}

/* \uHHHH, \xHH, \x{H...}; `at` is where the digits begin */
static int translate_code_point(struct translation *t, size_t at)
{
    bool braces = peek(t, 1) == 'x' && peek(t, at) == '{';
    size_t max = braces ? 6 : peek(t, 1) == 'x' ? 2 : 4;
    size_t n = 0;
    uint32_t value = 0;
    if (braces)
        at++;
    while (n < max && hex_value(peek(t, at + n)) >= 0)
        value = value << 4 | (uint32_t)hex_value(peek(t, at + n++));
    if (n == 0 || (!braces && n != max) || (braces && peek(t, at + n) != '}') || value > 0x10FFFF)
        return refuse(t, "numeric escape");
    if (peek(t, 1) == 'x' && !braces && value > 0x7F)
        return refuse(t, "byte above 7F");
    buf_appendf(&t->out, "\\x{%X}", (unsigned)value);
    t->pos += at + n + (braces ? 1 : 0);
    return 0;
}

static int translate_digit(struct translation *t, bool in_class)
{
    struct translation members = {0};
    emit(&members, "\\p{Nd}");
    emit_newer_members(&members, "Nd");
    int result = members.out.failed
                     ? err_no_memory(t->err, members.out.len)
                     : translate_set(t, members.out.data, peek(t, 1) == 'D', in_class);
    buf_free(&members.out);
    return result;
}

static int translate_escape(struct translation *t, bool in_class)
{
    char c = peek(t, 1);
    switch (c) {
    case 'p':
    case 'P':
        return translate_property(t, in_class);
    case 's':
    case 'S':
        return translate_set(t, SPACES, c == 'S', in_class);
    case 'h':
    case 'H':
        return translate_set(t, "0-9A-Fa-f", c == 'H', in_class);
    case 'd':
    case 'D':
        return translate_digit(t, in_class);
    case 'v':
        emit(t, "\\x0B");
        t->pos += 2;
        return 0;
    case 'u':
    case 'x':
        return translate_code_point(t, 2);
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e':
        copy(t, 2);
        return 0;
    case 'A':
    case 'z':
    case 'Z':
        if (in_class)
            return refuse(t, "escape");
        copy(t, 2);
        return 0;
    default:
        if (c < 0x21 || c > 0x7E || is_letter(c) || is_digit(c))
            return refuse(t, "escape");
        copy(t, 2);
        return 0;
    }
}

/* ---- classes, groups, repeats */

static int translate_class(struct translation *t)
{
    copy(t, 1);
    if (peek(t, 0) == '^')
        copy(t, 1);
    if (peek(t, 0) == ']')
        return refuse(t, "empty class");
    while (t->pos < t->len) {
        if (looking_at(t, "&&"))
            return refuse(t, "class intersection");
        int result = 0;
        switch (peek(t, 0)) {
        case ']':
            copy(t, 1);
            return 0;
        case '[':
            return refuse(t, "nested class");
        case '\\':
            result = translate_escape(t, true);
            break;
        default:
            copy(t, 1);
        }
        if (result < 0)
            return -1;
    }
    return refuse(t, "unclosed class");
}

static int translate_group(struct translation *t)
{
    static const char *const plain[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    t->depth++;
    if (peek(t, 1) != '?') {
        emit(t, "(?:"); /* nothing refers to groups */
        t->pos++;
        return 0;
    }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (looking_at(t, plain[i])) {
            copy(t, strlen(plain[i]));
            return 0;
        }
    }
    if (!looking_at(t, "(?i:"))
        return refuse(t, "group");
    if (t->caseless_depth == NOT_CASELESS)
        t->caseless_depth = t->depth;
    copy(t, 4);
    return 0;
}

static int translate_group_end(struct translation *t)
{
    if (t->depth == 0)
        return refuse(t, "unmatched parenthesis");
    if (t->caseless_depth == t->depth)
        t->caseless_depth = NOT_CASELESS;
    t->depth--;
    copy(t, 1);
    return 0;
}

/* {n} {n,} {n,m}, with at most a lazy mark behind the last two */
static int translate_interval(struct translation *t)
{
    size_t i = 1;
    while (is_digit(peek(t, i)))
        i++;
    bool exact = peek(t, i) == '}';
    bool digits = i > 1;
    if (peek(t, i) == ',') {
        i++;
        while (is_digit(peek(t, i)))
            i++;
    }
    if (!digits || peek(t, i) != '}')
        return refuse(t, "brace");
    char after = peek(t, i + 1);
    if (after == '+' || (after == '?' && exact))
        return refuse(t, "mark behind an interval");
    copy(t, i + 1);
    return 0;
}

/* A literal inside (?i:...): ASCII, and not the beginning of a multi-character fold. */
static int translate_caseless_literal(struct translation *t)
{
    static const char *const folds[] = {"ss", "st", "ff", "fi", "fl"};
    char pair[3] = {peek(t, 0), peek(t, 1), 0};
    if (pair[0] & 0x80)
        return refuse(t, "non-ASCII text inside (?i:...)");
    for (int i = 0; i < 2; i++)
        pair[i] = is_letter(pair[i]) ? (char)(pair[i] | 0x20) : pair[i];
    for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++) {
        if (strcmp(pair, folds[i]) == 0)
            return refuse(t, "multi-character case fold");
    }
    copy(t, 1);
    return 0;
}

static int translate_one(struct translation *t)
{
    switch (peek(t, 0)) {
    case '\\':
        return translate_escape(t, false);
    case '[':
        return translate_class(t);
    case '(':
        return translate_group(t);
    case ')':
        return translate_group_end(t);
    case '{':
        return translate_interval(t);
    default:
        if (t->caseless_depth != NOT_CASELESS)
            return translate_caseless_literal(t);
        copy(t, 1);
        return 0;
    }
}

char *regex_translate(const char *pattern, size_t len, struct vlmd_error *err)
{
    struct translation t = {.in = pattern, .len = len, .caseless_depth = NOT_CASELESS, .err = err};
    if (len == 0 || len > MAX_PATTERN || memchr(pattern, '\0', len)) {
        err_set(err, VLMD_INVALID, "Regex", "a pattern has 1 to %d bytes and no NUL", MAX_PATTERN);
        return NULL;
    }
    if (looking_at(&t, "(?i)")) {
        t.caseless_depth = 0;
        copy(&t, 4);
    }
    while (t.pos < t.len) {
        if (translate_one(&t) < 0) {
            buf_free(&t.out);
            return NULL;
        }
    }
    if (t.out.failed) {
        err_no_memory(err, t.out.len);
        buf_free(&t.out);
        return NULL;
    }
    return t.out.data;
}
