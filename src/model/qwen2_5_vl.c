/* Qwen2.5-VL: the vision tower's tokens take the place of image placeholders in the text decoder's
 * input; positions are M-RoPE's. Source: arXiv 2502.13923; transformers, models/qwen2_5_vl. */
#include <stdlib.h>
#include <string.h>

#include "model/text_qwen2.h"
#include "model/vit_qwen2_5.h"
#include "model/weights.h"

struct qwen2_5_vl {
    struct model base;
    struct text_qwen2 *text;
    struct vit_qwen2_5 *vit;
};

/* The prefixes of three generations of writers: mlx-vlm, transformers since 4.52, transformers
 * before. */
static const char *const text_prefixes[] = {"language_model.model.", "model.language_model.",
                                            "model.", NULL};
static const char *const vision_prefixes[] = {"vision_tower.", "model.visual.", "visual.", NULL};

static void qwen2_5_vl_close(struct model *model)
{
    struct qwen2_5_vl *m = (struct qwen2_5_vl *)model;
    if (!m)
        return;
    text_qwen2_close(m->text);
    vit_qwen2_5_close(m->vit);
    free(m);
}

static int check_config(const struct model_config *config, struct vlmd_error *err)
{
    if (!config->has_vision)
        return err_set(err, VLMD_INVALID, "vision_config", "config.json has no vision_config");
    if (config->vision.out_hidden_size != config->text.hidden_size)
        return err_set(err, VLMD_INVALID, "vision_config.out_hidden_size",
                       "out_hidden_size differs from the text model's hidden_size");
    if (config->text.mrope_section[0] == config->text.head_dim / 2)
        return err_set(err, VLMD_INVALID, "rope_scaling.mrope_section",
                       "config.json has no mrope_section, without which positions in images are "
                       "not defined");
    return 0;
}

static struct model *qwen2_5_vl_open(const struct model_config *config, const struct checkpoint *cp,
                                     struct backend *be, int32_t batch_tokens,
                                     struct vlmd_error *err)
{
    if (check_config(config, err) < 0)
        return NULL;
    const char *text = weights_find_prefix(cp, text_prefixes, "embed_tokens.weight", err);
    const char *vision =
        text ? weights_find_prefix(cp, vision_prefixes, "patch_embed.proj.weight", err) : NULL;
    if (!vision)
        return NULL;
    struct qwen2_5_vl *m = calloc(1, sizeof *m);
    if (!m) {
        err_no_memory(err, sizeof *m);
        return NULL;
    }
    m->base.class = &model_qwen2_5_vl;
    const char *head = strcmp(text, text_prefixes[0]) == 0 ? "language_model." : "";
    m->text = text_qwen2_open(&config->text, cp, text, head, be, batch_tokens, err);
    if (m->text)
        m->vit = vit_qwen2_5_open(&config->vision, &config->preprocessor, cp, vision, be, err);
    if (!m->vit) {
        qwen2_5_vl_close(&m->base);
        return NULL;
    }
    return &m->base;
}

static int qwen2_5_vl_forward(struct model *model, const struct model_step *step,
                              struct tensor *hidden, struct vlmd_error *err)
{
    return text_qwen2_forward(((struct qwen2_5_vl *)model)->text, step, hidden, err);
}

static void qwen2_5_vl_head(struct model *model, struct tensor logits, struct tensor hidden)
{
    text_qwen2_head(((struct qwen2_5_vl *)model)->text, logits, hidden);
}

static int qwen2_5_vl_encode_image(struct model *model, const uint8_t *rgb, int32_t width,
                                   int32_t height, vlmd_cancel_fn cancel, void *cancel_context,
                                   struct tensor *embeddings, struct vlmd_error *err)
{
    return vit_qwen2_5_encode(((struct qwen2_5_vl *)model)->vit, rgb, width, height, cancel,
                              cancel_context, embeddings, err);
}

static size_t qwen2_5_vl_step_bytes(const struct model_config *config, int32_t batch_tokens)
{
    return text_qwen2_bytes(&config->text, batch_tokens);
}

static size_t qwen2_5_vl_image_bytes(const struct model_config *config, int32_t width,
                                     int32_t height)
{
    return vit_qwen2_5_bytes(&config->vision, width, height);
}

const struct model_class model_qwen2_5_vl = {
    .model_type = "qwen2_5_vl",
    .open = qwen2_5_vl_open,
    .close = qwen2_5_vl_close,
    .forward = qwen2_5_vl_forward,
    .head = qwen2_5_vl_head,
    .encode_image = qwen2_5_vl_encode_image,
    .step_bytes = qwen2_5_vl_step_bytes,
    .image_bytes = qwen2_5_vl_image_bytes,
};
