/* What a checkpoint's config.json, generation_config.json and preprocessor_config.json say, checked
 * and in one place. Both nestings are read: text settings in "text_config" (transformers 5) or at
 * the top level (transformers 4, mlx-vlm). Whether an architecture is known is the model registry's
 * matter. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define MODEL_CONFIG_MAX_EOS         8
#define MODEL_CONFIG_MAX_FULL_BLOCKS 64

struct text_config {
    int32_t vocab_size;
    int32_t hidden_size;
    int32_t intermediate_size;
    int32_t n_layers;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    int32_t context_length; /* max_position_embeddings */
    float rms_norm_eps;
    double rope_theta;
    int32_t mrope_section[3]; /* rotary frequencies for time, height, width; {head_dim / 2, 0, 0}
                                 without M-RoPE */
    bool tie_word_embeddings;
};

struct vision_config {
    int32_t depth;
    int32_t hidden_size;
    int32_t intermediate_size;
    int32_t n_heads;
    int32_t out_hidden_size;
    int32_t in_channels;
    int32_t patch_size;
    int32_t temporal_patch_size;
    int32_t merge_size;
    int32_t window_size; /* pixels */
    int32_t full_attention_blocks[MODEL_CONFIG_MAX_FULL_BLOCKS];
    int32_t n_full_attention_blocks;
};

struct preprocessor_config {
    int64_t min_pixels, max_pixels;
    float mean[3], std[3];
    float rescale_factor;
};

struct model_config {
    char model_type[64];
    struct text_config text;
    bool has_vision;
    struct vision_config vision;
    struct preprocessor_config preprocessor;
    int32_t image_token_id; /* -1 without vision */
    int32_t eos[MODEL_CONFIG_MAX_EOS];
    int32_t n_eos;
};

/* Reads the three files of `folder`. Errors name file and key. */
int model_config_read(struct model_config *config, const char *folder, struct vlmd_error *err);
/* The same from texts that are already there; generation and preprocessor may be NULL. For tests
 * and fuzzing. */
int model_config_parse(struct model_config *config, const char *config_json,
                       const char *generation_json, const char *preprocessor_json,
                       struct vlmd_error *err);
