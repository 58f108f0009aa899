/* How values are written: str() and repr() of Python, and json.dumps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "chat/value.h"

void real_to_text(double real, char out[REAL_TEXT_MAX])
{
    if (isnan(real) || isinf(real)) {
        snprintf(out, REAL_TEXT_MAX, "%s", isnan(real) ? "nan" : real < 0 ? "-inf" : "inf");
        return;
    }
    char digits[REAL_TEXT_MAX]; /* the shortest that reads back as the same number */
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    char *e = strchr(digits, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    int mantissa_digits = 0;
    for (const char *p = digits; p < e; p++)
        mantissa_digits += *p >= '0' && *p <= '9';
    if (exponent < -4 || exponent >= 16) {
        snprintf(out, REAL_TEXT_MAX, "%.*se%c%02d", (int)(e - digits), digits,
                 exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = mantissa_digits - 1 - exponent;
    snprintf(out, REAL_TEXT_MAX, "%.*f", decimals > 1 ? decimals : 1, real);
}

static int add_number(struct text_builder *builder, const struct value *value, bool trusted)
{
    char digits[REAL_TEXT_MAX];
    if (value->kind == VALUE_INT)
        snprintf(digits, sizeof digits, "%lld", (long long)value->as.integer);
    else
        real_to_text(value->as.real, digits);
    return text_builder_add_bytes(builder, digits, strlen(digits), trusted);
}

static int add_plain(struct text_builder *builder, const char *bytes)
{
    return text_builder_add_bytes(builder, bytes, strlen(bytes), true);
}

/* str.isprintable of Python. */
static bool is_printable(uint32_t c)
{
    if (c == ' ')
        return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

static void repr_escape(uint32_t c, char out[12])
{
    if (c == '\n' || c == '\r' || c == '\t')
        snprintf(out, 12, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (c < 0x100)
        snprintf(out, 12, "\\x%02x", c);
    else if (c < 0x10000)
        snprintf(out, 12, "\\u%04x", c);
    else
        snprintf(out, 12, "\\U%08x", c);
}

static int add_text_slice(struct text_builder *builder, const struct text *text, size_t at,
                          size_t len)
{
    struct text piece = text_view(text->bytes + at, len, text->trusted);
    if (text->marks)
        piece.marks = text->marks + at;
    return text_builder_add(builder, &piece);
}

static int add_text_repr(struct text_builder *builder, const struct text *text)
{
    bool single = memchr(text->bytes, '\'', text->len) != NULL;
    bool both = single && memchr(text->bytes, '"', text->len);
    const char quote[2] = {single && !both ? '"' : '\'', '\0'};
    add_plain(builder, quote);
    size_t len;
    for (size_t at = 0; at < text->len && !builder->failed; at += len) {
        uint32_t c = text_char(text, at, &len);
        char escape[12];
        if (c == '\\' || c == (unsigned char)quote[0]) {
            text_builder_add_bytes(builder, "\\", 1, false);
            add_text_slice(builder, text, at, len);
        } else if (is_printable(c)) {
            add_text_slice(builder, text, at, len);
        } else {
            repr_escape(c, escape);
            text_builder_add_bytes(builder, escape, strlen(escape), false);
        }
    }
    return add_plain(builder, quote);
}

static int add_repr(struct text_builder *builder, const struct value *value);

static int add_list_repr(struct text_builder *builder, const struct list *list)
{
    bool tuple = list->form == LIST_TUPLE;
    add_plain(builder, tuple ? "(" : "[");
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            add_plain(builder, ", ");
        if (add_repr(builder, &list->items[i]) < 0)
            return -1;
    }
    if (tuple && list->n == 1)
        add_plain(builder, ",");
    return add_plain(builder, tuple ? ")" : "]");
}

static int add_dict_repr(struct text_builder *builder, const struct dict *dict)
{
    add_plain(builder, "{");
    for (size_t i = 0; i < dict->n; i++) {
        if (i)
            add_plain(builder, ", ");
        if (add_repr(builder, &dict->pairs[i].key) < 0)
            return -1;
        add_plain(builder, ": ");
        if (add_repr(builder, &dict->pairs[i].value) < 0)
            return -1;
    }
    return add_plain(builder, "}");
}

static int add_scalar(struct text_builder *builder, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NONE:
        return add_plain(builder, "None");
    case VALUE_BOOL:
        return add_plain(builder, value->as.truth ? "True" : "False");
    case VALUE_INT:
    case VALUE_FLOAT:
        return add_number(builder, value, value->trusted);
    default:
        return workspace_fail(builder->ws, "%s cannot be printed", value_kind_name(value));
    }
}

static int add_repr(struct text_builder *builder, const struct value *value)
{
    struct workspace *ws = builder->ws;
    if (workspace_spend(ws, value->kind == VALUE_STRING ? value->as.text->len : 0) < 0)
        return -1;
    if (value->kind == VALUE_STRING)
        return add_text_repr(builder, value->as.text);
    if (value->kind == VALUE_UNDEFINED)
        return add_plain(builder, "Undefined");
    bool list = value->kind == VALUE_LIST && value->as.list->form <= LIST_TUPLE;
    if (!list && value->kind != VALUE_DICT)
        return add_scalar(builder, value);
    if (workspace_enter(ws) < 0)
        return -1;
    int rc = list ? add_list_repr(builder, value->as.list) : add_dict_repr(builder, value->as.dict);
    workspace_leave(ws);
    return rc;
}

const struct text *value_to_text(struct workspace *ws, const struct value *value)
{
    if (value->kind == VALUE_STRING)
        return value->as.text;
    if (value->kind == VALUE_UNDEFINED)
        return text_new(ws, "", 0, true);
    struct text_builder builder;
    text_builder_open(&builder, ws);
    if (add_repr(&builder, value) < 0)
        return NULL;
    return text_builder_done(&builder);
}

struct json_writer {
    struct text_builder builder;
    const struct json_style *style;
    int level;
};

static int put(struct json_writer *writer, const char *bytes)
{
    return text_builder_add_bytes(&writer->builder, bytes, strlen(bytes), false);
}

static int put_separator(struct json_writer *writer, const struct text *separator,
                         const char *otherwise)
{
    if (!separator)
        return put(writer, otherwise);
    return text_builder_add_bytes(&writer->builder, separator->bytes, separator->len, false);
}

static int put_new_line(struct json_writer *writer)
{
    const struct text *indent = writer->style->indent;
    if (!indent)
        return 0;
    put(writer, "\n");
    for (int i = 0; i < writer->level; i++)
        text_builder_add_bytes(&writer->builder, indent->bytes, indent->len, false);
    return writer->builder.failed ? -1 : 0;
}

static bool json_escape(uint32_t c, bool ensure_ascii, char out[16])
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; c && c < 0x80 && letters[i]; i += 2) {
        if ((uint32_t)letters[i] == c) {
            snprintf(out, 16, "\\%c", letters[i + 1]);
            return true;
        }
    }
    if (c >= 0x20 && (!ensure_ascii || c < 0x7F))
        return false;
    if (c < 0x10000)
        snprintf(out, 16, "\\u%04x", c);
    else
        snprintf(out, 16, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
                 0xDC00 + ((c - 0x10000) & 0x3FF));
    return true;
}

static int put_string(struct json_writer *writer, const struct text *text)
{
    put(writer, "\"");
    size_t len, run = 0, at = 0;
    for (; at < text->len && !writer->builder.failed; at += len) {
        char escape[16];
        uint32_t c = text_char(text, at, &len);
        if (!json_escape(c, writer->style->ensure_ascii, escape))
            continue;
        add_text_slice(&writer->builder, text, run, at - run);
        put(writer, escape);
        run = at + len;
    }
    if (at > run)
        add_text_slice(&writer->builder, text, run, at - run);
    return put(writer, "\"");
}

static int put_value(struct json_writer *writer, const struct value *value);

static int put_list(struct json_writer *writer, const struct list *list)
{
    if (list->n == 0)
        return put(writer, "[]");
    put(writer, "[");
    writer->level++;
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            put_separator(writer, writer->style->item_separator,
                          writer->style->indent ? "," : ", ");
        if (put_new_line(writer) < 0 || put_value(writer, &list->items[i]) < 0)
            return -1;
    }
    writer->level--;
    put_new_line(writer);
    return put(writer, "]");
}

static int put_key(struct json_writer *writer, const struct value *key)
{
    if (key->kind == VALUE_STRING)
        return put_string(writer, key->as.text);
    if (key->kind != VALUE_NONE && !value_is_number(key))
        return workspace_fail(writer->builder.ws, "tojson: %s cannot be a key",
                              value_kind_name(key));
    put(writer, "\"");
    put_value(writer, key);
    return put(writer, "\"");
}

static const struct pair *sorted_pairs(struct workspace *ws, const struct dict *dict)
{
    struct pair *pairs = workspace_alloc_array(ws, dict->n, sizeof *pairs);
    for (size_t i = 0; pairs && i < dict->n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            int order;
            if (value_order(ws, &dict->pairs[i].key, &pairs[at - 1].key, &order) < 0)
                return NULL;
            if (order >= 0)
                break;
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = dict->pairs[i];
    }
    return pairs;
}

static int put_dict(struct json_writer *writer, const struct dict *dict)
{
    if (dict->n == 0)
        return put(writer, "{}");
    const struct pair *pairs = dict->pairs;
    if (writer->style->sort_keys && !(pairs = sorted_pairs(writer->builder.ws, dict)))
        return -1;
    put(writer, "{");
    writer->level++;
    for (size_t i = 0; i < dict->n; i++) {
        if (i)
            put_separator(writer, writer->style->item_separator,
                          writer->style->indent ? "," : ", ");
        if (put_new_line(writer) < 0 || put_key(writer, &pairs[i].key) < 0)
            return -1;
        put_separator(writer, writer->style->key_separator, ": ");
        if (put_value(writer, &pairs[i].value) < 0)
            return -1;
    }
    writer->level--;
    put_new_line(writer);
    return put(writer, "}");
}

static int put_real(struct json_writer *writer, double real)
{
    if (isnan(real))
        return put(writer, "NaN");
    if (isinf(real))
        return put(writer, real < 0 ? "-Infinity" : "Infinity");
    char digits[REAL_TEXT_MAX];
    real_to_text(real, digits);
    return put(writer, digits);
}

static int put_container(struct json_writer *writer, const struct value *value)
{
    struct workspace *ws = writer->builder.ws;
    if (workspace_enter(ws) < 0)
        return -1;
    int rc = value->kind == VALUE_LIST ? put_list(writer, value->as.list)
                                       : put_dict(writer, value->as.dict);
    workspace_leave(ws);
    return rc;
}

static int put_value(struct json_writer *writer, const struct value *value)
{
    struct workspace *ws = writer->builder.ws;
    if (workspace_spend(ws, value->kind == VALUE_STRING ? value->as.text->len : 0) < 0)
        return -1;
    switch (value->kind) {
    case VALUE_NONE:
        return put(writer, "null");
    case VALUE_BOOL:
        return put(writer, value->as.truth ? "true" : "false");
    case VALUE_INT:
        return add_number(&writer->builder, value, false);
    case VALUE_FLOAT:
        return put_real(writer, value->as.real);
    case VALUE_STRING:
        return put_string(writer, value->as.text);
    case VALUE_LIST:
        if (value->as.list->form <= LIST_TUPLE)
            return put_container(writer, value);
        break;
    case VALUE_DICT:
        return put_container(writer, value);
    default:
        break;
    }
    return workspace_fail(ws, "tojson: %s cannot be written as JSON", value_kind_name(value));
}

const struct text *value_to_json(struct workspace *ws, const struct value *value,
                                 const struct json_style *style)
{
    struct json_writer writer = {.style = style};
    text_builder_open(&writer.builder, ws);
    if (put_value(&writer, value) < 0)
        return NULL;
    return text_builder_done(&writer.builder);
}
