/* What the engine sees of an architecture: one table of functions, chosen by config.json's
 * model_type. An architecture is one file whose forward pass reads from top to bottom; it calls ops
 * and never names a backend. */
#pragma once

#include "format/checkpoint.h"
#include "format/model_config.h"
#include "ops/ops.h"

/* Embeddings that take the place of token embeddings: rows [0, rows.rows) at batch row `at`. */
struct model_insert {
    struct tensor rows; /* n x hidden_size, backend memory */
    int32_t at;
};

/* One ragged batch: items one after another in all arrays of n_tokens. */
struct model_step {
    int32_t n_tokens;
    const int32_t *tokens;         /* n_tokens ids below vocab_size */
    const int32_t (*positions)[3]; /* n_tokens x (time, height, width) */
    const struct model_insert *inserts;
    int32_t n_inserts;
    struct kv_batch kv;
    const struct kv_shape *kv_shape;
    struct kv_layer *kv_layers; /* one per text layer */
    const int32_t *output_rows; /* batch rows whose final hidden state is wanted */
    int32_t n_outputs;
    vlmd_cancel_fn cancel; /* asked twice a layer; may be NULL */
    void *cancel_context;
};

struct model;

struct model_class {
    const char *model_type;

    /* Takes over the weights. config and checkpoint outlive the model. Forward passes of up to
     * batch_tokens rows will be asked for. */
    struct model *(*open)(const struct model_config *config, const struct checkpoint *cp,
                          struct backend *be, int32_t batch_tokens, struct vlmd_error *err);
    void (*close)(struct model *model);

    /* Runs the batch. *hidden becomes n_outputs x hidden_size after the final norm, valid until the
     * next call. */
    int (*forward)(struct model *model, const struct model_step *step, struct tensor *hidden,
                   struct vlmd_error *err);
    /* logits[n, vocab_size] of final hidden states [n, hidden_size] */
    void (*head)(struct model *model, struct tensor logits, struct tensor hidden);

    /* The vision tower on one picture of a size that image_grid accepts; NULL for text-only
     * architectures. *embeddings (tokens x hidden_size) lies in backend memory that the caller
     * frees with ops->free(embeddings->data). */
    int (*encode_image)(struct model *model, const uint8_t *rgb, int32_t width, int32_t height,
                        vlmd_cancel_fn cancel, void *cancel_context, struct tensor *embeddings,
                        struct vlmd_error *err);
    /* Bytes that encode_image takes while it works on a picture of this size, its result included.
     * NULL where encode_image is. */
    size_t (*image_bytes)(const struct model_config *config, int32_t width, int32_t height);
    /* Memory that a model takes beside weights and kv cache for steps of batch_tokens. */
    size_t (*step_bytes)(const struct model_config *config, int32_t batch_tokens);
};

/* Architectures embed this as their first member. */
struct model {
    const struct model_class *class;
};

/* The class for a model_type; NULL with VLMD_UNSUPPORTED, naming those there are. */
const struct model_class *model_registry_find(const char *model_type, struct vlmd_error *err);

extern const struct model_class model_qwen2;
extern const struct model_class model_qwen2_5_vl;
