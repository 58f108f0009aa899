#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level lowest_level = LOG_INFO;
static const char *process_role = "vlmd";

void log_set_level(enum log_level lowest)
{
    lowest_level = lowest;
}

void log_set_role(const char *role)
{
    process_role = role;
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < lowest_level)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    gmtime_r(&now.tv_sec, &tm);
    char line[1024];
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    used +=
        (size_t)snprintf(line + used, sizeof line - used,
                         ".%03ldZ %-5s %s: ", now.tv_nsec / 1000000, names[level], process_role);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    size_t room = sizeof line - used - 2;
    used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    for (char *p = line; p < line + used; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' '; /* one event stays one line, and no terminal is driven by logged text */
    line[used++] = '\n';
    /* One write, so that lines of several processes do not mix. */
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
}
