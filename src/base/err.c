#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Errors travel in JSON and in messages between processes: they must be UTF-8, whatever file names
 * and cut texts they were made of. */
static void make_utf8(char *text, size_t cap, int written)
{
    size_t len = strlen(text);
    if (written < 0 || (size_t)written >= cap)
        len = utf8_complete_prefix(text, len);
    text[len] = '\0';
    for (size_t i = 0; i < len;) {
        uint32_t code_point;
        int n = utf8_decode(text + i, len - i, &code_point);
        if (n <= 0)
            text[i] = '?';
        i += n > 0 ? (size_t)n : 1;
    }
}

static void put(struct vlmd_error *err, enum vlmd_code code, const char *field, const char *format,
                va_list args)
{
    err->code = code;
    int n = snprintf(err->field, sizeof err->field, "%s", field ? field : "");
    make_utf8(err->field, sizeof err->field, n);
    n = vsnprintf(err->text, sizeof err->text, format, args);
    make_utf8(err->text, sizeof err->text, n);
}

int err_set(struct vlmd_error *err, enum vlmd_code code, const char *field, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    put(err, code, field, format, args);
    va_end(args);
    return -1;
}

static enum vlmd_code code_of_errno(int error)
{
    switch (error) {
    case ENOENT:
        return VLMD_NOT_FOUND;
    case ENOMEM:
        return VLMD_NO_MEMORY;
    default:
        return VLMD_IO;
    }
}

int err_errno(struct vlmd_error *err, const char *field, const char *format, ...)
{
    int error = errno;
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    put(err, code_of_errno(error), field, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    int n = snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(error));
    make_utf8(err->text, sizeof err->text - used, n);
    return -1;
}

int err_no_memory(struct vlmd_error *err, size_t bytes)
{
    return err_set(err, VLMD_NO_MEMORY, NULL, "out of memory (%zu bytes wanted)", bytes);
}

void err_prefix_field(struct vlmd_error *err, const char *prefix)
{
    if (!err)
        return;
    char joined[sizeof err->field];
    const char *dot = err->field[0] == '\0' || err->field[0] == '[' ? "" : ".";
    int n = snprintf(joined, sizeof joined, "%s%s%s", prefix, dot, err->field);
    make_utf8(joined, sizeof joined, n);
    memcpy(err->field, joined, sizeof joined);
}

void err_clear(struct vlmd_error *err)
{
    if (err)
        *err = (struct vlmd_error){.code = VLMD_OK};
}

const char *err_code_name(enum vlmd_code code)
{
    static const char *const names[] = {
        [VLMD_OK] = "ok",
        [VLMD_INVALID] = "invalid",
        [VLMD_NOT_FOUND] = "not_found",
        [VLMD_FORMAT] = "format",
        [VLMD_UNSUPPORTED] = "unsupported",
        [VLMD_TOO_LARGE] = "too_large",
        [VLMD_NO_MEMORY] = "no_memory",
        [VLMD_IO] = "io",
        [VLMD_CANCELLED] = "cancelled",
        [VLMD_BUSY] = "busy",
        [VLMD_INTERNAL] = "internal",
    };
    if ((size_t)code >= sizeof names / sizeof *names)
        return "unknown";
    return names[code];
}
