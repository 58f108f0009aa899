#include "base/utf8.h"

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

int utf8_decode(const char *text, size_t len, uint32_t *code_point)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) {
        *code_point = p[0];
        return 1;
    }
    size_t need;
    uint32_t value, low = 0x80, high = 0xBF; /* bounds of the second byte */
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        need = 2;
        value = p[0] & 0x1Fu;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        need = 3;
        value = p[0] & 0x0Fu;
        if (p[0] == 0xE0)
            low = 0xA0;
        if (p[0] == 0xED)
            high = 0x9F;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        need = 4;
        value = p[0] & 0x07u;
        if (p[0] == 0xF0)
            low = 0x90;
        if (p[0] == 0xF4)
            high = 0x8F;
    } else {
        return -1;
    }
    for (size_t i = 1; i < need; i++) {
        if (i == len)
            return 0;
        if (i == 1 ? p[1] < low || p[1] > high : !is_continuation(p[i]))
            return -1;
        value = value << 6 | (p[i] & 0x3Fu);
    }
    *code_point = value;
    return (int)need;
}

int utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        if (code_point >= 0xD800 && code_point <= 0xDFFF)
            return 0;
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    if (code_point > 0x10FFFF)
        return 0;
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

bool utf8_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t code_point;
        int n = utf8_decode(text + i, len - i, &code_point);
        if (n <= 0)
            return false;
        i += (size_t)n;
    }
    return true;
}

size_t utf8_complete_prefix(const char *text, size_t len)
{
    size_t back = len < 3 ? len : 3;
    for (size_t i = len; i > len - back; i--) {
        if (is_continuation((unsigned char)text[i - 1]))
            continue;
        uint32_t code_point;
        int n = utf8_decode(text + i - 1, len - i + 1, &code_point);
        return n == 0 ? i - 1 : len;
    }
    return len;
}
