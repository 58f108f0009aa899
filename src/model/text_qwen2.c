#include "model/text_qwen2.h"

#include <stdlib.h>

#include "model/mrope.h"
#include "model/weights.h"
#include "ops/scratch.h"

struct text_layer {
    struct weight input_norm;         /* (hidden) */
    struct weight q_proj, q_bias;     /* (heads * head_dim, hidden), (heads * head_dim) */
    struct weight k_proj, k_bias;     /* (kv_heads * head_dim, hidden), (kv_heads * head_dim) */
    struct weight v_proj, v_bias;     /* (kv_heads * head_dim, hidden), (kv_heads * head_dim) */
    struct weight o_proj;             /* (hidden, heads * head_dim) */
    struct weight post_norm;          /* (hidden) */
    struct weight gate_proj, up_proj; /* (intermediate, hidden) */
    struct weight down_proj;          /* (hidden, intermediate) */
};

/* Activations of one pass over n rows. */
struct buffers {
    struct tensor x;        /* (n, hidden): the residual stream */
    struct tensor h;        /* (n, hidden): a block's input or output */
    struct tensor q, attn;  /* (n, heads * head_dim) */
    struct tensor k, v;     /* (n, kv_heads * head_dim) */
    struct tensor gate, up; /* (n, intermediate) */
    struct tensor cos, sin; /* (n, head_dim / 2) */
    struct tensor out;      /* (n, hidden): rows whose hidden state is wanted */
};

struct text_qwen2 {
    const struct text_config *config;
    struct backend *be;
    struct weight embed_tokens; /* (vocab, hidden) */
    struct weight norm;         /* (hidden) */
    struct weight lm_head;      /* (vocab, hidden); empty when tied to embed_tokens */
    struct text_layer *layers;
    struct scratch scratch;
    float *inv_freq;      /* host, head_dim / 2 */
    float *angles;        /* host, 2 x batch_tokens x head_dim / 2: cosines, then sines */
    int32_t *row_numbers; /* host, 0, 1, 2 ... batch_tokens - 1 */
};

static struct buffers lay_out(const struct text_config *c, struct scratch *s, int32_t n)
{
    int32_t q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    scratch_reset(s);
    return (struct buffers){
        .x = scratch_tensor(s, n, c->hidden_size),
        .h = scratch_tensor(s, n, c->hidden_size),
        .q = scratch_tensor(s, n, q_dim),
        .attn = scratch_tensor(s, n, q_dim),
        .k = scratch_tensor(s, n, kv_dim),
        .v = scratch_tensor(s, n, kv_dim),
        .gate = scratch_tensor(s, n, c->intermediate_size),
        .up = scratch_tensor(s, n, c->intermediate_size),
        .cos = scratch_tensor(s, n, c->head_dim / 2),
        .sin = scratch_tensor(s, n, c->head_dim / 2),
        .out = scratch_tensor(s, n, c->hidden_size),
    };
}

static void load_layer(struct weights *ws, const struct text_config *c, struct text_layer *l, int i)
{
    int32_t hidden = c->hidden_size, inter = c->intermediate_size;
    int32_t q_dim = c->n_heads * c->head_dim, kv_dim = c->n_kv_heads * c->head_dim;
    weights_vector(ws, &l->input_norm, hidden, "layers.%d.input_layernorm.weight", i);
    weights_matrix(ws, &l->q_proj, q_dim, hidden, "layers.%d.self_attn.q_proj", i);
    weights_matrix(ws, &l->k_proj, kv_dim, hidden, "layers.%d.self_attn.k_proj", i);
    weights_matrix(ws, &l->v_proj, kv_dim, hidden, "layers.%d.self_attn.v_proj", i);
    weights_optional_vector(ws, &l->q_bias, q_dim, "layers.%d.self_attn.q_proj.bias", i);
    weights_optional_vector(ws, &l->k_bias, kv_dim, "layers.%d.self_attn.k_proj.bias", i);
    weights_optional_vector(ws, &l->v_bias, kv_dim, "layers.%d.self_attn.v_proj.bias", i);
    weights_matrix(ws, &l->o_proj, hidden, q_dim, "layers.%d.self_attn.o_proj", i);
    weights_vector(ws, &l->post_norm, hidden, "layers.%d.post_attention_layernorm.weight", i);
    weights_matrix(ws, &l->gate_proj, inter, hidden, "layers.%d.mlp.gate_proj", i);
    weights_matrix(ws, &l->up_proj, inter, hidden, "layers.%d.mlp.up_proj", i);
    weights_matrix(ws, &l->down_proj, hidden, inter, "layers.%d.mlp.down_proj", i);
}

static void free_layer(struct backend *be, struct text_layer *l)
{
    struct weight *all[] = {
        &l->input_norm, &l->q_proj, &l->q_bias,    &l->k_proj,    &l->k_bias,  &l->v_proj,
        &l->v_bias,     &l->o_proj, &l->post_norm, &l->gate_proj, &l->up_proj, &l->down_proj,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        weights_free(be, all[i]);
}

static int load(struct text_qwen2 *text, const struct checkpoint *cp, const char *prefix,
                const char *head_prefix, struct vlmd_error *err)
{
    const struct text_config *c = text->config;
    struct weights ws = {.cp = cp, .be = text->be, .prefix = prefix, .err = err};
    if (c->tie_word_embeddings)
        weights_matrix(&ws, &text->embed_tokens, c->vocab_size, c->hidden_size, "embed_tokens");
    else
        weights_table(&ws, &text->embed_tokens, c->vocab_size, c->hidden_size, "embed_tokens");
    for (int32_t i = 0; i < c->n_layers; i++)
        load_layer(&ws, c, &text->layers[i], i);
    weights_vector(&ws, &text->norm, c->hidden_size, "norm.weight");
    if (!c->tie_word_embeddings) {
        ws.prefix = head_prefix;
        weights_matrix(&ws, &text->lm_head, c->vocab_size, c->hidden_size, "lm_head");
    }
    return weights_end(&ws);
}

size_t text_qwen2_bytes(const struct text_config *config, int32_t batch_tokens)
{
    struct scratch measure = {0};
    lay_out(config, &measure, batch_tokens);
    return measure.used;
}

struct text_qwen2 *text_qwen2_open(const struct text_config *config, const struct checkpoint *cp,
                                   const char *prefix, const char *head_prefix, struct backend *be,
                                   int32_t batch_tokens, struct vlmd_error *err)
{
    struct text_qwen2 *text = calloc(1, sizeof *text);
    if (!text) {
        err_no_memory(err, sizeof *text);
        return NULL;
    }
    size_t n_angles = (size_t)batch_tokens * (size_t)config->head_dim;
    *text = (struct text_qwen2){.config = config, .be = be};
    text->layers = calloc((size_t)config->n_layers, sizeof *text->layers);
    text->inv_freq = malloc((size_t)config->head_dim / 2 * sizeof *text->inv_freq);
    text->angles = malloc(n_angles * sizeof *text->angles);
    text->row_numbers = malloc((size_t)batch_tokens * sizeof *text->row_numbers);
    if (!text->layers || !text->inv_freq || !text->angles || !text->row_numbers) {
        err_no_memory(err, n_angles * sizeof *text->angles);
        goto fail;
    }
    for (int32_t i = 0; i < batch_tokens; i++)
        text->row_numbers[i] = i;
    rope_frequencies(text->inv_freq, config->head_dim, config->rope_theta);
    if (load(text, cp, prefix, head_prefix, err) < 0)
        goto fail;
    if (scratch_open(&text->scratch, be, text_qwen2_bytes(config, batch_tokens), err) < 0)
        goto fail;
    return text;
fail:
    text_qwen2_close(text);
    return NULL;
}

void text_qwen2_close(struct text_qwen2 *text)
{
    if (!text)
        return;
    for (int32_t i = 0; text->layers && i < text->config->n_layers; i++)
        free_layer(text->be, &text->layers[i]);
    weights_free(text->be, &text->embed_tokens);
    weights_free(text->be, &text->norm);
    weights_free(text->be, &text->lm_head);
    scratch_close(&text->scratch, text->be);
    free(text->layers);
    free(text->inv_freq);
    free(text->angles);
    free(text->row_numbers);
    free(text);
}

static void upload_angles(struct text_qwen2 *text, const struct model_step *step, struct buffers *b)
{
    size_t n = (size_t)step->n_tokens * (size_t)text->config->head_dim / 2;
    float *cos = text->angles, *sin = text->angles + n;
    mrope_angles(step->positions, step->n_tokens, text->config->mrope_section, text->inv_freq, cos,
                 sin);
    text->be->ops->upload(text->be, b->cos.data, cos, n * sizeof *cos);
    text->be->ops->upload(text->be, b->sin.data, sin, n * sizeof *sin);
}

static void embed(struct text_qwen2 *text, const struct model_step *step, struct buffers *b)
{
    const struct ops *ops = text->be->ops;
    ops->embed(text->be, b->x, &text->embed_tokens, step->tokens);
    for (int32_t i = 0; i < step->n_inserts; i++) {
        const struct model_insert *insert = &step->inserts[i];
        ops->scatter_rows(text->be, b->x, insert->rows, text->row_numbers + insert->at,
                          insert->rows.rows);
    }
}

static void attention_block(struct text_qwen2 *text, const struct text_layer *l,
                            struct kv_layer *kv, const struct model_step *step, struct buffers *b)
{
    const struct text_config *c = text->config;
    struct backend *be = text->be;
    const struct ops *ops = be->ops;
    ops->rms_norm(be, b->h, b->x, &l->input_norm, c->rms_norm_eps);
    ops->linear(be, b->q, b->h, &l->q_proj, weights_or_null(&l->q_bias));
    ops->linear(be, b->k, b->h, &l->k_proj, weights_or_null(&l->k_bias));
    ops->linear(be, b->v, b->h, &l->v_proj, weights_or_null(&l->v_bias));
    ops->rope(be, b->q, c->head_dim, b->cos, b->sin);
    ops->rope(be, b->k, c->head_dim, b->cos, b->sin);
    ops->kv_append(be, step->kv_shape, kv, &step->kv, b->k, b->v);
    ops->attention(be, step->kv_shape, kv, &step->kv, b->attn, b->q);
    ops->linear(be, b->h, b->attn, &l->o_proj, NULL);
    ops->add(be, b->x, b->h);
}

static void mlp_block(struct text_qwen2 *text, const struct text_layer *l, struct buffers *b)
{
    struct backend *be = text->be;
    const struct ops *ops = be->ops;
    ops->rms_norm(be, b->h, b->x, &l->post_norm, text->config->rms_norm_eps);
    ops->linear(be, b->gate, b->h, &l->gate_proj, NULL);
    ops->linear(be, b->up, b->h, &l->up_proj, NULL);
    ops->silu_mul(be, b->gate, b->up);
    ops->linear(be, b->h, b->gate, &l->down_proj, NULL);
    ops->add(be, b->x, b->h);
}

static bool unwanted(const struct model_step *step)
{
    return step->cancel && step->cancel(step->cancel_context);
}

int text_qwen2_forward(struct text_qwen2 *text, const struct model_step *step,
                       struct tensor *hidden, struct vlmd_error *err)
{
    const struct text_config *c = text->config;
    const struct ops *ops = text->be->ops;
    struct buffers b = lay_out(c, &text->scratch, step->n_tokens);
    upload_angles(text, step, &b);
    embed(text, step, &b);
    for (int32_t i = 0; i < c->n_layers; i++) {
        if (unwanted(step))
            return err_set(err, VLMD_CANCELLED, NULL, "cancelled");
        attention_block(text, &text->layers[i], &step->kv_layers[i], step, &b);
        if (unwanted(step))
            return err_set(err, VLMD_CANCELLED, NULL, "cancelled");
        mlp_block(text, &text->layers[i], &b);
    }
    *hidden = tensor_rows(b.out, 0, step->n_outputs);
    if (step->n_outputs > 0) {
        ops->gather_rows(text->be, *hidden, b.x, step->output_rows, step->n_outputs);
        ops->rms_norm(text->be, *hidden, *hidden, &text->norm, c->rms_norm_eps);
    }
    return 0;
}

void text_qwen2_head(struct text_qwen2 *text, struct tensor logits, struct tensor hidden)
{
    const struct weight *head =
        text->config->tie_word_embeddings ? &text->embed_tokens : &text->lm_head;
    text->be->ops->linear(text->be, logits, hidden, head, NULL);
}
