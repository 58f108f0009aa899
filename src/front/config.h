/* The server's settings: what settings.def declares, read from the command line, the environment, a
 * file and what is detected, in this order of precedence. What a setting does is its user's matter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "front/auth.h"

enum {
    CONFIG_LIST_MAX = 16,
    CONFIG_BLOCKS_BYTES = 1024, /* for config_join of networks */
};

struct config_list {
    const char *items[CONFIG_LIST_MAX];
    size_t n;
};

/* The kinds of settings.def. A text that is not set is NULL. */
typedef int64_t config_number;
typedef int64_t config_size;
typedef const char *config_text;
typedef const char *config_secret;
typedef const char *config_choice;
typedef struct config_list config_list;
typedef bool config_toggle;

/* Lines of settings.def. */
enum {
#define GROUP(title)         +1
#define SETTING(member, ...) +1
    CONFIG_LINES = 0
#include "front/settings.def"
#undef GROUP
#undef SETTING
};

enum config_source {
    CONFIG_NOT_SET,
    CONFIG_DEFAULT,
    CONFIG_DETECTED,
    CONFIG_FILE,
    CONFIG_ENVIRONMENT,
    CONFIG_FLAG,
};

struct config_origin {
    enum config_source source;
    const char *variable; /* with CONFIG_ENVIRONMENT */
    unsigned line;        /* with CONFIG_FILE */
};

/* Texts belong to the config. */
struct config {
#define GROUP(title)
#define SETTING(member, kind, ...) config_##kind member;
#include "front/settings.def"
#undef GROUP
#undef SETTING
    struct config_origin origins[CONFIG_LINES]; /* by line of settings.def */
    struct auth_keys keys;                      /* of all sources */
    bool keys_exposed;                          /* others may read a file that has some */
    uint64_t memory_bytes;                      /* of the machine */
    struct config_text_kept *kept;
};

struct config_input {
    int argc;
    char *const *argv;        /* options only */
    char *const *environment; /* "NAME=value", ended by NULL; or NULL */
    uint64_t memory_bytes;    /* of the machine; 0: not known */
};

/* Reads everything. Errors name the setting as their field and say where the wrong value stands.
 * `out` is to be freed in any case. With --help the rest is not looked at. */
int config_read(struct config *out, const struct config_input *input, struct vlmd_error *err);
void config_free(struct config *config);
/* Physical memory of this machine, 0 when unknown. */
uint64_t config_machine_memory(void);

/* Takes the settings over that may change while the server runs. Appends to `applied` and `waiting`
 * the names (separated by ", ") of those that changed now and of those that want a restart. Texts
 * are copied. -1 without memory. */
int config_reload(struct config *running, const struct config *fresh, struct buf *applied,
                  struct buf *waiting, struct vlmd_error *err);

/* Joins a list of texts with commas. -1: they do not fit. */
int config_join(const struct config_list *list, char *out, size_t cap);

/* Was the setting (a member of struct config) left to its default? */
bool config_is_default(const struct config *config, const char *member);
/* Appends the options as --help shows them. */
void config_append_help(struct buf *out);
/* Appends the settings as a file of settings that means the same, with the origin of each. */
void config_append_effective(struct buf *out, const struct config *config);
/* Appends tables for docs/CONFIGURATION.md, and the part on settings of the manual page (roff). */
void config_append_markdown(struct buf *out);
void config_append_manual(struct buf *out);
/* Appends a line for everything that people should know: variables of the Python server that mean
 * nothing here, keys that others can read. */
void config_append_notes(struct buf *out, const struct config *config, char *const *environment);
