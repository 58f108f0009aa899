/* Chat templates: the subset of Jinja that Hugging Face checkpoints use, rendered as transformers
 * does (trim_blocks, lstrip_blocks, its own tojson), within fixed bounds of time, memory and depth.
 *
 * Every byte of the prompt knows whether the template wrote it or a message brought it. Only the
 * template's bytes may be read as special tokens: "<|im_end|>" in a message is plain text. */
#pragma once

#include <jansson.h>
#include <time.h>

#include "base/err.h"

enum {
    CHAT_TEMPLATE_SOURCE_MAX = 1 << 20, /* bytes */
    CHAT_OUTPUT_MAX = 16 << 20,         /* bytes of a prompt */
};

typedef struct chat_template chat_template;

struct chat_context {
    const json_t *messages; /* array of {"role", "content", ...} in the template's form */
    const json_t *tools;    /* array; NULL: the template sees none */
    const json_t *extra;    /* object of further variables, e.g. add_vision_id; may be NULL */
    bool add_generation_prompt;
    const char *bos_token, *eos_token; /* trusted text; NULL: undefined in the template */
    time_t now;                        /* of strftime_now, in local time; 0: the present */
};

struct chat_segment {
    const char *text; /* inside chat_output.text, not terminated */
    size_t len;
    bool trusted; /* written by the template: special tokens count */
};

/* The whole prompt and its division by provenance: neighbours differ in `trusted`, their texts
 * together are `text`. */
struct chat_output {
    char *text; /* NUL-terminated UTF-8 */
    size_t len;
    struct chat_segment *segments;
    size_t n_segments;
};

/* Parses a template. `source` is borrowed for the call only. NULL with *err: VLMD_FORMAT for broken
 * syntax, VLMD_UNSUPPORTED for what this interpreter lacks (named, with its line). */
chat_template *chat_template_open(const char *source, size_t len, struct vlmd_error *err);
void chat_template_close(chat_template *tmpl); /* NULL is fine */

/* Renders. On success *out is the caller's (chat_output_free). Fails with VLMD_INVALID when the
 * template refuses the messages (its own words are in the error) and VLMD_TOO_LARGE at a bound.
 * Templates are immutable: any number of threads may render at the same time. */
int chat_template_render(const chat_template *tmpl, const struct chat_context *context,
                         struct chat_output *out, struct vlmd_error *err);
void chat_output_free(struct chat_output *out);
/* How often `token` stands in trusted text, e.g. "<|image_pad|>". */
size_t chat_output_count(const struct chat_output *out, const char *token);
