#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "front/config_internal.h"

#define MAX_FILE (1u << 20)

/* ---- command line */

/* The setting that the flag names: --name, or --no-name for a toggle. */
static const struct setting *find_flag(const char *flag, size_t len, bool *no)
{
    *no = false;
    if (len < 3 || strncmp(flag, "--", 2) != 0)
        return NULL;
    const struct setting *s = setting_find(flag + 2, len - 2);
    if (s || len < 6 || strncmp(flag, "--no-", 5) != 0)
        return s;
    *no = true;
    s = setting_find(flag + 5, len - 5);
    return s && s->kind == KIND_TOGGLE ? s : NULL;
}

static int read_argument(struct config *config, int argc, char *const *argv, int *i,
                         struct vlmd_error *err)
{
    const char *flag = strcmp(argv[*i], "-h") == 0 ? "--help" : argv[*i];
    const char *equals = strchr(flag, '=');
    const char *value = equals ? equals + 1 : NULL;
    size_t len = equals ? (size_t)(equals - flag) : strlen(flag);
    struct config_origin origin = {.source = CONFIG_FLAG};
    bool no;
    const struct setting *s = find_flag(flag, len, &no);
    char at[SETTING_NAME_BYTES + 8];
    if (!s)
        return err_set(err, VLMD_INVALID, flag, "unknown option: %s", flag);
    snprintf(at, sizeof at, "%.*s", (int)len, flag);
    if (s->kind == KIND_TOGGLE) {
        if (value)
            return err_set(err, VLMD_INVALID, at, "%s takes no value", at);
        value = no ? "no" : "yes";
    } else if (!value) {
        if (*i + 1 == argc)
            return err_set(err, VLMD_INVALID, at, "%s wants a value", at);
        value = argv[++*i];
    }
    return config_set(config, s, value, origin, at, err);
}

int config_read_arguments(struct config *config, int argc, char *const *argv,
                          struct vlmd_error *err)
{
    for (int i = 0; i < argc; i++)
        if (read_argument(config, argc, argv, &i, err) < 0)
            return -1;
    return 0;
}

/* ---- environment */

static const char *variable_of(char *const *environment, const char *name, size_t len)
{
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    return NULL;
}

/* The elements of a list stand between commas. */
static int set_list(struct config *config, const struct setting *s, const char *text,
                    struct config_origin origin, struct vlmd_error *err)
{
    for (const char *p = text; *p; p += *p == ',') {
        size_t len = strcspn(p, ",");
        const char *item = config_keep(config, p, len);
        if (!item)
            return err_no_memory(err, len);
        if (len > 0 && config_set(config, s, item, origin, origin.variable, err) < 0)
            return -1;
        p += len;
    }
    return 0;
}

/* An empty variable is the same as none. */
static int read_variable(struct config *config, const struct setting *s, const char *name,
                         size_t len, char *const *environment, struct vlmd_error *err)
{
    struct config_origin *now = &config->origins[s - config_settings];
    const char *text = variable_of(environment, name, len);
    if (!text || !*text || now->source == CONFIG_ENVIRONMENT)
        return 0;
    struct config_origin origin = {.source = CONFIG_ENVIRONMENT};
    origin.variable = config_keep(config, name, len);
    if (!origin.variable)
        return err_no_memory(err, len);
    if (s->kind == KIND_LIST)
        return set_list(config, s, text, origin, err);
    return config_set(config, s, text, origin, origin.variable, err);
}

int config_read_environment(struct config *config, char *const *environment, struct vlmd_error *err)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        char own[SETTING_NAME_BYTES];
        if (s->kind == KIND_GROUP)
            continue;
        setting_variable(s, own);
        if (s->when != WHEN_COMMAND &&
            read_variable(config, s, own, strlen(own), environment, err) < 0)
            return -1;
        for (const char *p = s->variables; p && *p; p += *p == ' ') {
            size_t len = strcspn(p, " ");
            if (read_variable(config, s, p, len, environment, err) < 0)
                return -1;
            p += len;
        }
    }
    return 0;
}

/* ---- file */

struct place {
    const char *path;
    unsigned line;
    bool keys_only; /* settings do not belong here */
    bool in_key;    /* below [key NAME] */
};

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* Takes off what stands behind the value: "value  # why". Quotation marks hold everything. */
static int unwrap(char **value, const struct place *at, struct vlmd_error *err)
{
    char *text = *value;
    if (*text == '"') {
        char *end = strchr(text + 1, '"');
        char *rest = end ? end + 1 : NULL;
        while (rest && isspace((unsigned char)*rest))
            rest++;
        if (!end || (*rest && *rest != '#'))
            return err_set(err, VLMD_FORMAT, at->path, "%s:%u: a quotation mark is missing",
                           at->path, at->line);
        *end = '\0';
        *value = text + 1;
        return 0;
    }
    for (char *p = text; *p; p++) {
        if (*p == '#' && (p == text || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            break;
        }
    }
    *value = trim(text);
    return 0;
}

/* "[key NAME]" */
static int read_heading(struct config *config, char *line, struct place *at, struct vlmd_error *err)
{
    size_t len = strlen(line);
    if (strncmp(line, "[key ", 5) != 0 || line[len - 1] != ']')
        return err_set(err, VLMD_FORMAT, at->path, "%s:%u: a heading is [key NAME]", at->path,
                       at->line);
    line[len - 1] = '\0';
    at->in_key = true;
    return auth_keys_begin(&config->keys, trim(line + 5), err);
}

static int read_line(struct config *config, char *line, struct place *at, struct vlmd_error *err)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    if (*line == '[')
        return read_heading(config, line, at, err);
    char *equals = strchr(line, '=');
    if (!equals)
        return err_set(err, VLMD_FORMAT, at->path, "%s:%u: \"key = value\" is wanted", at->path,
                       at->line);
    *equals = '\0';
    char *key = trim(line), *value = trim(equals + 1);
    if (at->in_key)
        return unwrap(&value, at, err) < 0 ? -1 : auth_keys_set(&config->keys, key, value, err);
    const struct setting *s = at->keys_only ? NULL : setting_find(key, strlen(key));
    if (!s || s->when == WHEN_COMMAND)
        return err_set(err, VLMD_INVALID, key, "%s:%u: there is no setting %s", at->path, at->line,
                       key);
    if (unwrap(&value, at, err) < 0)
        return -1;
    struct config_origin origin = {.source = CONFIG_FILE, .line = at->line};
    char where[160];
    snprintf(where, sizeof where, "%s:%u: %s", at->path, at->line, key);
    return config_set(config, s, value, origin, where, err);
}

/* An error of a key says which line it means. */
static int say_where(const struct place *at, struct vlmd_error *err)
{
    struct vlmd_error bare = *err;
    if (strncmp(err->text, at->path, strlen(at->path)) == 0)
        return -1;
    return err_set(err, bare.code, bare.field, "%s:%u: %s", at->path, at->line, bare.text);
}

static bool others_may_read(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

static int read_file(struct config *config, const char *path, bool keys_only,
                     struct vlmd_error *err)
{
    size_t size, had_keys = config->keys.n;
    char *text = file_read(path, MAX_FILE, &size, err);
    struct place at = {.path = path, .keys_only = keys_only};
    int status = -1;
    if (!text)
        return -1;
    if (strlen(text) != size) {
        err_set(err, VLMD_FORMAT, path, "%s is not a text file", path);
        goto out;
    }
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        at.line++;
        if (read_line(config, line, &at, err) < 0) {
            say_where(&at, err);
            goto out;
        }
    }
    config->keys_exposed |= config->keys.n > had_keys && others_may_read(path);
    status = 0;
out:
    explicit_bzero(text, size); /* it may hold secrets */
    free(text);
    return status;
}

int config_read_file(struct config *config, const char *path, struct vlmd_error *err)
{
    return read_file(config, path, false, err);
}

int config_read_keys(struct config *config, const char *path, struct vlmd_error *err)
{
    return read_file(config, path, true, err);
}
