/* What the files of the settings share: the lines of settings.def as a table, their names, and
 * setting one from a text. */
#pragma once

#include "front/config.h"

enum config_kind {
    KIND_GROUP, /* a heading, in `help` */
    KIND_NUMBER,
    KIND_SIZE,
    KIND_TEXT,
    KIND_SECRET,
    KIND_CHOICE,
    KIND_LIST,
    KIND_TOGGLE,
};

enum config_when {
    WHEN_RESTART,
    WHEN_RELOAD,
    WHEN_COMMAND,
};

struct setting {
    const char *member;
    enum config_kind kind;
    enum config_when when;
    size_t offset;
    int64_t min, max;
    const char *standard;
    const char *value;
    const char *variables;
    const char *help;
};

enum {
    SETTING_NAME_BYTES = 64,
};

extern const struct setting config_settings[CONFIG_LINES];

/* "max-images", "VLMD_MAX_IMAGES" */
void setting_name(const struct setting *s, char out[SETTING_NAME_BYTES]);
void setting_variable(const struct setting *s, char out[SETTING_NAME_BYTES]);
/* The setting of a name as flags and files have it; NULL. */
const struct setting *setting_find(const char *name, size_t len);
/* "yes", "no" and what people write instead; false when it is none of them. */
bool setting_read_toggle(const char *text, bool *out);
/* Appends a size as it would be typed: "8g", "1000". */
void setting_append_size(struct buf *out, int64_t bytes);

/* Takes the text for the setting, unless a source of higher precedence has set it already; it is
 * checked in any case. `at` says for people where it stands: "--port", "VLMD_PORT". */
int config_set(struct config *config, const struct setting *s, const char *text,
               struct config_origin origin, const char *at, struct vlmd_error *err);
/* Keeps a copy of text[0..len) as long as the config; NULL without memory. */
const char *config_keep(struct config *config, const char *text, size_t len);
const void *setting_member(const struct config *config, const struct setting *s);

/* The sources. */
int config_read_arguments(struct config *config, int argc, char *const *argv,
                          struct vlmd_error *err);
int config_read_environment(struct config *config, char *const *environment,
                            struct vlmd_error *err);
int config_read_file(struct config *config, const char *path, struct vlmd_error *err);
int config_read_keys(struct config *config, const char *path, struct vlmd_error *err);
