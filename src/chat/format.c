#include "chat/format.h"

#include <string.h>

/* The argument that a field asks for: the next one, one by number, or one by name. */
static const struct value *find_argument(const struct text *field,
                                         const struct arguments *arguments, size_t *next)
{
    size_t index = 0;
    if (field->len == 0)
        return *next < arguments->n ? &arguments->positional[(*next)++] : NULL;
    bool digits = field->len < 6;
    for (size_t i = 0; i < field->len && digits; i++) {
        digits = field->bytes[i] >= '0' && field->bytes[i] <= '9';
        index = index * 10 + (size_t)(field->bytes[i] - '0');
    }
    if (digits)
        return index < arguments->n ? &arguments->positional[index] : NULL;
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        if (text_equal(arguments->keywords[i].name, field))
            return &arguments->keywords[i].value;
    }
    return NULL;
}

/* The field behind the brace at `at`; returns its end, 0 with the error set. */
static size_t add_field(struct text_builder *builder, const struct text *pattern, size_t at,
                        const struct arguments *arguments, size_t *next)
{
    struct workspace *ws = builder->ws;
    const char *start = pattern->bytes + at + 1;
    const char *close = memchr(start, '}', pattern->len - at - 1);
    struct text field = text_view(start, close ? (size_t)(close - start) : 0, false);
    if (!close || memchr(start, '{', field.len) || memchr(start, ':', field.len) ||
        memchr(start, '!', field.len) || memchr(start, '.', field.len) ||
        memchr(start, '[', field.len)) {
        workspace_fail(ws, "format: only {}, {0} and {name} are supported");
        return 0;
    }
    const struct value *value = find_argument(&field, arguments, next);
    if (!value) {
        workspace_fail(ws, "format: {%.*s} has no argument", (int)(field.len < 60 ? field.len : 60),
                       field.bytes);
        return 0;
    }
    const struct text *text = value_to_text(ws, value);
    const struct text *braces = text_slice(ws, pattern, at, field.len + 2);
    if (!text || !braces || workspace_spend(ws, text->len) < 0)
        return 0;
    /* As with replace: what takes the place of a message's bytes is the message's. */
    if (text_all_trusted(braces))
        text_builder_add(builder, text);
    else
        text_builder_add_bytes(builder, text->bytes, text->len, false);
    return at + 2 + field.len;
}

const struct text *format_text(struct workspace *ws, const struct text *pattern,
                               const struct arguments *arguments)
{
    struct text_builder builder;
    size_t next = 0;
    text_builder_open(&builder, ws);
    if (workspace_spend(ws, pattern->len * 8) < 0)
        return NULL;
    for (size_t at = 0; at < pattern->len && !builder.failed;) {
        char c = pattern->bytes[at];
        bool doubled = at + 1 < pattern->len && pattern->bytes[at + 1] == c;
        if (c == '{' && !doubled) {
            at = add_field(&builder, pattern, at, arguments, &next);
            if (at == 0)
                return NULL;
            continue;
        }
        if (c == '}' && !doubled) {
            workspace_fail(ws, "format: a single '}'");
            return NULL;
        }
        const struct text *one = text_slice(ws, pattern, at, 1);
        if (!one)
            return NULL;
        text_builder_add(&builder, one);
        at += c == '{' || c == '}' ? 2 : 1;
    }
    return text_builder_done(&builder);
}
