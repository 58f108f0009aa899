#include "front/chat_content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/data_uri.h"
#include "base/json.h"
#include "front/chat_pixels.h"

#define MAX_URL 8192 /* as messages.def has it */

struct content_parser {
    const struct chat_limits *limits;
    struct chat_request *out;
    struct vlmd_error *err;
};

/* A value that stands for "nothing": absent, null or an empty list. */
static bool is_nothing(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
}

/* Refuses keys that are not in the NULL-terminated list. */
static int only_keys(struct content_parser *p, const json_t *object, const char *const *known)
{
    const char *key = json_unknown_key(object, known);
    return key ? err_set(p->err, VLMD_INVALID, key, "unknown field: %s", key) : 0;
}

/* ---- images */

static bool is_http(const char *url)
{
    return strncasecmp(url, "http:", 5) == 0 || strncasecmp(url, "https:", 6) == 0;
}

static bool is_file(const char *url)
{
    return *url == '/' || strncasecmp(url, "file:", 5) == 0;
}

/* What is behind it, and whether it may be looked at, is for the fetcher to judge. */
static int take_name(struct content_parser *p, const char *url, struct chat_image *image)
{
    if (strlen(url) > MAX_URL)
        return err_set(p->err, VLMD_TOO_LARGE, NULL, "a URL has at most %d bytes", MAX_URL);
    image->url = strdup(url);
    return image->url ? 0 : err_no_memory(p->err, strlen(url));
}

static int decode_url(struct content_parser *p, const char *url, struct chat_image *image)
{
    size_t len = strlen(url);
    if (is_http(url) && !p->limits->urls)
        return err_set(p->err, VLMD_UNSUPPORTED, NULL,
                       "this server does not fetch images: send a data URI");
    if (is_http(url) || (is_file(url) && p->limits->files))
        return take_name(p, url, image);
    if (!data_uri_is(url, len))
        return err_set(p->err, VLMD_INVALID, NULL,
                       "an image must be a data URI (data:image/...;base64,...)%s",
                       p->limits->urls ? " or an http or https URL" : "");
    struct data_uri uri;
    if (data_uri_decode(url, len, p->limits->max_image_bytes, &uri, p->err) < 0)
        return -1;
    if (uri.len == 0) {
        data_uri_free(&uri);
        return err_set(p->err, VLMD_INVALID, NULL, "the image is empty");
    }
    image->bytes = uri.bytes;
    image->len = uri.len;
    return 0;
}

void chat_content_free_image(struct chat_image *image)
{
    free(image->bytes);
    free(image->url);
    if (image->fetched && image->shared >= 0)
        close(image->shared);
    *image = (struct chat_image){0};
}

static int parse_detail(struct content_parser *p, const json_t *holder, bool *low)
{
    const char *detail = "auto";
    if (json_get_string(holder, "detail", &detail, p->err) < 0)
        return -1;
    if (strcmp(detail, "low") != 0 && strcmp(detail, "high") != 0 && strcmp(detail, "auto") != 0)
        return err_set(p->err, VLMD_INVALID, "detail", "detail must be low, high or auto");
    *low = *low || strcmp(detail, "low") == 0;
    return 0;
}

static struct chat_image *new_image(struct content_parser *p)
{
    struct chat_request *out = p->out;
    if (out->n_images == p->limits->max_images) {
        err_set(p->err, VLMD_TOO_LARGE, NULL, "a request may hold at most %zu images",
                p->limits->max_images);
        return NULL;
    }
    struct chat_image *grown = realloc(out->images, (out->n_images + 1) * sizeof *grown);
    if (!grown) {
        err_no_memory(p->err, sizeof *grown);
        return NULL;
    }
    out->images = grown;
    grown[out->n_images] = (struct chat_image){0};
    return &grown[out->n_images++];
}

/* What stands beside an image's url, in the part or in its image_url: detail, min_pixels and
 * max_pixels. */
static int parse_wishes(struct content_parser *p, const json_t *object, bool *low,
                        struct pixel_bounds *bounds)
{
    return chat_pixels_read(object, bounds, p->err) < 0 || parse_detail(p, object, low) < 0 ? -1
                                                                                            : 0;
}

/* {"type":"image_url","image_url":{"url":...,"detail":...}} or "image_url":"..." */
static int parse_image(struct content_parser *p, const json_t *part, const char *where)
{
    static const char *const part_keys[] = {"type",       "image_url",  "detail",
                                            "min_pixels", "max_pixels", NULL};
    static const char *const url_keys[] = {"url", "detail", "min_pixels", "max_pixels", NULL};
    bool low = false;
    struct pixel_bounds bounds = {0};
    if (only_keys(p, part, part_keys) < 0 || parse_wishes(p, part, &low, &bounds) < 0)
        return -1;
    const json_t *holder = json_object_get(part, "image_url");
    const char *url = json_string_value(holder);
    if (url && strlen(url) != json_string_length(holder))
        return err_set(p->err, VLMD_INVALID, "image_url", "a url must not contain U+0000");
    const char *field = "image_url";
    if (json_is_object(holder)) {
        if (only_keys(p, holder, url_keys) < 0 || parse_wishes(p, holder, &low, &bounds) < 0 ||
            json_require(json_get_string(holder, "url", &url, p->err), "url", p->err) < 0) {
            err_prefix_field(p->err, "image_url");
            return -1;
        }
        field = "image_url.url";
    }
    if (!url)
        return err_set(p->err, VLMD_INVALID, "image_url", "image_url must be an object with a url");
    struct chat_image *image = new_image(p);
    if (!image)
        return -1;
    image->low_detail = low;
    image->bounds = bounds;
    snprintf(image->field, sizeof image->field, "%s.%s", where, field);
    if (decode_url(p, url, image) < 0) {
        snprintf(p->err->field, sizeof p->err->field, "%s", field);
        return -1;
    }
    return 0;
}

/* ---- parts and messages */

/* Appends the part in the form that the worker gets. `where` is its path, for later errors. */
static int parse_part(struct content_parser *p, const json_t *part, bool images_allowed,
                      const char *where, json_t *out)
{
    static const char *const text_keys[] = {"type", "text", NULL};
    const char *type = NULL;
    if (!json_is_object(part))
        return err_set(p->err, VLMD_INVALID, NULL, "a content part must be an object");
    if (json_require(json_get_string(part, "type", &type, p->err), "type", p->err) < 0)
        return -1;
    json_t *made = NULL;
    if (strcmp(type, "text") == 0) {
        json_t *text = json_object_get(part, "text");
        bool there = text && !json_is_null(text);
        if (only_keys(p, part, text_keys) < 0 || json_require(there, "text", p->err) < 0)
            return -1;
        if (!json_is_string(text))
            return err_set(p->err, VLMD_INVALID, "text", "text must be a string");
        made = json_pack("{s:s, s:O}", "type", "text", "text", text);
    } else if (strcmp(type, "image_url") == 0) {
        if (!images_allowed)
            return err_set(p->err, VLMD_INVALID, "type",
                           "images are only allowed in messages of the user");
        if (parse_image(p, part, where) < 0)
            return -1;
        made = json_pack("{s:s}", "type", "image");
    } else {
        return err_set(p->err, VLMD_UNSUPPORTED, "type",
                       "the types of content parts are text and image_url, not %s", type);
    }
    if (!made || json_array_append_new(out, made) < 0)
        return err_no_memory(p->err, 64);
    return 0;
}

static json_t *parse_parts(struct content_parser *p, const json_t *content, bool images_allowed,
                           const char *where)
{
    json_t *parts = json_array();
    if (!parts) {
        err_no_memory(p->err, 64);
        return NULL;
    }
    if (json_array_size(content) == 0) {
        err_set(p->err, VLMD_INVALID, "content", "content must not be an empty list");
        goto fail;
    }
    for (size_t i = 0; i < json_array_size(content); i++) {
        char here[32], path[80];
        snprintf(here, sizeof here, "content[%zu]", i);
        snprintf(path, sizeof path, "%s.%s", where, here);
        if (parse_part(p, json_array_get(content, i), images_allowed, path, parts) < 0) {
            err_prefix_field(p->err, here);
            goto fail;
        }
    }
    return parts;
fail:
    json_decref(parts);
    return NULL;
}

static int check_role(struct content_parser *p, const char *role)
{
    static const char *const known[] = {"system", "developer", "user", "assistant", NULL};
    static const char *const later[] = {"tool", "function", NULL};
    for (const char *const *k = known; *k; k++)
        if (strcmp(*k, role) == 0)
            return 0;
    for (const char *const *k = later; *k; k++)
        if (strcmp(*k, role) == 0)
            return err_set(p->err, VLMD_UNSUPPORTED, "role", "the role %s is not supported yet",
                           role);
    return err_set(p->err, VLMD_INVALID, "role",
                   "role must be system, developer, user or assistant");
}

static int check_keys(struct content_parser *p, const json_t *message)
{
    static const char *const known[] = {"role",       "content",       "name",
                                        "refusal",    "annotations",   "audio",
                                        "tool_calls", "function_call", NULL};
    static const char *const unsupported[] = {"tool_calls", "function_call", "audio", NULL};
    if (only_keys(p, message, known) < 0)
        return -1;
    for (const char *const *k = unsupported; *k; k++)
        if (!is_nothing(json_object_get(message, *k)))
            return err_set(p->err, VLMD_UNSUPPORTED, *k, "%s is not supported yet", *k);
    return 0;
}

static int parse_message(struct content_parser *p, const json_t *message, const char *where,
                         json_t *out)
{
    const char *role = NULL, *name = NULL;
    if (!json_is_object(message))
        return err_set(p->err, VLMD_INVALID, NULL, "a message must be an object");
    if (check_keys(p, message) < 0 ||
        json_require(json_get_string(message, "role", &role, p->err), "role", p->err) < 0 ||
        check_role(p, role) < 0 || json_get_string(message, "name", &name, p->err) < 0)
        return -1;
    const json_t *content = json_object_get(message, "content");
    json_t *value = NULL;
    if (json_is_string(content))
        value = json_incref((json_t *)(uintptr_t)content);
    else if (json_is_array(content))
        value = parse_parts(p, content, strcmp(role, "user") == 0, where);
    else
        return err_set(p->err, VLMD_INVALID, "content",
                       "content must be a string or a list of parts");
    if (!value)
        return -1;
    if (strcmp(role, "developer") == 0)
        role = "system"; /* OpenAI's newer name; templates know the older one */
    json_t *made = json_pack("{s:s, s:o}", "role", role, "content", value);
    if (made && name)
        json_object_set_new(made, "name", json_string(name));
    if (!made || json_array_append_new(out, made) < 0)
        return err_no_memory(p->err, 64);
    return 0;
}

int chat_content_parse(const json_t *body, const struct chat_limits *limits,
                       struct chat_request *out, struct vlmd_error *err)
{
    struct content_parser p = {limits, out, err};
    json_t *messages = NULL;
    if (json_require(json_get_array(body, "messages", &messages, err), "messages", err) < 0)
        return -1;
    if (json_array_size(messages) == 0)
        return err_set(err, VLMD_INVALID, "messages", "messages must hold at least one message");
    json_t *reduced = json_array();
    if (!reduced)
        return err_no_memory(err, 64);
    int status = -1;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        char where[40];
        snprintf(where, sizeof where, "messages[%zu]", i);
        if (parse_message(&p, json_array_get(messages, i), where, reduced) < 0) {
            err_prefix_field(err, where);
            goto out;
        }
    }
    out->messages = json_dumps(reduced, JSON_COMPACT);
    status = out->messages ? 0 : err_no_memory(err, 64);
out:
    json_decref(reduced);
    return status;
}
