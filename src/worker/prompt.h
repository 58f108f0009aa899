/* From a conversation to the token ids that the model reads: the checkpoint's chat template,
 * special tokens only where the template itself wrote them, and each image's placeholder repeated
 * once per image token. Or from a prompt that wants none of that. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct prompt_maker;

struct prompt {
    int32_t *tokens;
    int32_t n_tokens;
    struct buf echo; /* the prompt as text, where that was asked for */
};

/* Reads the chat template of the checkpoint folder. The engine outlives the result. */
struct prompt_maker *prompt_maker_open(const vlmd_engine *engine, const char *folder,
                                       struct vlmd_error *err);
void prompt_maker_close(struct prompt_maker *maker);

/* messages: a JSON array in OpenAI's form, image parts as {"type":"image"}; tools: a JSON array or
 * "". image_tokens[i] is how many tokens the i-th image has. The caller frees with prompt_free.
 * Errors name the field ("messages[1].content"). */
int prompt_make(const struct prompt_maker *maker, const char *messages, size_t messages_len,
                const char *tools, size_t tools_len, const int32_t *image_tokens, int32_t n_images,
                struct prompt *prompt, struct vlmd_error *err);
/* The same from a prompt that is taken as it is: JSON text of a string, in which the names of
 * special tokens are those tokens, or of an array of token ids. `echo` asks for its text. */
int prompt_make_raw(const struct prompt_maker *maker, const char *json, size_t len, bool echo,
                    struct prompt *prompt, struct vlmd_error *err);
void prompt_free(struct prompt *prompt);
