/* The vision tower of Qwen2.5-VL: patches of a picture to embeddings for the text decoder. Blocks
 * attend inside windows of window_size pixels, but for a few that attend everywhere; a merger joins
 * merge_size x merge_size patches into one token. Source: arXiv 2502.13923; transformers,
 * models/qwen2_5_vl. */
#pragma once

#include "model/model.h"

struct vit_qwen2_5;

/* prefix: what stands before "patch_embed.proj.weight" in tensor names. */
struct vit_qwen2_5 *vit_qwen2_5_open(const struct vision_config *config,
                                     const struct preprocessor_config *preprocessor,
                                     const struct checkpoint *cp, const char *prefix,
                                     struct backend *be, struct vlmd_error *err);
void vit_qwen2_5_close(struct vit_qwen2_5 *vit);

/* As model_class.image_bytes. */
size_t vit_qwen2_5_bytes(const struct vision_config *config, int32_t width, int32_t height);
/* As model_class.encode_image. width and height are multiples of patch_size * merge_size. */
int vit_qwen2_5_encode(struct vit_qwen2_5 *vit, const uint8_t *rgb, int32_t width, int32_t height,
                       vlmd_cancel_fn cancel, void *cancel_context, struct tensor *embeddings,
                       struct vlmd_error *err);
