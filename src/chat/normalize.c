#include "chat/normalize.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

struct normalizer {
    json_t *messages, *images;
    struct vlmd_error *err;
};

static int no_memory(struct normalizer *state)
{
    return err_no_memory(state->err, sizeof(json_t));
}

/* Puts "<name>[<index>]" before the error's field. */
static int in_element(struct normalizer *state, const char *name, size_t index)
{
    char prefix[48];
    snprintf(prefix, sizeof prefix, "%s[%zu]", name, index);
    err_prefix_field(state->err, prefix);
    return -1;
}

static int require_string(struct normalizer *state, const json_t *object, const char *key,
                          const char **out)
{
    return json_require(json_get_string(object, key, out, state->err), key, state->err) < 0 ? -1
                                                                                            : 0;
}

static int add_text_part(struct normalizer *state, const json_t *part, json_t *content)
{
    const char *text;
    if (require_string(state, part, "text", &text) < 0)
        return -1;
    json_t *copy = json_pack("{s:s, s:s}", "type", "text", "text", text);
    return copy && json_array_append_new(content, copy) == 0 ? 0 : no_memory(state);
}

/* {"type": "image_url", "image_url": {"url": ...}} of chat completions, or
 * {"type": "input_image", "image_url": ...} of the responses API. */
static int image_source(struct normalizer *state, const json_t *part, const char **url)
{
    const json_t *source = json_object_get(part, "image_url");
    if (!json_is_object(source))
        return require_string(state, part, "image_url", url);
    if (require_string(state, source, "url", url) == 0)
        return 0;
    err_prefix_field(state->err, "image_url");
    return -1;
}

static int add_image_part(struct normalizer *state, const json_t *part, json_t *content)
{
    const char *url;
    if (image_source(state, part, &url) < 0)
        return -1;
    json_t *copy = json_pack("{s:s}", "type", "image");
    if (!copy || json_array_append_new(content, copy) < 0 ||
        json_array_append_new(state->images, json_string(url)) < 0)
        return no_memory(state);
    return 0;
}

static int add_part(struct normalizer *state, const json_t *part, bool images_allowed,
                    json_t *content)
{
    const char *type;
    if (!json_is_object(part))
        return err_set(state->err, VLMD_INVALID, "", "a content part must be an object");
    if (require_string(state, part, "type", &type) < 0)
        return -1;
    if (strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0)
        return add_text_part(state, part, content);
    bool image = strcmp(type, "image_url") == 0 || strcmp(type, "input_image") == 0;
    if (image && images_allowed)
        return add_image_part(state, part, content);
    if (image)
        return err_set(state->err, VLMD_INVALID, "type",
                       "images may stand in user and tool messages only");
    return err_set(state->err, VLMD_UNSUPPORTED, "type",
                   "content parts of type \"%.40s\" are not supported, only text and image_url",
                   type);
}

static json_t *normalize_parts(struct normalizer *state, const json_t *parts, bool images_allowed)
{
    json_t *content = json_array();
    if (!content) {
        no_memory(state);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(parts); i++) {
        if (add_part(state, json_array_get(parts, i), images_allowed, content) < 0) {
            in_element(state, "content", i);
            json_decref(content);
            return NULL;
        }
    }
    return content;
}

/* The arguments of a call come as the text of a JSON object; templates want the object. */
static json_t *parse_arguments(const json_t *arguments)
{
    json_t *parsed = NULL;
    if (json_is_string(arguments))
        parsed = json_loadb(json_string_value(arguments), json_string_length(arguments),
                            JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(parsed) ? parsed : (json_decref(parsed), NULL);
}

static int normalize_call(struct normalizer *state, json_t *call)
{
    json_t *function = json_object_get(call, "function");
    const char *name;
    if (!json_is_object(function))
        return err_set(state->err, VLMD_INVALID, "function", "a tool call needs a function");
    if (require_string(state, function, "name", &name) < 0) {
        err_prefix_field(state->err, "function");
        return -1;
    }
    const json_t *arguments = json_object_get(function, "arguments");
    if (!json_is_string(arguments) && !json_is_object(arguments))
        return err_set(state->err, VLMD_INVALID, "function.arguments",
                       "the arguments of a tool call must be a string");
    json_t *parsed = parse_arguments(arguments);
    if (parsed && json_object_set_new(function, "arguments", parsed) < 0)
        return no_memory(state);
    return 0;
}

static int normalize_calls(struct normalizer *state, json_t *message)
{
    const json_t *given = json_object_get(message, "tool_calls");
    if (!given || json_is_null(given))
        return 0;
    if (!json_is_array(given))
        return err_set(state->err, VLMD_INVALID, "tool_calls", "tool_calls must be an array");
    json_t *calls = json_deep_copy(given);
    if (!calls || json_object_set_new(message, "tool_calls", calls) < 0)
        return no_memory(state);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        if (normalize_call(state, json_array_get(calls, i)) < 0)
            return in_element(state, "tool_calls", i);
    }
    return 0;
}

static int normalize_content(struct normalizer *state, const json_t *from, const char *role,
                             json_t *message)
{
    const json_t *content = json_object_get(from, "content");
    bool assistant = strcmp(role, "assistant") == 0;
    if (json_is_array(content)) {
        bool images = strcmp(role, "user") == 0 || strcmp(role, "tool") == 0;
        json_t *parts = normalize_parts(state, content, images);
        if (!parts)
            return -1;
        return json_object_set_new(message, "content", parts) < 0 ? no_memory(state) : 0;
    }
    if (json_is_string(content))
        return 0;
    if (content && !json_is_null(content))
        return err_set(state->err, VLMD_INVALID, "content",
                       "content must be a string or an array of parts");
    const json_t *calls = json_object_get(from, "tool_calls");
    if (!assistant || json_array_size(calls) == 0)
        return err_set(state->err, VLMD_INVALID, "content", "content is missing");
    /* An assistant that only called tools said nothing. */
    return json_object_set_new(message, "content", json_string("")) < 0 ? no_memory(state) : 0;
}

static int normalize_role(struct normalizer *state, const json_t *from, const char **role)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    if (require_string(state, from, "role", role) < 0)
        return -1;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(*role, roles[i]) == 0)
            return 0;
    }
    return err_set(state->err, VLMD_INVALID, "role",
                   "role must be system, developer, user, assistant or tool, not \"%.40s\"", *role);
}

static int normalize_message(struct normalizer *state, const json_t *from)
{
    const char *role;
    if (!json_is_object(from))
        return err_set(state->err, VLMD_INVALID, "", "a message must be an object");
    if (normalize_role(state, from, &role) < 0)
        return -1;
    json_t *message = json_copy((json_t *)from); /* shallow: a message may hold megabytes */
    if (!message)
        return no_memory(state);
    if (json_array_append_new(state->messages, message) < 0)
        return no_memory(state);
    if (strcmp(role, "developer") == 0 &&
        json_object_set_new(message, "role", json_string("system")) < 0)
        return no_memory(state);
    if (normalize_content(state, from, role, message) < 0)
        return -1;
    return normalize_calls(state, message);
}

static int normalize(struct normalizer *state, const json_t *openai)
{
    if (!state->messages || !state->images)
        return no_memory(state);
    if (!json_is_array(openai) || json_array_size(openai) == 0)
        return err_set(state->err, VLMD_INVALID, "messages", "messages must be a non-empty array");
    for (size_t i = 0; i < json_array_size(openai); i++) {
        if (normalize_message(state, json_array_get(openai, i)) < 0)
            return in_element(state, "messages", i);
    }
    return 0;
}

int chat_normalize(const json_t *openai, json_t **messages, json_t **images, struct vlmd_error *err)
{
    struct vlmd_error ignored;
    struct normalizer state = {json_array(), json_array(), err ? err : &ignored};
    *messages = NULL;
    if (images)
        *images = NULL;
    if (normalize(&state, openai) < 0) {
        json_decref(state.messages);
        json_decref(state.images);
        return -1;
    }
    *messages = state.messages;
    if (images)
        *images = state.images;
    else
        json_decref(state.images);
    return 0;
}
