/* One event per line: time, level, role, text. On standard error and, when one is given, in a file;
 * as text for people or as JSON. Never prompts, images or keys, unless somebody asked for them
 * (log_content). One process's affair: children write to standard error, for which their parent may
 * put a pipe (log_forward). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

enum log_format {
    LOG_HUMAN,
    LOG_JSON,
};

void log_set_level(enum log_level lowest);
const char *log_level_name(void);    /* of the level that was set */
void log_set_role(const char *role); /* a string that lives as long as the process */
void log_set_format(enum log_format format);
/* Writes to this file too, from now on; opens it anew each time, so that a file that was moved away
 * stays as it is. NULL: to none. On failure what was open stays open. */
int log_set_file(const char *path, struct vlmd_error *err);
/* What `name` says ("info"); -1 when it is no level. */
int log_level_from_name(const char *name);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a program wants of an event. `text` NULL: the number. */
struct log_field {
    const char *name;
    const char *text;
    double number;
};

/* The text is for people, the fields for programs: JSON lines have both. */
void log_event(enum log_level level, const struct log_field *fields, size_t n, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* Text of users that was asked for, whatever its length; `what` says what it is. */
void log_content(const char *id, const char *what, const char *text, size_t len);

/* A line that another process of ours wrote (without its end), in its own words when it is none of
 * a log. */
void log_forward(const char *line, size_t len);
