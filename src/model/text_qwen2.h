/* The text decoder of Qwen2, Qwen2.5 and Qwen2.5-VL: pre-norm blocks of grouped-query attention and
 * SwiGLU, rotary positions (M-RoPE where the configuration has sections). Source: arXiv 2407.10671;
 * transformers, models/qwen2. */
#pragma once

#include "model/model.h"

struct text_qwen2;

/* prefix: what stands before "embed_tokens.weight" in tensor names; head_prefix: before "lm_head"
 * (unused with tied embeddings). */
struct text_qwen2 *text_qwen2_open(const struct text_config *config, const struct checkpoint *cp,
                                   const char *prefix, const char *head_prefix, struct backend *be,
                                   int32_t batch_tokens, struct vlmd_error *err);
void text_qwen2_close(struct text_qwen2 *text);
/* As model_class.step_bytes. */
size_t text_qwen2_bytes(const struct text_config *config, int32_t batch_tokens);

/* As model_class.forward and model_class.head. */
int text_qwen2_forward(struct text_qwen2 *text, const struct model_step *step,
                       struct tensor *hidden, struct vlmd_error *err);
void text_qwen2_head(struct text_qwen2 *text, struct tensor logits, struct tensor hidden);
