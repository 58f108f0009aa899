#include "base/json_text.h"

static const char *short_escape(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

void json_text_append(struct buf *out, const char *text, size_t len)
{
    buf_append_char(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        buf_append(out, text + start, i - start);
        start = i + 1;
        const char *escape = short_escape((char)c);
        if (escape)
            buf_append_text(out, escape);
        else
            buf_appendf(out, "\\u%04x", c);
    }
    buf_append(out, text + start, len - start);
    buf_append_char(out, '"');
}
