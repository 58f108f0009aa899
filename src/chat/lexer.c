#include "chat/lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
    struct workspace *ws;
    const char *source;
    size_t len, at;
    int line;
    bool at_line_start; /* what was read last ended with a newline, or nothing was read */
    struct token *tokens;
    size_t n, cap;
    char open[WORKSPACE_DEPTH]; /* closing brackets that are due */
    int n_open;
};

static bool has(const struct lexer *lexer, size_t at, const char *string)
{
    size_t n = strlen(string);
    return n <= lexer->len && at <= lexer->len - n && !memcmp(lexer->source + at, string, n);
}

static struct token *add_token(struct lexer *lexer, enum token_kind kind)
{
    if (lexer->n == lexer->cap) {
        size_t cap = lexer->cap ? lexer->cap * 2 : 64;
        struct token *tokens = workspace_alloc_array(lexer->ws, cap, sizeof *tokens);
        if (!tokens)
            return NULL;
        if (lexer->n)
            memcpy(tokens, lexer->tokens, lexer->n * sizeof *tokens);
        lexer->tokens = tokens;
        lexer->cap = cap;
    }
    struct token *token = &lexer->tokens[lexer->n++];
    *token = (struct token){.kind = kind, .line = lexer->line};
    return token;
}

static struct text rest_of(const struct lexer *lexer, size_t at, size_t end)
{
    return text_view(lexer->source + at, end - at, true);
}

/* Bytes of the whitespace character at `at`; 0 when there is none. */
static size_t space_at(const struct lexer *lexer, size_t at)
{
    if (at >= lexer->len)
        return 0;
    struct text rest = rest_of(lexer, at, lexer->len);
    size_t len;
    return text_is_space(text_char(&rest, 0, &len)) ? len : 0;
}

static size_t skip_spaces(const struct lexer *lexer, size_t at)
{
    for (size_t n; (n = space_at(lexer, at)) > 0;)
        at += n;
    return at;
}

static void move_to(struct lexer *lexer, size_t to)
{
    for (size_t i = lexer->at; i < to; i++)
        lexer->line += lexer->source[i] == '\n';
    if (to > lexer->at)
        lexer->at_line_start = lexer->source[to - 1] == '\n';
    lexer->at = to;
}

static bool is_blank(const struct lexer *lexer, size_t from, size_t end)
{
    return from < end && skip_spaces(lexer, from) >= end;
}

static size_t trimmed_end(const struct lexer *lexer, size_t from, size_t end)
{
    struct text text = rest_of(lexer, from, end);
    const struct text *kept = text_strip(lexer->ws, &text, NULL, false, true);
    return kept ? from + kept->len : end;
}

/* Where the text [from, end) in front of a tag really ends, given the tag's sign. */
static size_t text_end(const struct lexer *lexer, size_t from, size_t end, char sign, bool lstrip)
{
    if (sign == '-')
        return trimmed_end(lexer, from, end);
    if (sign == '+' || !lstrip)
        return end;
    size_t line = end;
    while (line > from && lexer->source[line - 1] != '\n')
        line--;
    if ((line > from || lexer->at_line_start) && is_blank(lexer, line, end))
        return line;
    return end;
}

static int add_data(struct lexer *lexer, size_t from, size_t end)
{
    if (from == end)
        return 0;
    struct token *token = add_token(lexer, TOKEN_DATA);
    if (!token)
        return -1;
    token->text = text_new(lexer->ws, lexer->source + from, end - from, true);
    return token->text ? 0 : -1;
}

static char sign_at(const struct lexer *lexer, size_t at)
{
    if (at < lexer->len && (lexer->source[at] == '-' || lexer->source[at] == '+'))
        return lexer->source[at];
    return '\0';
}

/* The end of a closing mark ("%}", "#}") at `at` together with what it takes away; 0 when there is
 * none. `-` takes all whitespace, no sign takes one newline. */
static size_t closing_end(const struct lexer *lexer, size_t at, const char *mark)
{
    char sign = sign_at(lexer, at);
    size_t start = at + (sign != '\0');
    if (!has(lexer, start, mark))
        return 0;
    size_t end = start + 2;
    if (sign == '-')
        return skip_spaces(lexer, end);
    if (sign == '\0' && has(lexer, end, "\n"))
        end++;
    return end;
}

static int skip_comment(struct lexer *lexer)
{
    for (size_t at = lexer->at; at < lexer->len; at++) {
        size_t end = closing_end(lexer, at, "#}");
        if (end) {
            move_to(lexer, end);
            return 0;
        }
    }
    return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the comment has no end");
}

/* {% raw %}: the end of the opening tag that begins at `at`, or 0 when it is another tag. */
static size_t raw_begin_end(const struct lexer *lexer, size_t at)
{
    size_t p = at + 2;
    p += sign_at(lexer, p) != '\0';
    p = skip_spaces(lexer, p);
    if (!has(lexer, p, "raw"))
        return 0;
    p = skip_spaces(lexer, p + 3);
    if (has(lexer, p, "-%}"))
        return skip_spaces(lexer, p + 3);
    return has(lexer, p, "%}") ? p + 2 : 0;
}

static size_t raw_end_end(const struct lexer *lexer, size_t at)
{
    size_t p = at + 2;
    p += sign_at(lexer, p) != '\0';
    p = skip_spaces(lexer, p);
    if (!has(lexer, p, "endraw"))
        return 0;
    return closing_end(lexer, skip_spaces(lexer, p + 6), "%}");
}

static int read_raw(struct lexer *lexer)
{
    for (size_t at = lexer->at; at < lexer->len; at++) {
        size_t end = has(lexer, at, "{%") ? raw_end_end(lexer, at) : 0;
        if (!end)
            continue;
        char sign = sign_at(lexer, at + 2);
        if (add_data(lexer, lexer->at, text_end(lexer, lexer->at, at, sign, true)) < 0)
            return -1;
        move_to(lexer, end);
        return 0;
    }
    return workspace_fail_as(lexer->ws, VLMD_FORMAT, "{%% raw %%} has no {%% endraw %%}");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static char byte_at(const struct lexer *lexer, size_t at)
{
    return at < lexer->len ? lexer->source[at] : '\0';
}

static size_t digits_end(const struct lexer *lexer, size_t at)
{
    while (is_digit(byte_at(lexer, at)) ||
           (byte_at(lexer, at) == '_' && is_digit(byte_at(lexer, at + 1))))
        at++;
    return at;
}

/* Copies the digits of [from, end) without underscores; false when they do not fit. */
static bool copy_number(const struct lexer *lexer, size_t from, size_t end, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = from; i < end; i++) {
        if (lexer->source[i] == '_')
            continue;
        if (n + 1 == cap)
            return false;
        out[n++] = lexer->source[i];
    }
    out[n] = '\0';
    return true;
}

static int number_base(const struct lexer *lexer)
{
    if (byte_at(lexer, lexer->at) != '0')
        return 10;
    switch (byte_at(lexer, lexer->at + 1)) {
    case 'x':
    case 'X':
        return 16;
    case 'o':
    case 'O':
        return 8;
    case 'b':
    case 'B':
        return 2;
    default:
        return 10;
    }
}

static size_t float_end(const struct lexer *lexer, size_t whole)
{
    size_t end = whole;
    if (byte_at(lexer, end) == '.' && is_digit(byte_at(lexer, end + 1)))
        end = digits_end(lexer, end + 1);
    size_t e = end;
    if (byte_at(lexer, e) == 'e' || byte_at(lexer, e) == 'E') {
        e++;
        e += byte_at(lexer, e) == '+' || byte_at(lexer, e) == '-';
        if (is_digit(byte_at(lexer, e)))
            return digits_end(lexer, e);
    }
    return end;
}

static int read_number(struct lexer *lexer)
{
    char digits[64];
    int base = number_base(lexer);
    size_t from = lexer->at, end;
    if (base != 10) {
        from += 2;
        end = from;
        while (is_name_char(byte_at(lexer, end)))
            end++;
    } else {
        end = digits_end(lexer, from);
    }
    bool after_dot = lexer->n && lexer->tokens[lexer->n - 1].kind == TOKEN_OPERATOR &&
                     lexer->tokens[lexer->n - 1].op == '.';
    size_t end_of_float = base == 10 && !after_dot ? float_end(lexer, end) : end;
    struct token *token = add_token(lexer, end_of_float > end ? TOKEN_FLOAT : TOKEN_INTEGER);
    if (!token)
        return -1;
    if (!copy_number(lexer, from, end_of_float, digits, sizeof digits))
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the number is too long");
    char *rest;
    errno = 0;
    if (token->kind == TOKEN_FLOAT)
        token->real = strtod(digits, &rest);
    else
        token->integer = strtoll(digits, &rest, base);
    if (errno || *rest || rest == digits)
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the number %s is malformed or too large",
                                 digits);
    move_to(lexer, end_of_float);
    return 0;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads up to `most` digits of `base`; returns their number. */
static int read_code(const char *p, const char *end, int most, int base, uint32_t *code)
{
    int n = 0;
    *code = 0;
    for (; n < most && p + n < end; n++) {
        int digit = hex_value(p[n]);
        if (digit < 0 || digit >= base)
            break;
        *code = *code * (uint32_t)base + (uint32_t)digit;
    }
    return n;
}

/* One escape behind a backslash, as Python's unicode-escape has it. Returns the bytes read, -1 with
 * the error set. */
static int read_escape(struct lexer *lexer, const char *p, const char *end,
                       struct text_builder *builder)
{
    static const char simple[] = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    for (size_t i = 0; simple[i]; i += 2) {
        if (simple[i] == *p)
            return text_builder_add_bytes(builder, simple + i + 1, 1, true) < 0 ? -1 : 1;
    }
    uint32_t code;
    int most = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (*p == '\n')
        return 1;
    if (*p == 'N')
        return workspace_fail_as(lexer->ws, VLMD_UNSUPPORTED, "the escape \\N is not supported");
    if (most == 0 && (*p < '0' || *p > '7')) /* not an escape: both characters stay */
        return text_builder_add_bytes(builder, p - 1, 1, true) < 0 ? -1 : 0;
    int n = most ? read_code(p + 1, end, most, 16, &code) : read_code(p, end, 3, 8, &code);
    if (n < most || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the escape \\%c is malformed", *p);
    if (text_builder_add_char(builder, code, true) < 0)
        return -1;
    return most ? 1 + n : n;
}

static const struct text *unescape(struct lexer *lexer, const char *p, const char *end)
{
    struct text_builder builder;
    text_builder_open(&builder, lexer->ws);
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        const char *stop = backslash ? backslash : end;
        if (text_builder_add_bytes(&builder, p, (size_t)(stop - p), true) < 0)
            return NULL;
        p = stop;
        if (!backslash)
            break;
        int n = read_escape(lexer, p + 1, end, &builder);
        if (n < 0)
            return NULL;
        p += 1 + n;
    }
    return text_builder_done(&builder);
}

static int read_string(struct lexer *lexer)
{
    char quote = lexer->source[lexer->at];
    size_t from = lexer->at + 1, end = from;
    while (end < lexer->len && lexer->source[end] != quote)
        end += lexer->source[end] == '\\' ? 2 : 1;
    if (end >= lexer->len)
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the string has no end");
    struct token *token = add_token(lexer, TOKEN_STRING);
    if (!token)
        return -1;
    const struct text *text = unescape(lexer, lexer->source + from, lexer->source + end);
    token->text = text;
    move_to(lexer, end + 1);
    return text ? 0 : -1;
}

static int read_name(struct lexer *lexer)
{
    size_t end = lexer->at;
    while (is_name_char(byte_at(lexer, end)))
        end++;
    struct token *token = add_token(lexer, TOKEN_NAME);
    if (!token)
        return -1;
    token->text = text_new(lexer->ws, lexer->source + lexer->at, end - lexer->at, true);
    move_to(lexer, end);
    return token->text ? 0 : -1;
}

static int balance(struct lexer *lexer, char c)
{
    const char *pair = strchr("()[]{}", c);
    if (!pair)
        return 0;
    if (c == '(' || c == '[' || c == '{') {
        if (lexer->n_open == WORKSPACE_DEPTH)
            return workspace_fail_as(lexer->ws, VLMD_TOO_LARGE,
                                     "brackets are nested deeper than %d levels", WORKSPACE_DEPTH);
        lexer->open[lexer->n_open++] = pair[1];
        return 0;
    }
    if (lexer->n_open == 0 || lexer->open[--lexer->n_open] != c)
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "unexpected '%c'", c);
    return 0;
}

static int read_operator(struct lexer *lexer)
{
    static const struct {
        const char *text;
        int op;
    } doubles[] = {{"==", OPERATOR_EQ}, {"!=", OPERATOR_NE},    {"<=", OPERATOR_LE},
                   {">=", OPERATOR_GE}, {"**", OPERATOR_POWER}, {"//", OPERATOR_FLOOR}};
    char c = lexer->source[lexer->at];
    int op = strchr("+-/*%~[](){}<>=.:|,;", c) && c ? c : 0;
    size_t len = 1;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        if (has(lexer, lexer->at, doubles[i].text)) {
            op = doubles[i].op;
            len = 2;
        }
    }
    if (!op && (unsigned char)c < 0x80)
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "unexpected character '%c'",
                                 c < ' ' ? '?' : c);
    if (!op)
        return workspace_fail_as(lexer->ws, VLMD_FORMAT, "unexpected character outside a string");
    if (len == 1 && balance(lexer, c) < 0)
        return -1;
    struct token *token = add_token(lexer, TOKEN_OPERATOR);
    if (!token)
        return -1;
    token->op = op;
    move_to(lexer, lexer->at + len);
    return 0;
}

static int read_code_token(struct lexer *lexer)
{
    char c = lexer->source[lexer->at];
    size_t space = space_at(lexer, lexer->at);
    if (space) {
        move_to(lexer, lexer->at + space);
        return 0;
    }
    if (is_digit(c))
        return read_number(lexer);
    if (is_name_char(c))
        return read_name(lexer);
    if (c == '\'' || c == '"')
        return read_string(lexer);
    return read_operator(lexer);
}

/* The end of "}}" or "-}}" at the current place, 0 when there is none. */
static size_t variable_end(const struct lexer *lexer)
{
    if (has(lexer, lexer->at, "-}}"))
        return skip_spaces(lexer, lexer->at + 3);
    return has(lexer, lexer->at, "}}") ? lexer->at + 2 : 0;
}

static int read_tag(struct lexer *lexer, bool block)
{
    int line = lexer->line;
    if (!add_token(lexer, block ? TOKEN_BLOCK_BEGIN : TOKEN_VARIABLE_BEGIN))
        return -1;
    while (lexer->at < lexer->len) {
        size_t end = 0;
        if (lexer->n_open == 0)
            end = block ? closing_end(lexer, lexer->at, "%}") : variable_end(lexer);
        lexer->ws->line = lexer->line;
        if (end) {
            if (!add_token(lexer, block ? TOKEN_BLOCK_END : TOKEN_VARIABLE_END))
                return -1;
            move_to(lexer, end);
            return 0;
        }
        if (read_code_token(lexer) < 0)
            return -1;
    }
    lexer->ws->line = line;
    return workspace_fail_as(lexer->ws, VLMD_FORMAT, "the tag %s has no end", block ? "{%" : "{{");
}

/* The next "{{", "{%" or "{#" at or behind `at`. */
static size_t find_tag(const struct lexer *lexer, size_t at)
{
    for (; at + 1 < lexer->len; at++) {
        const char *brace = memchr(lexer->source + at, '{', lexer->len - at - 1);
        if (!brace)
            break;
        at = (size_t)(brace - lexer->source);
        if (brace[1] == '{' || brace[1] == '%' || brace[1] == '#')
            return at;
    }
    return lexer->len;
}

static int read_piece(struct lexer *lexer)
{
    size_t from = lexer->at, tag = find_tag(lexer, from);
    if (tag == lexer->len) {
        int rc = add_data(lexer, from, tag);
        move_to(lexer, tag);
        return rc;
    }
    char kind = lexer->source[tag + 1];
    char sign = sign_at(lexer, tag + 2);
    if (add_data(lexer, from, text_end(lexer, from, tag, sign, kind != '{')) < 0)
        return -1;
    size_t raw = kind == '%' ? raw_begin_end(lexer, tag) : 0;
    move_to(lexer, tag);
    lexer->ws->line = lexer->line;
    if (raw) {
        move_to(lexer, raw);
        return read_raw(lexer);
    }
    move_to(lexer, tag + 2 + (sign != '\0'));
    return kind == '#' ? skip_comment(lexer) : read_tag(lexer, kind == '%');
}

/* Every line end becomes \n, and one at the very end of the template goes. */
static char *normalize_lines(struct workspace *ws, const char *source, size_t *len)
{
    char *out = workspace_alloc(ws, *len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < *len; i++) {
        if (source[i] == '\r' && i + 1 < *len && source[i + 1] == '\n')
            continue;
        out[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && out[n - 1] == '\n')
        n--;
    *len = n;
    return out;
}

struct token *lexer_run(struct workspace *ws, const char *source, size_t len)
{
    struct lexer lexer = {.ws = ws, .line = 1, .at_line_start = true};
    lexer.source = normalize_lines(ws, source, &len);
    lexer.len = len;
    if (!lexer.source)
        return NULL;
    while (lexer.at < lexer.len) {
        ws->line = lexer.line;
        if (read_piece(&lexer) < 0)
            return NULL;
    }
    ws->line = lexer.line;
    return add_token(&lexer, TOKEN_END) ? lexer.tokens : NULL;
}
