#include "front/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/control_group.h"
#include "front/config_internal.h"

#define KIND_number  KIND_NUMBER
#define KIND_size    KIND_SIZE
#define KIND_text    KIND_TEXT
#define KIND_secret  KIND_SECRET
#define KIND_choice  KIND_CHOICE
#define KIND_list    KIND_LIST
#define KIND_toggle  KIND_TOGGLE
#define GROUP(title) {NULL, KIND_GROUP, WHEN_RESTART, 0, 0, 0, NULL, NULL, NULL, title},
#define SETTING(member, kind, when, min, max, standard, value, variables, help)                    \
    {#member, KIND_##kind, WHEN_##when, offsetof(struct config, member), min, max, standard,       \
     value,   variables,   help},
const struct setting config_settings[CONFIG_LINES] = {
#include "front/settings.def"
};
#undef GROUP
#undef SETTING

/* Texts that the config owns. */
struct config_text_kept {
    struct config_text_kept *next;
    char text[];
};

const char *config_keep(struct config *config, const char *text, size_t len)
{
    struct config_text_kept *kept = malloc(sizeof *kept + len + 1);
    if (!kept)
        return NULL;
    memcpy(kept->text, text, len);
    kept->text[len] = '\0';
    kept->next = config->kept;
    config->kept = kept;
    return kept->text;
}

void config_free(struct config *config)
{
    for (struct config_text_kept *k = config->kept, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    auth_keys_free(&config->keys);
    *config = (struct config){0};
}

/* ---- names */

static void spell(const char *member, const char *prefix, char underscore, bool upper,
                  char out[SETTING_NAME_BYTES])
{
    size_t n = 0;
    for (const char *p = prefix; *p; p++)
        out[n++] = *p;
    for (const char *p = member; *p && n < SETTING_NAME_BYTES - 1; p++)
        out[n++] = *p == '_' ? underscore : upper ? (char)toupper((unsigned char)*p) : *p;
    out[n] = '\0';
}

void setting_name(const struct setting *s, char out[SETTING_NAME_BYTES])
{
    spell(s->member, "", '-', false, out);
}

void setting_variable(const struct setting *s, char out[SETTING_NAME_BYTES])
{
    spell(s->member, "VLMD_", '_', true, out);
}

const struct setting *setting_find(const char *name, size_t len)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        char own[SETTING_NAME_BYTES];
        if (config_settings[i].kind == KIND_GROUP)
            continue;
        setting_name(&config_settings[i], own);
        if (strlen(own) == len && strncmp(own, name, len) == 0)
            return &config_settings[i];
    }
    return NULL;
}

/* ---- values */

const void *setting_member(const struct config *config, const struct setting *s)
{
    return (const char *)config + s->offset;
}

static void *member(struct config *config, const struct setting *s)
{
    return (char *)config + s->offset;
}

bool setting_read_toggle(const char *text, bool *out)
{
    static const char *const words[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) != 0)
            continue;
        *out = i % 2 == 0;
        return true;
    }
    return false;
}

static const char size_units[] = "kmgt";

void setting_append_size(struct buf *out, int64_t bytes)
{
    int unit = -1;
    while (bytes != 0 && bytes % 1024 == 0 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    buf_appendf(out, "%lld%.*s", (long long)bytes, unit < 0 ? 0 : 1,
                unit < 0 ? "" : &size_units[unit]);
}

/* A whole number, for sizes with a unit behind it. */
static bool read_number(const struct setting *s, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno != 0 || isspace((unsigned char)*text))
        return false;
    const char *unit = *end ? strchr(size_units, tolower((unsigned char)*end)) : NULL;
    if (s->kind == KIND_SIZE && unit) {
        int64_t factor = (int64_t)1 << (10 * (unit - size_units + 1));
        if (value > INT64_MAX / factor || value < 0)
            return false;
        value *= factor;
        end++;
    }
    *out = value;
    return *end == '\0' && value >= s->min && value <= s->max;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|')) {
        p += *p == '|';
        if (strcspn(p, "|") == len && strncmp(p, text, len) == 0)
            return true;
    }
    return false;
}

static int wrong(const struct setting *s, const char *at, const char *text, struct vlmd_error *err)
{
    char name[SETTING_NAME_BYTES];
    setting_name(s, name);
    if (s->kind == KIND_TOGGLE)
        return err_set(err, VLMD_INVALID, name, "%s wants yes or no, not %s", at, text);
    if (s->kind == KIND_CHOICE)
        return err_set(err, VLMD_INVALID, name, "%s wants one of %s, not %s", at, s->value, text);
    return err_set(err, VLMD_INVALID, name, "%s wants a number from %lld to %lld, not %s", at,
                   (long long)s->min, (long long)s->max, text);
}

static int add_to_list(struct config *config, const struct setting *s, const char *text, bool taken,
                       struct vlmd_error *err)
{
    struct config_list *list = member(config, s);
    char name[SETTING_NAME_BYTES];
    setting_name(s, name);
    if (*text == '\0')
        return err_set(err, VLMD_INVALID, name, "%s wants a value", name);
    if (taken)
        return 0;
    if (list->n == CONFIG_LIST_MAX)
        return err_set(err, VLMD_TOO_LARGE, name, "%s may be given at most %d times", name,
                       CONFIG_LIST_MAX);
    list->items[list->n] = config_keep(config, text, strlen(text));
    if (!list->items[list->n])
        return err_no_memory(err, strlen(text));
    list->n++;
    return 0;
}

static int set_text(struct config *config, const struct setting *s, const char *text,
                    struct vlmd_error *err)
{
    const char *kept = *text ? config_keep(config, text, strlen(text)) : NULL;
    if (*text && !kept)
        return err_no_memory(err, strlen(text));
    *(const char **)member(config, s) = kept;
    return 0;
}

/* `taken`: the value is only checked. */
static int set_value(struct config *config, const struct setting *s, const char *text, bool taken,
                     const char *at, struct vlmd_error *err)
{
    int64_t number;
    bool yes;
    switch (s->kind) {
    case KIND_GROUP:
        break;
    case KIND_NUMBER:
    case KIND_SIZE:
        if (!read_number(s, text, &number))
            return wrong(s, at, text, err);
        if (!taken)
            *(int64_t *)member(config, s) = number;
        break;
    case KIND_TOGGLE:
        if (!setting_read_toggle(text, &yes))
            return wrong(s, at, text, err);
        if (!taken)
            *(bool *)member(config, s) = yes;
        break;
    case KIND_CHOICE:
        if (!is_choice(s->value, text))
            return wrong(s, at, text, err);
        return taken ? 0 : set_text(config, s, text, err);
    case KIND_TEXT:
    case KIND_SECRET:
        return taken ? 0 : set_text(config, s, text, err);
    case KIND_LIST:
        return add_to_list(config, s, text, taken, err);
    }
    return 0;
}

int config_set(struct config *config, const struct setting *s, const char *text,
               struct config_origin origin, const char *at, struct vlmd_error *err)
{
    struct config_origin *now = &config->origins[s - config_settings];
    bool taken = now->source > origin.source;
    if (set_value(config, s, text, taken, at, err) < 0)
        return -1;
    if (!taken)
        *now = origin;
    return 0;
}

/* ---- what is not said */

uint64_t config_machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t allowed = control_group_memory("");
    return allowed > 0 && allowed < bytes ? allowed : bytes;
}

static const char *detect_machine_type(uint64_t memory_bytes)
{
    const uint64_t gb = 1000000000u;
    if (memory_bytes >= 64 * gb)
        return "high-memory";
    return memory_bytes >= 24 * gb ? "medium-memory" : "low-memory";
}

/* The part of "a|b|c" for this machine. */
static const char *of_tier(struct config *config, const char *standard)
{
    static const char *const types[] = {"high-memory", "medium-memory"};
    for (size_t i = 0; i < 2 && strcmp(config->machine_type, types[i]) != 0; i++)
        standard = strchr(standard, '|') + 1;
    return config_keep(config, standard, strcspn(standard, "|"));
}

static int set_default(struct config *config, const struct setting *s, struct vlmd_error *err)
{
    struct config_origin origin = {.source = CONFIG_DEFAULT};
    const char *standard = s->standard;
    if (!standard)
        return 0;
    if (strchr(standard, '|')) {
        origin.source = CONFIG_DETECTED;
        standard = of_tier(config, standard);
        if (!standard)
            return err_no_memory(err, 16);
    }
    return config_set(config, s, standard, origin, s->member, err);
}

static int set_defaults(struct config *config, struct vlmd_error *err)
{
    const struct setting *type = setting_find("machine-type", strlen("machine-type"));
    struct config_origin detected = {.source = CONFIG_DETECTED};
    if (config_set(config, type, detect_machine_type(config->memory_bytes), detected, type->member,
                   err) < 0)
        return -1;
    for (size_t i = 0; i < CONFIG_LINES; i++)
        if (config->origins[i].source == CONFIG_NOT_SET &&
            set_default(config, &config_settings[i], err) < 0)
            return -1;
    return 0;
}

/* ---- all together */

/* Keys of the file of settings are there already. */
static int read_keys(struct config *config, struct vlmd_error *err)
{
    if (config->key_file && config_read_keys(config, config->key_file, err) < 0)
        return -1;
    if (config->api_key && (auth_keys_begin(&config->keys, "api-key", err) < 0 ||
                            auth_keys_set(&config->keys, "secret", config->api_key, err) < 0))
        return -1;
    return auth_keys_check(&config->keys, err);
}

static int check_together(const struct config *config, struct vlmd_error *err)
{
    if (config->port != 0 && config->port == config->admin_port)
        return err_set(err, VLMD_INVALID, "admin-port", "port and admin-port are both %lld",
                       (long long)config->port);
    return 0;
}

int config_read(struct config *out, const struct config_input *input, struct vlmd_error *err)
{
    *out = (struct config){.memory_bytes = input->memory_bytes};
    if (config_read_arguments(out, input->argc, input->argv, err) < 0)
        return -1;
    if (out->help)
        return 0;
    if (config_read_environment(out, input->environment, err) < 0)
        return -1;
    if (out->config && config_read_file(out, out->config, err) < 0)
        return -1;
    if (set_defaults(out, err) < 0 || read_keys(out, err) < 0)
        return -1;
    return check_together(out, err);
}

/* ---- while the server runs */

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool same(const struct config *a, const struct config *b, const struct setting *s)
{
    const void *one = setting_member(a, s), *other = setting_member(b, s);
    switch (s->kind) {
    case KIND_NUMBER:
    case KIND_SIZE:
        return *(const int64_t *)one == *(const int64_t *)other;
    case KIND_TOGGLE:
        return *(const bool *)one == *(const bool *)other;
    case KIND_LIST:
        return same_list(one, other);
    case KIND_TEXT:
    case KIND_SECRET:
    case KIND_CHOICE: {
        const char *x = *(const char *const *)one, *y = *(const char *const *)other;
        return x && y ? strcmp(x, y) == 0 : x == y;
    }
    case KIND_GROUP:
        break;
    }
    return true;
}

static int take_over(struct config *running, const struct config *fresh, const struct setting *s,
                     struct vlmd_error *err)
{
    const void *from = setting_member(fresh, s);
    switch (s->kind) {
    case KIND_NUMBER:
    case KIND_SIZE:
        *(int64_t *)member(running, s) = *(const int64_t *)from;
        break;
    case KIND_TOGGLE:
        *(bool *)member(running, s) = *(const bool *)from;
        break;
    case KIND_TEXT:
    case KIND_SECRET:
    case KIND_CHOICE: {
        const char *text = *(const char *const *)from;
        return set_text(running, s, text ? text : "", err);
    }
    case KIND_LIST: {
        const struct config_list *list = from;
        *(struct config_list *)member(running, s) = (struct config_list){0};
        for (size_t i = 0; i < list->n; i++)
            if (add_to_list(running, s, list->items[i], false, err) < 0)
                return -1;
        break;
    }
    case KIND_GROUP:
        break;
    }
    return 0;
}

int config_reload(struct config *running, const struct config *fresh, struct buf *applied,
                  struct buf *waiting, struct vlmd_error *err)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        if (s->when == WHEN_COMMAND || same(running, fresh, s))
            continue;
        struct buf *names = s->when == WHEN_RELOAD ? applied : waiting;
        char name[SETTING_NAME_BYTES];
        setting_name(s, name);
        buf_appendf(names, "%s%s", names->len > 0 ? ", " : "", name);
        if (s->when == WHEN_RELOAD && take_over(running, fresh, s, err) < 0)
            return -1;
    }
    if (auth_keys_same(&running->keys, &fresh->keys))
        return 0;
    struct auth_keys keys;
    if (auth_keys_copy(&keys, &fresh->keys, err) < 0)
        return -1;
    auth_keys_free(&running->keys);
    running->keys = keys;
    buf_appendf(applied, "%sthe keys", applied->len > 0 ? ", " : "");
    return 0;
}

int config_join(const struct config_list *list, char *out, size_t cap)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < list->n; i++) {
        size_t len = strlen(list->items[i]);
        if (len + 1 >= cap - used)
            return -1;
        if (i > 0)
            out[used++] = ',';
        memcpy(out + used, list->items[i], len + 1);
        used += len;
    }
    return 0;
}

bool config_is_default(const struct config *config, const char *name)
{
    for (size_t i = 0; i < CONFIG_LINES; i++)
        if (config_settings[i].member && strcmp(config_settings[i].member, name) == 0)
            return config->origins[i].source <= CONFIG_DETECTED;
    return true;
}
