/* The chat template of a checkpoint folder: where it is stored, and the tokens it is given.
 *
 * Looked for in this order, as transformers does: chat_template.jinja, chat_template.json
 * ({"chat_template": ...}), tokenizer_config.json ("chat_template": a string, or a list of
 * {"name", "template"}, of which "default" is meant). */
#pragma once

#include "chat/template.h"

typedef struct chat_renderer chat_renderer;

/* Reads the template and the bos and eos tokens of the checkpoint in `folder`. The result is
 * immutable and the caller's (chat_renderer_close). NULL with *err: VLMD_NOT_FOUND, naming the
 * files, when the checkpoint has no template. */
chat_renderer *chat_renderer_open(const char *folder, struct vlmd_error *err);
void chat_renderer_close(chat_renderer *renderer); /* NULL is fine */

/* chat_template_render with the checkpoint's tokens. `messages` (and `tools`, `extra`) as in struct
 * chat_context; `tools` and `extra` may be NULL. */
int chat_render(const chat_renderer *renderer, const json_t *messages, const json_t *tools,
                const json_t *extra, bool add_generation_prompt, struct chat_output *out,
                struct vlmd_error *err);
