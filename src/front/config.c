#include "front/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum type {
    TYPE_NUMBER,
    TYPE_TEXT,
    TYPE_FLAG,
    TYPE_MODELS,
};

static const struct setting {
    const char *name;
    enum type type;
    size_t offset;
    int64_t min, max;
    const char *standard; /* the default, as it would be typed */
    const char *value;    /* what --help calls it */
    const char *help;
} settings[] = {
#define AT(member) offsetof(struct config, member)
    {"--model", TYPE_MODELS, AT(models), 0, 0, NULL, "NAME",
     "folder or id of a model; may be given several times (default: vlmd-tiny)"},
    {"--host", TYPE_TEXT, AT(host), 0, 0, "127.0.0.1", "ADDRESS", "IP address to listen on"},
    {"--port", TYPE_NUMBER, AT(port), 0, 65535, "11440", "N", "port of the API; 0: any free one"},
    {"--admin-port", TYPE_NUMBER, AT(admin_port), 0, 65535, "11441", "N",
     "port of the admin, always on 127.0.0.1; 0: any free one"},
    {"--threads", TYPE_NUMBER, AT(threads), 0, 1024, "0", "N",
     "threads of each model; 0: one per processor"},
    {"--kv-tokens", TYPE_NUMBER, AT(kv_tokens), 0, INT32_MAX, "0", "N",
     "tokens that each model can keep in mind for all its requests together; 0: the engine's "
     "default"},
    {"--isa", TYPE_TEXT, AT(isa), 0, 0, "auto", "NAME", "kernels: auto, c, avx2, neon"},
    {"--max-requests", TYPE_NUMBER, AT(max_requests), 1, 100000, "256", "N",
     "completions worked on or waiting at once; more are answered with 503"},
    {"--max-images", TYPE_NUMBER, AT(max_images), 0, 64, "16", "N", "images in one request"},
    {"--decoders", TYPE_NUMBER, AT(decoders), 1, 64, "2", "N", "processes that decode images"},
    {"--decode-seconds", TYPE_NUMBER, AT(decode_seconds), 1, 3600, "20", "N",
     "time for decoding one image"},
    {"--drain-seconds", TYPE_NUMBER, AT(drain_seconds), 0, 3600, "20", "N",
     "time for running requests after SIGTERM"},
    {"--no-sandbox", TYPE_FLAG, AT(no_sandbox), 0, 0, NULL, NULL,
     "decode images without a sandbox, where the system offers none"},
    {"--verbose", TYPE_FLAG, AT(verbose), 0, 0, NULL, NULL, "log more"},
    {"--worker-program", TYPE_TEXT, AT(worker_program), 0, 0, NULL, "PATH",
     "program to run in the worker's role, for tests (default: this one)"},
    {"--help", TYPE_FLAG, AT(help), 0, 0, NULL, NULL, "this text"},
#undef AT
};

#define N_SETTINGS (sizeof settings / sizeof *settings)

static void *member(struct config *config, const struct setting *s)
{
    return (char *)config + s->offset;
}

void config_defaults(struct config *config)
{
    *config = (struct config){0};
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (s->type == TYPE_NUMBER)
            *(int64_t *)member(config, s) = strtoll(s->standard, NULL, 10);
        if (s->type == TYPE_TEXT)
            *(const char **)member(config, s) = s->standard;
    }
}

static const struct setting *find(const char *name, size_t len)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (strlen(settings[i].name) == len && strncmp(settings[i].name, name, len) == 0)
            return &settings[i];
    return NULL;
}

static int set_number(struct config *config, const struct setting *s, const char *text,
                      struct vlmd_error *err)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < s->min || value > s->max)
        return err_set(err, VLMD_INVALID, s->name, "%s wants a number from %lld to %lld, not %s",
                       s->name, (long long)s->min, (long long)s->max, text);
    *(int64_t *)member(config, s) = value;
    return 0;
}

static int set(struct config *config, const struct setting *s, const char *value,
               struct vlmd_error *err)
{
    switch (s->type) {
    case TYPE_NUMBER:
        return set_number(config, s, value, err);
    case TYPE_TEXT:
        *(const char **)member(config, s) = value;
        return 0;
    case TYPE_MODELS:
        if (config->n_models == CONFIG_MAX_MODELS)
            return err_set(err, VLMD_TOO_LARGE, s->name, "at most %d models are served at once",
                           CONFIG_MAX_MODELS);
        config->models[config->n_models++] = value;
        return 0;
    case TYPE_FLAG:
        *(bool *)member(config, s) = true;
        return 0;
    }
    return -1;
}

int config_parse(struct config *config, int argc, char *const *argv, struct vlmd_error *err)
{
    for (int i = 0; i < argc; i++) {
        const char *name = strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
        const char *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        const struct setting *s = find(name, len);
        if (!s)
            return err_set(err, VLMD_INVALID, argv[i], "unknown option: %s", argv[i]);
        if (s->type == TYPE_FLAG && equals)
            return err_set(err, VLMD_INVALID, s->name, "%s takes no value", s->name);
        const char *value = equals ? equals + 1 : NULL;
        if (s->type != TYPE_FLAG && !value) {
            if (i + 1 == argc)
                return err_set(err, VLMD_INVALID, s->name, "%s wants a value", s->name);
            value = argv[++i];
        }
        if (set(config, s, value, err) < 0)
            return -1;
    }
    return 0;
}

void config_help(struct buf *out)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        size_t start = out->len;
        buf_appendf(out, "  %s%s%s", s->name, s->value ? " " : "", s->value ? s->value : "");
        size_t width = out->len - start;
        if (width < 24)
            buf_appendf(out, "%*s", (int)(24 - width), "");
        else
            buf_appendf(out, "\n%24s", "");
        buf_append_text(out, s->help);
        if (s->standard && strcmp(s->standard, "0") != 0)
            buf_appendf(out, " (default: %s)", s->standard);
        buf_append_char(out, '\n');
    }
}
