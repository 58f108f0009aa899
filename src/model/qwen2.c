/* Qwen2 and Qwen2.5, text only: the decoder with nothing around it. */
#include "model/text_qwen2.h"

#include <stdlib.h>

#include "model/weights.h"

struct qwen2 {
    struct model base;
    struct text_qwen2 *text;
};

static struct text_qwen2 *text_of(struct model *model)
{
    return ((struct qwen2 *)model)->text;
}

static void qwen2_close(struct model *model)
{
    if (!model)
        return;
    text_qwen2_close(text_of(model));
    free(model);
}

static struct model *qwen2_open(const struct model_config *config, const struct checkpoint *cp,
                                struct backend *be, int32_t batch_tokens, struct vlmd_error *err)
{
    static const char *const prefixes[] = {"model.", NULL};
    if (!weights_find_prefix(cp, prefixes, "embed_tokens.weight", err))
        return NULL;
    struct qwen2 *m = calloc(1, sizeof *m);
    if (!m) {
        err_no_memory(err, sizeof *m);
        return NULL;
    }
    m->base.class = &model_qwen2;
    m->text = text_qwen2_open(&config->text, cp, prefixes[0], "", be, batch_tokens, err);
    if (!m->text) {
        qwen2_close(&m->base);
        return NULL;
    }
    return &m->base;
}

static int qwen2_forward(struct model *model, const struct model_step *step, struct tensor *hidden,
                         struct vlmd_error *err)
{
    return text_qwen2_forward(text_of(model), step, hidden, err);
}

static void qwen2_head(struct model *model, struct tensor logits, struct tensor hidden)
{
    text_qwen2_head(text_of(model), logits, hidden);
}

static size_t qwen2_step_bytes(const struct model_config *config, int32_t batch_tokens)
{
    return text_qwen2_bytes(&config->text, batch_tokens);
}

const struct model_class model_qwen2 = {
    .model_type = "qwen2",
    .open = qwen2_open,
    .close = qwen2_close,
    .forward = qwen2_forward,
    .head = qwen2_head,
    .step_bytes = qwen2_step_bytes,
};
