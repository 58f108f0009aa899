#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "front/config_internal.h"

#define HELP_COLUMN 28

/* ---- pieces */

static void append_flag(struct buf *out, const struct setting *s)
{
    char name[SETTING_NAME_BYTES];
    setting_name(s, name);
    bool turned_off = s->kind == KIND_TOGGLE && s->standard && strcmp(s->standard, "yes") == 0;
    buf_appendf(out, "--%s%s", turned_off ? "no-" : "", name);
}

/* The default as people read it; nothing where the help says it. Returns whether there is one. */
static bool append_default(struct buf *out, const struct setting *s)
{
    if (!s->standard)
        return false;
    const char *p = s->standard;
    const char *second = strchr(p, '|');
    if (!second) {
        buf_append_text(out, p);
        return true;
    }
    const char *third = strchr(second + 1, '|');
    buf_appendf(out, "%.*s, %.*s or %s by machine-type", (int)(second - p), p,
                (int)(third - second - 1), second + 1, third + 1);
    return true;
}

static bool default_is_said(const struct setting *s)
{
    return !s->standard || s->kind == KIND_TOGGLE || strcmp(s->standard, "0") == 0;
}

/* ---- --help */

/* Text in lines of at most 100 columns from HELP_COLUMN on. */
static void append_wrapped(struct buf *out, const char *text)
{
    size_t column = HELP_COLUMN;
    for (const char *p = text; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (p != text && column + 1 + len > 99) {
            buf_appendf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (p != text) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, p, len);
        column += len;
        p += len;
    }
    buf_append_char(out, '\n');
}

static void append_help_of(struct buf *out, const struct setting *s)
{
    size_t start = out->len;
    struct buf text = {0};
    buf_append_text(out, "  ");
    append_flag(out, s);
    if (s->value)
        buf_appendf(out, " %s", s->value);
    size_t width = out->len - start;
    if (width + 1 < HELP_COLUMN)
        buf_appendf(out, "%*s", (int)(HELP_COLUMN - width), "");
    else
        buf_appendf(out, "\n%*s", HELP_COLUMN, "");
    buf_append_text(&text, s->help);
    if (!default_is_said(s)) {
        buf_append_text(&text, " (default: ");
        append_default(&text, s);
        buf_append_char(&text, ')');
    }
    append_wrapped(out, text.data ? text.data : "");
    buf_free(&text);
}

void config_append_help(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        if (s->kind == KIND_GROUP)
            buf_appendf(out, "%s%s:\n", i > 0 ? "\n" : "", s->help);
        else
            append_help_of(out, s);
    }
}

/* ---- --check */

static void append_text_value(struct buf *out, const char *text)
{
    bool plain = *text && *text != '"' && !strstr(text, " #") && *text != '#' &&
                 !isspace((unsigned char)*text);
    buf_appendf(out, plain ? "%s" : "\"%s\"", text);
}

/* One line; item: of a list. */
static void append_value(struct buf *out, const struct config *config, const struct setting *s,
                         size_t item)
{
    const void *at = setting_member(config, s);
    switch (s->kind) {
    case KIND_NUMBER:
        buf_appendf(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case KIND_SIZE:
        setting_append_size(out, *(const int64_t *)at);
        break;
    case KIND_TOGGLE:
        buf_append_text(out, *(const bool *)at ? "yes" : "no");
        break;
    case KIND_LIST:
        append_text_value(out, ((const struct config_list *)at)->items[item]);
        break;
    case KIND_TEXT:
    case KIND_CHOICE: {
        const char *text = *(const char *const *)at;
        append_text_value(out, text ? text : "");
        break;
    }
    case KIND_SECRET:
    case KIND_GROUP:
        break;
    }
}

static void append_origin(struct buf *out, const struct config *config,
                          const struct config_origin *origin)
{
    switch (origin->source) {
    case CONFIG_NOT_SET:
    case CONFIG_DEFAULT:
        buf_append_text(out, "default");
        break;
    case CONFIG_DETECTED:
        buf_appendf(out, "detected: %s, %.1f GB", config->machine_type,
                    (double)config->memory_bytes / 1e9);
        break;
    case CONFIG_FILE:
        buf_appendf(out, "%s:%u", config->config, origin->line);
        break;
    case CONFIG_ENVIRONMENT:
        buf_append_text(out, origin->variable);
        break;
    case CONFIG_FLAG:
        buf_append_text(out, "command line");
        break;
    }
}

static bool has_value(const struct config *config, const struct setting *s)
{
    const void *at = setting_member(config, s);
    if (s->kind == KIND_LIST)
        return ((const struct config_list *)at)->n > 0;
    if (s->kind == KIND_SECRET)
        return false; /* not to be shown */
    if (s->kind == KIND_TEXT || s->kind == KIND_CHOICE)
        return *(const char *const *)at != NULL;
    return true;
}

static void append_effective_line(struct buf *out, const struct config *config,
                                  const struct setting *s, size_t item)
{
    char name[SETTING_NAME_BYTES];
    size_t start = out->len;
    setting_name(s, name);
    buf_appendf(out, "%s%s = ", has_value(config, s) ? "" : "# ", name);
    if (has_value(config, s))
        append_value(out, config, s, item);
    size_t width = out->len - start;
    buf_appendf(out, "%*s# ", width < 39 ? (int)(40 - width) : 1, "");
    append_origin(out, config, &config->origins[s - config_settings]);
    buf_append_char(out, '\n');
}

static void append_key(struct buf *out, const struct auth_key *key)
{
    buf_appendf(out, "# key %s:", key->name);
    if (key->has_priority)
        buf_appendf(out, " priority = %s,", priority_name(key->priority));
    const struct image_allowance *images = &key->images;
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"image-pixels", images->all_pixels},
        {"max-image-bytes", images->max_image_bytes},
        {"max-image-pixels", images->max_image_pixels},
        {"max-image-side", images->max_image_side},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].value > 0)
            buf_appendf(out, " %s = %llu,", lines[i].name, (unsigned long long)lines[i].value);
    if (images->max_images != ALLOWANCE_OF_SERVER)
        buf_appendf(out, " max-images = %d,", (int)images->max_images);
    buf_appendf(out, " rate-limit = %u, admin = %s\n", key->rate_limit, key->admin ? "yes" : "no");
}

void config_append_effective(struct buf *out, const struct config *config)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        if (s->when == WHEN_COMMAND)
            continue;
        if (s->kind == KIND_GROUP) {
            if (i + 1 < CONFIG_LINES && config_settings[i + 1].when != WHEN_COMMAND)
                buf_appendf(out, "%s# %s\n", i > 0 ? "\n" : "", s->help);
            continue;
        }
        const struct config_list *list = s->kind == KIND_LIST ? setting_member(config, s) : NULL;
        size_t n = list && list->n > 1 ? list->n : 1;
        for (size_t item = 0; item < n; item++)
            append_effective_line(out, config, s, item);
    }
    for (size_t i = 0; i < config->keys.n; i++) {
        buf_append_text(out, i > 0 ? "" : "\n");
        append_key(out, &config->keys.items[i]);
    }
}

/* ---- documentation */

static const char *when_text(const struct setting *s)
{
    static const char *const texts[] = {"start", "SIGHUP", "flag only"};
    return texts[s->when];
}

static void append_range(struct buf *out, const struct setting *s)
{
    switch (s->kind) {
    case KIND_NUMBER:
        buf_appendf(out, "%lld to %lld", (long long)s->min, (long long)s->max);
        break;
    case KIND_SIZE:
        setting_append_size(out, s->min);
        buf_append_text(out, " to ");
        setting_append_size(out, s->max);
        break;
    case KIND_TOGGLE:
        buf_append_text(out, "yes, no");
        break;
    case KIND_CHOICE:
        for (const char *p = s->value; *p; p++)
            buf_append_text(out, *p == '|' ? ", " : (char[]){*p, '\0'});
        break;
    case KIND_LIST:
        buf_appendf(out, "up to %d texts", CONFIG_LIST_MAX);
        break;
    case KIND_TEXT:
    case KIND_SECRET:
    case KIND_GROUP:
        buf_append_text(out, "text");
        break;
    }
}

static void append_markdown_row(struct buf *out, const struct setting *s)
{
    char name[SETTING_NAME_BYTES], variable[SETTING_NAME_BYTES];
    setting_name(s, name);
    setting_variable(s, variable);
    buf_appendf(out, "| `%s` | %s | ", name, s->help);
    append_range(out, s);
    buf_append_text(out, " | ");
    append_default(out, s);
    buf_append_text(out, " | ");
    if (s->when != WHEN_COMMAND)
        buf_appendf(out, "`%s` ", variable);
    for (const char *p = s->variables; p && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        buf_appendf(out, "`%.*s` ", (int)len, p);
        p += len;
    }
    buf_appendf(out, "| %s |\n", when_text(s));
}

void config_append_markdown(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        if (s->kind == KIND_GROUP)
            buf_appendf(out,
                        "%s### %s\n\n| setting | what it does | values | default | variables | "
                        "taken at |\n|---|---|---|---|---|---|\n",
                        i > 0 ? "\n" : "", s->help);
        else
            append_markdown_row(out, s);
    }
}

/* Text that roff sets as it stands. */
static void append_roff(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            buf_append_text(out, "\\e");
        else if (*p == '-')
            buf_append_text(out, "\\-");
        else
            buf_append_char(out, *p);
    }
}

static void append_manual_entry(struct buf *out, const struct setting *s)
{
    struct buf text = {0};
    char variable[SETTING_NAME_BYTES];
    setting_variable(s, variable);
    append_flag(&text, s);
    buf_append_text(out, ".TP\n.B ");
    append_roff(out, text.data ? text.data : "");
    if (s->value) {
        buf_append_text(out, " \\fI");
        append_roff(out, s->value);
        buf_append_text(out, "\\fR");
    }
    buf_reset(&text);
    buf_appendf(&text, "\n%s", s->help);
    if (!default_is_said(s)) {
        buf_append_text(&text, " (default: ");
        append_default(&text, s);
        buf_append_char(&text, ')');
    }
    if (s->kind == KIND_NUMBER)
        buf_appendf(&text, "; %lld to %lld", (long long)s->min, (long long)s->max);
    if (s->when != WHEN_COMMAND)
        buf_appendf(&text, ". %s%s%s%s", variable, s->variables ? " " : "",
                    s->variables ? s->variables : "", s->when == WHEN_RELOAD ? "; SIGHUP" : "");
    buf_append_char(&text, '\n');
    append_roff(out, text.data ? text.data : "");
    buf_free(&text);
}

void config_append_manual(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        if (s->kind == KIND_GROUP)
            buf_appendf(out, ".SS %s\n", s->help);
        else
            append_manual_entry(out, s);
    }
}

/* ---- notes */

/* Variables of the Python server that mean nothing here. */

static const struct {
    const char *name;
    const char *why;
} meaningless[] = {
    {"MLX_USE_STDIO", "pixels always travel in shared memory"},
    {"VISION_RESIZE_CACHE_ENABLED", "resized images are not kept"},
    {"VISION_RESIZE_CACHE_SIZE", "resized images are not kept"},
    {"VISION_RESIZE_CACHE_TTL", "resized images are not kept"},
};

/* Does a setting have this variable? */
static bool is_variable(const char *name, size_t len)
{
    for (size_t i = 0; i < CONFIG_LINES; i++)
        for (const char *p = config_settings[i].variables; p && *p; p += strspn(p, " ")) {
            size_t n = strcspn(p, " ");
            if (n == len && strncmp(p, name, len) == 0)
                return true;
            p += n;
        }
    return false;
}

/* Other programs have variables too, but hardly any that begin so. */
static bool sounds_like_ours(const char *name)
{
    static const char *const prefixes[] = {"MLX_QUEUE_", "MLX_RATE_LIMIT_", "VISION_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void append_meaningless(struct buf *out, const char *variable)
{
    size_t len = strcspn(variable, "=");
    if (variable[len] == '\0' || variable[len + 1] == '\0')
        return;
    for (size_t i = 0; i < sizeof meaningless / sizeof *meaningless; i++) {
        if (strlen(meaningless[i].name) != len || strncmp(variable, meaningless[i].name, len) != 0)
            continue;
        buf_appendf(out, "%s has no effect: %s\n", meaningless[i].name, meaningless[i].why);
        return;
    }
    if (sounds_like_ours(variable) && !is_variable(variable, len))
        buf_appendf(out, "%.*s has no effect: there is no such setting\n", (int)len, variable);
}

void config_append_notes(struct buf *out, const struct config *config, char *const *environment)
{
    for (; environment && *environment; environment++)
        append_meaningless(out, *environment);
    if (config->keys_exposed)
        buf_append_text(out, "API keys stand in a file that other users may read\n");
}
