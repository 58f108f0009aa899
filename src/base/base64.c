#include "base/base64.h"

#include <stdbool.h>

static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_spaces(const char *text, size_t len, size_t at, unsigned flags)
{
    while (at < len && (flags & BASE64_SPACES) && is_space(text[at]))
        at++;
    return at;
}

size_t base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 2;
}

/* Checks what follows the last digit: nothing, or exactly the padding that `digits` (of the last
 * group) ask for. Returns true, or false with *bad_at. */
static bool ends_well(const char *text, size_t len, size_t at, unsigned flags, unsigned digits,
                      size_t *bad_at)
{
    *bad_at = at;
    if (digits == 1)
        return false;
    unsigned want = digits ? 4 - digits : 0;
    unsigned got = 0;
    while (at < len) {
        *bad_at = at;
        if (text[at] != '=' || got == want)
            return false;
        got++;
        at = skip_spaces(text, len, at + 1, flags);
    }
    *bad_at = len;
    return got == 0 || got == want;
}

int base64_decode(const char *text, size_t len, unsigned flags, uint8_t *out, size_t *out_len,
                  size_t *bad_at)
{
    uint32_t group = 0;
    unsigned digits = 0; /* of the group that is being read */
    size_t written = 0, last = 0;
    size_t at = skip_spaces(text, len, 0, flags);
    for (; at < len; at = skip_spaces(text, len, at + 1, flags)) {
        int value = value_of((unsigned char)text[at]);
        if (value < 0)
            break;
        last = at;
        group = group << 6 | (uint32_t)value;
        if (++digits < 4)
            continue;
        out[written++] = (uint8_t)(group >> 16);
        out[written++] = (uint8_t)(group >> 8);
        out[written++] = (uint8_t)group;
        group = 0;
        digits = 0;
    }
    if (!ends_well(text, len, at, flags, digits, bad_at))
        return -1;
    if ((digits == 2 && (group & 0xF)) || (digits == 3 && (group & 0x3))) {
        *bad_at = last; /* bits that no byte takes: two texts would mean the same bytes */
        return -1;
    }
    if (digits == 2)
        out[written++] = (uint8_t)(group >> 4);
    if (digits == 3) {
        out[written++] = (uint8_t)(group >> 10);
        out[written++] = (uint8_t)(group >> 2);
    }
    *out_len = written;
    return 0;
}
