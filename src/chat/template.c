#include "chat/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "chat/interp.h"
#include "chat/parser.h"

struct chat_template {
    struct workspace ws; /* owns the syntax tree */
    struct node_list body;
};

chat_template *chat_template_open(const char *source, size_t len, struct vlmd_error *err)
{
    if (len > CHAT_TEMPLATE_SOURCE_MAX) {
        err_set(err, VLMD_TOO_LARGE, "chat_template", "the chat template is larger than %d KiB",
                CHAT_TEMPLATE_SOURCE_MAX >> 10);
        return NULL;
    }
    if (!utf8_valid(source, len)) {
        err_set(err, VLMD_FORMAT, "chat_template", "the chat template is not UTF-8");
        return NULL;
    }
    chat_template *tmpl = calloc(1, sizeof *tmpl);
    if (!tmpl) {
        err_no_memory(err, sizeof *tmpl);
        return NULL;
    }
    workspace_open(&tmpl->ws, VLMD_FORMAT, "chat_template", err);
    if (parser_run(&tmpl->ws, source, len, &tmpl->body) < 0) {
        chat_template_close(tmpl);
        return NULL;
    }
    tmpl->ws.err = NULL; /* was the caller's */
    return tmpl;
}

void chat_template_close(chat_template *tmpl)
{
    if (!tmpl)
        return;
    workspace_close(&tmpl->ws);
    free(tmpl);
}

static int define(struct interp *interp, const char *name, struct value value)
{
    const struct text *text = text_new(&interp->ws, name, strlen(name), true);
    return text ? scope_set(&interp->ws, interp->top, text, value) : -1;
}

static int define_functions(struct interp *interp)
{
    static const struct {
        const char *name;
        enum template_function function;
    } functions[] = {
        {"range", FUNCTION_RANGE},
        {"namespace", FUNCTION_NAMESPACE},
        {"dict", FUNCTION_DICT},
        {"raise_exception", FUNCTION_RAISE},
        {"strftime_now", FUNCTION_STRFTIME},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct value value = {.kind = VALUE_FUNCTION, .as.integer = functions[i].function};
        if (define(interp, functions[i].name, value) < 0)
            return -1;
    }
    return 0;
}

static int define_json(struct interp *interp, const char *name, const json_t *json)
{
    struct value value = value_none();
    if (json && value_from_json(&interp->ws, json, &value) < 0)
        return -1;
    return define(interp, name, value);
}

static int define_token(struct interp *interp, const char *name, const char *token)
{
    if (!token)
        return 0;
    const struct text *text = text_new(&interp->ws, token, strlen(token), true);
    return text ? define(interp, name, value_text(text)) : -1;
}

static int define_extra(struct interp *interp, const json_t *extra)
{
    struct value value;
    if (!extra)
        return 0;
    if (!json_is_object(extra))
        return workspace_fail(&interp->ws, "further variables must be an object");
    if (value_from_json(&interp->ws, extra, &value) < 0)
        return -1;
    for (size_t i = 0; i < value.as.dict->n; i++) {
        const struct pair *pair = &value.as.dict->pairs[i];
        if (scope_set(&interp->ws, interp->top, pair->key.as.text, pair->value) < 0)
            return -1;
    }
    return 0;
}

/* Variables as transformers passes them. The caller's extra ones cannot replace the others. */
static int define_variables(struct interp *interp, const struct chat_context *context)
{
    if (define_extra(interp, context->extra) < 0 || define_functions(interp) < 0 ||
        define_json(interp, "messages", context->messages) < 0 ||
        define_json(interp, "tools", context->tools) < 0 ||
        define_token(interp, "bos_token", context->bos_token) < 0 ||
        define_token(interp, "eos_token", context->eos_token) < 0)
        return -1;
    if (!context->extra || !json_object_get(context->extra, "documents")) {
        if (define(interp, "documents", value_none()) < 0)
            return -1;
    }
    return define(interp, "add_generation_prompt", value_bool(context->add_generation_prompt));
}

static int copy_output(const struct text *text, struct chat_output *out, struct vlmd_error *err)
{
    size_t n = text->len > 0;
    for (size_t i = 1; text->marks && i < text->len; i++)
        n += text->marks[i] != text->marks[i - 1];
    out->text = malloc(text->len + 1);
    out->segments = calloc(n + 1, sizeof *out->segments);
    if (!out->text || !out->segments)
        return err_no_memory(err, text->len + 1 + (n + 1) * sizeof *out->segments);
    memcpy(out->text, text->bytes, text->len);
    out->text[text->len] = '\0';
    out->len = text->len;
    for (size_t i = 0; i < text->len; i++) {
        bool trusted = text->marks ? text->marks[i] : text->trusted;
        if (i == 0 || trusted != out->segments[out->n_segments - 1].trusted)
            out->segments[out->n_segments++] =
                (struct chat_segment){.text = out->text + i, .trusted = trusted};
        out->segments[out->n_segments - 1].len++;
    }
    return 0;
}

static int render(struct interp *interp, const chat_template *tmpl,
                  const struct chat_context *context, struct chat_output *out)
{
    struct scope *globals = scope_open(&interp->ws, NULL);
    struct text_builder builder;
    enum flow flow;
    text_builder_open(&builder, &interp->ws);
    builder.limit = CHAT_OUTPUT_MAX;
    interp->top = globals;
    if (!globals || define_variables(interp, context) < 0)
        return -1;
    struct scope *scope = scope_open(&interp->ws, globals);
    if (!scope || exec(interp, &tmpl->body, scope, &builder, &flow) < 0)
        return -1;
    const struct text *text = text_builder_done(&builder);
    return text ? copy_output(text, out, interp->ws.err) : -1;
}

int chat_template_render(const chat_template *tmpl, const struct chat_context *context,
                         struct chat_output *out, struct vlmd_error *err)
{
    struct vlmd_error ignored;
    struct interp interp = {.now = context->now ? context->now : time(NULL)};
    *out = (struct chat_output){0};
    workspace_open(&interp.ws, VLMD_INVALID, "messages", err ? err : &ignored);
    int rc = render(&interp, tmpl, context, out);
    workspace_close(&interp.ws);
    if (rc < 0)
        chat_output_free(out);
    return rc;
}

void chat_output_free(struct chat_output *out)
{
    free(out->text);
    free(out->segments);
    *out = (struct chat_output){0};
}

size_t chat_output_count(const struct chat_output *out, const char *token)
{
    size_t n = 0, len = strlen(token);
    for (size_t i = 0; len && i < out->n_segments; i++) {
        const struct chat_segment *segment = &out->segments[i];
        const char *at = segment->text, *end = at + segment->len;
        while (segment->trusted && (at = memmem(at, (size_t)(end - at), token, len))) {
            n++;
            at += len;
        }
    }
    return n;
}
