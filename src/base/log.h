/* One line per event on standard error: time, level, role, text. Never prompts, images or keys. */
#pragma once

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

void log_set_level(enum log_level lowest);
void log_set_role(const char *role); /* a string that lives as long as the process */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
