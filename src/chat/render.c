#include "chat/render.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum {
    CONFIG_MAX = 64 << 20, /* tokenizer_config.json may list every added token */
};

struct chat_renderer {
    chat_template *tmpl;
    json_t *tokenizer_config; /* owns the tokens; NULL when the checkpoint has none */
    const char *bos_token, *eos_token;
};

/* 1 and the file's path in *path when the folder has it, 0 when not, -1 with *err. */
static int find_file(const char *folder, const char *name, char **path, struct vlmd_error *err)
{
    *path = file_join(folder, name);
    if (!*path)
        return err_no_memory(err, strlen(folder) + strlen(name) + 2);
    if (access(*path, F_OK) == 0)
        return 1;
    free(*path);
    *path = NULL;
    return 0;
}

/* The JSON object of a file, or NULL in *object when there is no such file. */
static int load_object(const char *folder, const char *name, json_t **object,
                       struct vlmd_error *err)
{
    char *path;
    *object = NULL;
    int found = find_file(folder, name, &path, err);
    if (found <= 0)
        return found;
    *object = json_parse_file(path, CONFIG_MAX, err);
    free(path);
    if (!*object)
        return -1;
    if (json_is_object(*object))
        return 0;
    json_decref(*object);
    *object = NULL;
    return err_set(err, VLMD_FORMAT, name, "%s must hold an object", name);
}

/* A token is written as a string, or as an object with its content. */
static int read_token(const json_t *config, const char *key, const char **token,
                      struct vlmd_error *err)
{
    json_t *value = json_object_get(config, key);
    if (json_is_object(value))
        return json_get_string(value, "content", token, err) < 0 ? -1 : 0;
    return json_get_string(config, key, token, err) < 0 ? -1 : 0;
}

/* The source in a "chat_template" entry: a string, or the default one of a list. NULL without
 * *err when there is none. */
static const json_t *template_entry(const json_t *object)
{
    const json_t *entry = json_object_get(object, "chat_template");
    if (!json_is_array(entry))
        return json_is_string(entry) ? entry : NULL;
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(entry); i++) {
        const json_t *item = json_array_get(entry, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            found = json_object_get(item, "template");
    }
    return json_is_string(found) ? found : NULL;
}

static int open_entry(chat_renderer *renderer, const json_t *entry, struct vlmd_error *err)
{
    renderer->tmpl = chat_template_open(json_string_value(entry), json_string_length(entry), err);
    return renderer->tmpl ? 1 : -1;
}

/* Each of the three places: 1 when the template was read from it, 0 when it is not there. */
static int from_jinja(chat_renderer *renderer, const char *folder, struct vlmd_error *err)
{
    char *path;
    int found = find_file(folder, "chat_template.jinja", &path, err);
    if (found <= 0)
        return found;
    size_t len;
    char *source = file_read(path, CHAT_TEMPLATE_SOURCE_MAX, &len, err);
    free(path);
    if (!source)
        return -1;
    renderer->tmpl = chat_template_open(source, len, err);
    free(source);
    return renderer->tmpl ? 1 : -1;
}

static int from_json(chat_renderer *renderer, const char *folder, struct vlmd_error *err)
{
    json_t *object;
    if (load_object(folder, "chat_template.json", &object, err) < 0)
        return -1;
    const json_t *entry = template_entry(object);
    int found = entry ? open_entry(renderer, entry, err) : 0;
    json_decref(object);
    return found;
}

static int from_config(chat_renderer *renderer, struct vlmd_error *err)
{
    const json_t *entry = template_entry(renderer->tokenizer_config);
    return entry ? open_entry(renderer, entry, err) : 0;
}

static int find_template(chat_renderer *renderer, const char *folder, struct vlmd_error *err)
{
    int found = from_jinja(renderer, folder, err);
    if (found == 0)
        found = from_json(renderer, folder, err);
    if (found == 0)
        found = from_config(renderer, err);
    if (found == 0)
        return err_set(err, VLMD_NOT_FOUND, "chat_template",
                       "%s has no chat template: neither chat_template.jinja nor "
                       "chat_template.json nor \"chat_template\" in tokenizer_config.json",
                       folder);
    return found < 0 ? -1 : 0;
}

static int open_folder(chat_renderer *renderer, const char *folder, struct vlmd_error *err)
{
    if (load_object(folder, "tokenizer_config.json", &renderer->tokenizer_config, err) < 0)
        return -1;
    if (renderer->tokenizer_config &&
        (read_token(renderer->tokenizer_config, "bos_token", &renderer->bos_token, err) < 0 ||
         read_token(renderer->tokenizer_config, "eos_token", &renderer->eos_token, err) < 0))
        return -1;
    return find_template(renderer, folder, err);
}

chat_renderer *chat_renderer_open(const char *folder, struct vlmd_error *err)
{
    chat_renderer *renderer = calloc(1, sizeof *renderer);
    if (!renderer) {
        err_no_memory(err, sizeof *renderer);
        return NULL;
    }
    if (open_folder(renderer, folder, err) == 0)
        return renderer;
    chat_renderer_close(renderer);
    return NULL;
}

void chat_renderer_close(chat_renderer *renderer)
{
    if (!renderer)
        return;
    chat_template_close(renderer->tmpl);
    json_decref(renderer->tokenizer_config);
    free(renderer);
}

int chat_render(const chat_renderer *renderer, const json_t *messages, const json_t *tools,
                const json_t *extra, bool add_generation_prompt, struct chat_output *out,
                struct vlmd_error *err)
{
    const struct chat_context context = {.messages = messages,
                                         .tools = tools,
                                         .extra = extra,
                                         .add_generation_prompt = add_generation_prompt,
                                         .bos_token = renderer->bos_token,
                                         .eos_token = renderer->eos_token};
    return chat_template_render(renderer->tmpl, &context, out, err);
}
