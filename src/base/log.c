#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json_text.h"
#include "base/utf8.h"

#define MAX_TEXT 1024

static enum log_level lowest_level = LOG_INFO;
static enum log_format line_format = LOG_HUMAN;
static const char *process_role = "vlmd";
static int log_file = -1;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level lowest)
{
    lowest_level = lowest;
}

const char *log_level_name(void)
{
    return level_names[lowest_level];
}

void log_set_role(const char *role)
{
    process_role = role;
}

void log_set_format(enum log_format format)
{
    line_format = format;
}

int log_level_from_name(const char *name)
{
    for (int i = 0; i <= LOG_ERROR; i++)
        if (strcmp(level_names[i], name) == 0)
            return i;
    return -1;
}

int log_set_file(const char *path, struct vlmd_error *err)
{
    int file = -1;
    if (path) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (file < 0)
            return err_errno(err, "log-dir", "cannot open %s", path);
    }
    if (log_file >= 0)
        close(log_file);
    log_file = file;
    return 0;
}

/* ---- lines */

/* What a line is made of. */
struct event {
    char time[40];
    const char *level;
    const char *role;
    const char *text;
    size_t len;
    const struct log_field *fields;
    size_t n_fields;
};

/* One write, so that lines of several processes do not mix. */
static void put(const struct buf *line)
{
    if (line->failed)
        return;
    ssize_t written = write(STDERR_FILENO, line->data, line->len);
    if (log_file >= 0)
        written = write(log_file, line->data, line->len);
    (void)written;
}

/* One event stays one line, and no terminal is driven by logged text. */
static void append_tame(struct buf *out, const char *text, size_t len)
{
    size_t start = out->len;
    if (buf_append(out, text, len) < 0)
        return;
    for (char *p = out->data + start; p < out->data + out->len; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
}

/* Bytes that are no UTF-8 become question marks: JSON knows no others. */
static void append_json_text(struct buf *out, const char *text, size_t len)
{
    struct buf sound = {0};
    if (utf8_valid(text, len)) {
        json_text_append(out, text, len);
        return;
    }
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int n = utf8_decode(text + i, len - i, &c);
        if (n > 0)
            buf_append(&sound, text + i, (size_t)n);
        else
            buf_append_char(&sound, '?');
        i += n > 0 ? (size_t)n : 1;
    }
    json_text_append(out, sound.data ? sound.data : "", sound.len);
    buf_free(&sound);
}

static void append_member(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_appendf(out, ",\"%s\":", name);
    append_json_text(out, text, len);
}

static void append_json(struct buf *out, const struct event *e)
{
    buf_appendf(out, "{\"time\":\"%s\"", e->time);
    append_member(out, "level", e->level, strlen(e->level));
    append_member(out, "role", e->role, strlen(e->role));
    /* Lines about a request begin with its id. */
    if (e->len > 4 && strncmp(e->text, "req_", 4) == 0)
        append_member(out, "request_id", e->text, strcspn(e->text, " :"));
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct log_field *f = &e->fields[i];
        if (f->text)
            append_member(out, f->name, f->text, strlen(f->text));
        else
            buf_appendf(out, ",\"%s\":%.10g", f->name, isfinite(f->number) ? f->number : 0);
    }
    append_member(out, "message", e->text, e->len);
    buf_append_text(out, "}\n");
}

static void append_human(struct buf *out, const struct event *e)
{
    buf_appendf(out, "%s %-5s %s: ", e->time, e->level, e->role);
    append_tame(out, e->text, e->len);
    buf_append_char(out, '\n');
}

static void write_event(const struct event *e)
{
    struct buf line = {0};
    if (line_format == LOG_JSON)
        append_json(&line, e);
    else
        append_human(&line, e);
    put(&line);
    buf_free(&line);
}

static void set_time(struct event *e)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(e->time, sizeof e->time, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(e->time + used, sizeof e->time - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static struct event begin(enum log_level level)
{
    struct event e = {.level = level_names[level], .role = process_role};
    set_time(&e);
    return e;
}

static void write_formatted(enum log_level level, const struct log_field *fields, size_t n,
                            const char *format, va_list args)
{
    char text[MAX_TEXT];
    struct event e = begin(level);
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        return;
    e.text = text;
    e.len = (size_t)len < sizeof text ? (size_t)len : utf8_complete_prefix(text, sizeof text - 1);
    e.fields = fields;
    e.n_fields = n;
    write_event(&e);
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;
    if (level < lowest_level)
        return;
    va_start(args, format);
    write_formatted(level, NULL, 0, format, args);
    va_end(args);
}

void log_event(enum log_level level, const struct log_field *fields, size_t n, const char *format,
               ...)
{
    va_list args;
    if (level < lowest_level)
        return;
    va_start(args, format);
    write_formatted(level, fields, n, format, args);
    va_end(args);
}

void log_content(const char *id, const char *what, const char *text, size_t len)
{
    struct buf all = {0};
    struct event e = begin(LOG_INFO);
    buf_appendf(&all, "%s: %s: ", id, what);
    buf_append(&all, text, len);
    e.text = all.data;
    e.len = all.len;
    if (!all.failed)
        write_event(&e);
    buf_free(&all);
}

/* ---- lines of others */

/* Takes the next word off *text, to out; false when there is none or it is too long. */
static bool take_word(const char **text, size_t *len, char *out, size_t cap)
{
    size_t n = 0;
    while (n < *len && (*text)[n] != ' ')
        n++;
    if (n == 0 || n >= cap || n == *len)
        return false;
    memcpy(out, *text, n);
    out[n] = '\0';
    while (n < *len && (*text)[n] == ' ')
        n++;
    *text += n;
    *len -= n;
    return true;
}

void log_forward(const char *line, size_t len)
{
    struct event e = begin(LOG_WARN);
    char time[40], level[8], role[32];
    const char *text = line;
    size_t left = len;
    bool ours = take_word(&text, &left, time, sizeof time) &&
                take_word(&text, &left, level, sizeof level) &&
                take_word(&text, &left, role, sizeof role) && log_level_from_name(level) >= 0 &&
                role[strlen(role) - 1] == ':';
    e.role = "child";
    e.text = line;
    e.len = len;
    if (ours) {
        role[strlen(role) - 1] = '\0';
        snprintf(e.time, sizeof e.time, "%s", time);
        e.level = level_names[log_level_from_name(level)];
        e.role = role;
        e.text = text;
        e.len = left;
    }
    if (log_level_from_name(e.level) >= (int)lowest_level)
        write_event(&e);
}
