#include "model/vit_qwen2_5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mrope.h"
#include "model/patches.h"
#include "model/vit_windows.h"
#include "model/weights.h"
#include "ops/scratch.h"

#define NORM_EPS   1e-6f   /* fixed in the reference's code, in no configuration */
#define ROPE_THETA 10000.0 /* likewise */
#define MLP_ROWS   1920    /* most at once: bounds memory, and linear takes them in one pass */

#define ATTENTION_HEADS                                                                            \
    4 /* that attend everywhere at once, between two questions whether to go on */

struct vit_block {
    struct weight norm1, norm2;         /* (hidden) */
    struct weight qkv, qkv_bias;        /* (3 * hidden, hidden), (3 * hidden): q, then k, then v */
    struct weight proj, proj_bias;      /* (hidden, hidden), (hidden) */
    struct weight gate_proj, gate_bias; /* (intermediate, hidden), (intermediate) */
    struct weight up_proj, up_bias;     /* (intermediate, hidden), (intermediate) */
    struct weight down_proj, down_bias; /* (hidden, intermediate), (hidden) */
};

struct vit_qwen2_5 {
    const struct vision_config *config;
    struct patch_params patch_params;
    struct backend *be;
    float *patch_kernel;       /* host, behind patch_embed: both temporal kernels summed */
    struct weight patch_embed; /* (hidden, channels * patch * patch) */
    struct vit_block *blocks;
    struct weight ln_q;          /* (hidden) */
    struct weight mlp_0, bias_0; /* (merged, merged), (merged); merged = merge^2 * hidden */
    struct weight mlp_2, bias_2; /* (out_hidden, merged), (out_hidden) */
};

/* Activations for n patches. */
struct buffers {
    struct tensor pixels;   /* (n, channels * patch * patch) */
    struct tensor x;        /* (n, hidden): the residual stream */
    struct tensor h;        /* (n, hidden) */
    struct tensor qkv;      /* (n, 3 * hidden) */
    struct tensor gate, up; /* (at most MLP_ROWS, intermediate) */
    struct tensor cos, sin; /* (n, head_dim / 2) */
    struct tensor merged;   /* (n / merge^2, merge^2 * hidden) */
    struct tensor tokens;   /* (n / merge^2, out_hidden), in window order */
};

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t kernel_size(const struct vision_config *c)
{
    return c->in_channels * c->patch_size * c->patch_size;
}

static struct buffers lay_out(const struct vision_config *c, struct scratch *s, int32_t n)
{
    int32_t unit = c->merge_size * c->merge_size, head_dim = c->hidden_size / c->n_heads;
    int32_t mlp_rows = smaller(n, MLP_ROWS);
    scratch_reset(s);
    return (struct buffers){
        .pixels = scratch_tensor(s, n, kernel_size(c)),
        .x = scratch_tensor(s, n, c->hidden_size),
        .h = scratch_tensor(s, n, c->hidden_size),
        .qkv = scratch_tensor(s, n, 3 * c->hidden_size),
        .gate = scratch_tensor(s, mlp_rows, c->intermediate_size),
        .up = scratch_tensor(s, mlp_rows, c->intermediate_size),
        .cos = scratch_tensor(s, n, head_dim / 2),
        .sin = scratch_tensor(s, n, head_dim / 2),
        .merged = scratch_tensor(s, n / unit, unit * c->hidden_size),
        .tokens = scratch_tensor(s, n / unit, c->out_hidden_size),
    };
}

static int32_t patch_count(const struct vision_config *c, int32_t width, int32_t height)
{
    return (width / c->patch_size) * (height / c->patch_size);
}

/* ---- loading */

static float widen(const struct safetensors_tensor *t, size_t i)
{
    uint16_t half;
    uint32_t bits;
    float value;
    switch (t->dtype) {
    case SAFETENSORS_F32:
        memcpy(&value, t->data + 4 * i, sizeof value);
        return value;
    case SAFETENSORS_BF16:
        memcpy(&half, t->data + 2 * i, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&value, &bits, sizeof value);
        return value;
    default: { /* F16 */
        memcpy(&half, t->data + 2 * i, sizeof half);
        int exponent = half >> 10 & 31, fraction = half & 1023;
        value = exponent == 0 ? ldexpf((float)fraction, -24)
                              : ldexpf((float)(1024 + fraction), exponent - 25);
        return half >> 15 ? -value : value;
    }
    }
}

/* A still picture is the same frame in every temporal slot, so that the convolution over time is a
 * sum of its temporal kernels, which is taken here, once. The tensor's dimensions are [out,
 * channel, time, y, x] as torch writes them or [out, time, y, x, channel] as MLX does; the result
 * is (out, channel * y * x), the order of patches_from_rgb. */
static int sum_temporal_kernels(const struct vision_config *c, const struct safetensors_tensor *t,
                                float *out, struct vlmd_error *err)
{
    int64_t p = c->patch_size, time = c->temporal_patch_size, ch = c->in_channels;
    const int64_t torch[5] = {c->hidden_size, ch, time, p, p};
    const int64_t mlx[5] = {c->hidden_size, time, p, p, ch};
    bool is_torch = t->n_dims == 5 && memcmp(t->shape, torch, sizeof torch) == 0;
    bool is_mlx = t->n_dims == 5 && memcmp(t->shape, mlx, sizeof mlx) == 0;
    bool is_float = t->dtype != SAFETENSORS_U32 && t->dtype != SAFETENSORS_OTHER;
    if ((!is_torch && !is_mlx) || !is_float)
        return err_set(err, VLMD_FORMAT, t->name,
                       "tensor %s is not the floating-point kernel that the configuration wants",
                       t->name);
    for (int64_t o = 0; o < c->hidden_size; o++)
        for (int64_t i = 0; i < ch; i++)
            for (int64_t yx = 0; yx < p * p; yx++) {
                float sum = 0;
                for (int64_t s = 0; s < time; s++) {
                    int64_t at = is_torch ? ((o * ch + i) * time + s) * p * p + yx
                                          : ((o * time + s) * p * p + yx) * ch + i;
                    sum += widen(t, (size_t)at);
                }
                *out++ = sum;
            }
    return 0;
}

static void load_patch_embed(struct weights *ws, struct vit_qwen2_5 *vit)
{
    const struct vision_config *c = vit->config;
    char name[256];
    size_t count = (size_t)c->hidden_size * (size_t)kernel_size(c);
    snprintf(name, sizeof name, "%spatch_embed.proj.weight", ws->prefix);
    const struct safetensors_tensor *t = checkpoint_find(ws->cp, name);
    vit->patch_kernel = malloc(count * sizeof *vit->patch_kernel);
    if (!t || !vit->patch_kernel) {
        ws->failed = true;
        if (t)
            err_no_memory(ws->err, count * sizeof *vit->patch_kernel);
        else
            err_set(ws->err, VLMD_NOT_FOUND, name, "the checkpoint has no tensor %s", name);
        return;
    }
    struct weight_source source = {
        .type = WEIGHT_F32,
        .rows = c->hidden_size,
        .cols = kernel_size(c),
        .data = vit->patch_kernel,
    };
    if (sum_temporal_kernels(c, t, vit->patch_kernel, ws->err) < 0 ||
        ws->be->ops->weight_load(ws->be, &vit->patch_embed, &source, ws->err) < 0)
        ws->failed = true;
}

static void load_block(struct weights *ws, const struct vision_config *c, struct vit_block *b,
                       int32_t i)
{
    int32_t hidden = c->hidden_size, inter = c->intermediate_size;
    weights_vector(ws, &b->norm1, hidden, "blocks.%d.norm1.weight", i);
    weights_matrix(ws, &b->qkv, 3 * hidden, hidden, "blocks.%d.attn.qkv", i);
    weights_vector(ws, &b->qkv_bias, 3 * hidden, "blocks.%d.attn.qkv.bias", i);
    weights_matrix(ws, &b->proj, hidden, hidden, "blocks.%d.attn.proj", i);
    weights_vector(ws, &b->proj_bias, hidden, "blocks.%d.attn.proj.bias", i);
    weights_vector(ws, &b->norm2, hidden, "blocks.%d.norm2.weight", i);
    weights_matrix(ws, &b->gate_proj, inter, hidden, "blocks.%d.mlp.gate_proj", i);
    weights_vector(ws, &b->gate_bias, inter, "blocks.%d.mlp.gate_proj.bias", i);
    weights_matrix(ws, &b->up_proj, inter, hidden, "blocks.%d.mlp.up_proj", i);
    weights_vector(ws, &b->up_bias, inter, "blocks.%d.mlp.up_proj.bias", i);
    weights_matrix(ws, &b->down_proj, hidden, inter, "blocks.%d.mlp.down_proj", i);
    weights_vector(ws, &b->down_bias, hidden, "blocks.%d.mlp.down_proj.bias", i);
}

static void free_block(struct backend *be, struct vit_block *b)
{
    struct weight *all[] = {
        &b->norm1,     &b->norm2,     &b->qkv,     &b->qkv_bias, &b->proj,      &b->proj_bias,
        &b->gate_proj, &b->gate_bias, &b->up_proj, &b->up_bias,  &b->down_proj, &b->down_bias,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        weights_free(be, all[i]);
}

static int load(struct vit_qwen2_5 *vit, const struct checkpoint *cp, const char *prefix,
                struct vlmd_error *err)
{
    const struct vision_config *c = vit->config;
    int32_t merged = c->merge_size * c->merge_size * c->hidden_size;
    struct weights ws = {.cp = cp, .be = vit->be, .prefix = prefix, .err = err, .many_rows = true};
    load_patch_embed(&ws, vit);
    for (int32_t i = 0; i < c->depth; i++)
        load_block(&ws, c, &vit->blocks[i], i);
    weights_vector(&ws, &vit->ln_q, c->hidden_size, "merger.ln_q.weight");
    weights_matrix(&ws, &vit->mlp_0, merged, merged, "merger.mlp.0");
    weights_vector(&ws, &vit->bias_0, merged, "merger.mlp.0.bias");
    weights_matrix(&ws, &vit->mlp_2, c->out_hidden_size, merged, "merger.mlp.2");
    weights_vector(&ws, &vit->bias_2, c->out_hidden_size, "merger.mlp.2.bias");
    return weights_end(&ws);
}

struct vit_qwen2_5 *vit_qwen2_5_open(const struct vision_config *config,
                                     const struct preprocessor_config *preprocessor,
                                     const struct checkpoint *cp, const char *prefix,
                                     struct backend *be, struct vlmd_error *err)
{
    struct vit_qwen2_5 *vit = calloc(1, sizeof *vit);
    if (!vit) {
        err_no_memory(err, sizeof *vit);
        return NULL;
    }
    vit->config = config;
    vit->be = be;
    vit->patch_params = (struct patch_params){
        .patch = config->patch_size,
        .merge = config->merge_size,
        .temporal = 1, /* patch_embed has its temporal kernels summed */
        .rescale = preprocessor->rescale_factor,
    };
    memcpy(vit->patch_params.mean, preprocessor->mean, sizeof preprocessor->mean);
    memcpy(vit->patch_params.std, preprocessor->std, sizeof preprocessor->std);
    vit->blocks = calloc((size_t)config->depth, sizeof *vit->blocks);
    if (!vit->blocks)
        err_no_memory(err, (size_t)config->depth * sizeof *vit->blocks);
    if (!vit->blocks || load(vit, cp, prefix, err) < 0) {
        vit_qwen2_5_close(vit);
        return NULL;
    }
    return vit;
}

void vit_qwen2_5_close(struct vit_qwen2_5 *vit)
{
    if (!vit)
        return;
    struct weight *rest[] = {&vit->patch_embed, &vit->ln_q,  &vit->mlp_0,
                             &vit->bias_0,      &vit->mlp_2, &vit->bias_2};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        weights_free(vit->be, rest[i]);
    for (int32_t i = 0; vit->blocks && i < vit->config->depth; i++)
        free_block(vit->be, &vit->blocks[i]);
    free(vit->blocks);
    free(vit->patch_kernel);
    free(vit);
}

/* ---- forward */

/* One picture on its way through. */
struct pass {
    struct buffers b;
    struct scratch scratch;
    struct vit_windows windows;
    int32_t n;             /* patches */
    int32_t grid_rows;     /* patches down */
    int32_t grid_cols;     /* patches across */
    float *host;           /* pixels, then angles, on their way to the backend */
    int32_t *window_start; /* runs of patches, n_runs + 1 */
    vlmd_cancel_fn cancel; /* may be NULL */
    void *cancel_context;
};

static size_t host_bytes(const struct vision_config *c, int32_t n)
{
    int32_t widest = kernel_size(c) > c->hidden_size ? kernel_size(c) : c->hidden_size;
    return (size_t)n * (size_t)widest * sizeof(float);
}

/* The lists of vit_windows are a few integers for each token and do not count. */
size_t vit_qwen2_5_bytes(const struct vision_config *c, int32_t width, int32_t height)
{
    int32_t n = patch_count(c, width, height), unit = c->merge_size * c->merge_size;
    struct scratch measure = {0};
    lay_out(c, &measure, n);
    size_t result = (size_t)(n / unit) * (size_t)c->out_hidden_size * sizeof(float);
    return measure.used + host_bytes(c, n) + result;
}

static int pass_open(struct pass *p, const struct vit_qwen2_5 *vit, int32_t width, int32_t height,
                     struct vlmd_error *err)
{
    const struct vision_config *c = vit->config;
    int32_t unit = c->merge_size * c->merge_size;
    *p = (struct pass){
        .n = patch_count(c, width, height),
        .grid_rows = height / c->patch_size,
        .grid_cols = width / c->patch_size,
    };
    struct scratch measure = {0};
    lay_out(c, &measure, p->n);
    if (vit_windows_open(&p->windows, p->grid_rows / c->merge_size, p->grid_cols / c->merge_size,
                         c->window_size / c->patch_size / c->merge_size, err) < 0)
        return -1;
    p->window_start = malloc(((size_t)p->windows.n_runs + 1) * sizeof *p->window_start);
    p->host = malloc(host_bytes(c, p->n));
    if (!p->window_start || !p->host)
        return err_no_memory(err, host_bytes(c, p->n));
    for (int32_t i = 0; i <= p->windows.n_runs; i++)
        p->window_start[i] = p->windows.run_start[i] * unit;
    if (scratch_open(&p->scratch, vit->be, measure.used, err) < 0)
        return -1;
    p->b = lay_out(c, &p->scratch, p->n);
    return 0;
}

static void pass_close(struct pass *p, const struct vit_qwen2_5 *vit)
{
    scratch_close(&p->scratch, vit->be);
    vit_windows_close(&p->windows);
    free(p->window_start);
    free(p->host);
}

/* Rotary angles in window order: half of the frequencies turn by the patch's row, half by its
 * column. */
static void upload_angles(const struct vit_qwen2_5 *vit, struct pass *p)
{
    const struct vision_config *c = vit->config;
    int32_t half = c->hidden_size / c->n_heads / 2, unit = c->merge_size * c->merge_size;
    float inv_freq[512];
    rope_frequencies(inv_freq, half, ROPE_THETA);
    float *cos = p->host, *sin = p->host + (size_t)p->n * (size_t)half;
    for (int32_t i = 0; i < p->n; i++) {
        int32_t token = p->windows.order[i / unit], inside = i % unit;
        int32_t merged_cols = p->grid_cols / c->merge_size;
        int32_t row = token / merged_cols * c->merge_size + inside / c->merge_size;
        int32_t col = token % merged_cols * c->merge_size + inside % c->merge_size;
        for (int32_t j = 0; j < half; j++) {
            int32_t at = j < half / 2 ? row : col;
            float angle = (float)at * inv_freq[j % (half / 2)];
            *cos++ = cosf(angle);
            *sin++ = sinf(angle);
        }
    }
    size_t bytes = (size_t)p->n * (size_t)half * sizeof *p->host;
    vit->be->ops->upload(vit->be, p->b.cos.data, p->host, bytes);
    vit->be->ops->upload(vit->be, p->b.sin.data, p->host + (size_t)p->n * (size_t)half, bytes);
}

/* Pixels to patch embeddings in window order. */
static int embed_patches(const struct vit_qwen2_5 *vit, struct pass *p, const uint8_t *rgb,
                         int32_t width, int32_t height, struct vlmd_error *err)
{
    const struct vision_config *c = vit->config;
    const struct ops *ops = vit->be->ops;
    if (patches_from_rgb(rgb, height, width, &vit->patch_params, p->host, err) < 0)
        return -1;
    ops->upload(vit->be, p->b.pixels.data, p->host,
                (size_t)p->n * (size_t)kernel_size(c) * sizeof *p->host);
    ops->linear(vit->be, p->b.h, p->b.pixels, &vit->patch_embed, NULL);
    /* The patches of a merged token lie together, so that windows are an order of merged tokens. */
    int32_t unit = c->merge_size * c->merge_size;
    struct tensor from = tensor_reshape(p->b.h, p->n / unit, unit * c->hidden_size);
    struct tensor to = tensor_reshape(p->b.x, p->n / unit, unit * c->hidden_size);
    ops->gather_rows(vit->be, to, from, p->windows.order, p->n / unit);
    return 0;
}

static bool attends_everywhere(const struct vision_config *c, int32_t block)
{
    for (int32_t i = 0; i < c->n_full_attention_blocks; i++)
        if (c->full_attention_blocks[i] == block)
            return true;
    return false;
}

/* Asked where at most some tenths of a second have passed since the last time, on a machine that
 * takes some seconds for a picture. */
static bool unwanted(const struct pass *p)
{
    return p->cancel && p->cancel(p->cancel_context);
}

/* Every patch with every other: by far the longest single work, so some heads at a time. */
static bool attend_everywhere(const struct vit_qwen2_5 *vit, struct pass *p, struct tensor q,
                              struct tensor k, struct tensor v)
{
    int32_t n_heads = vit->config->n_heads, head_dim = vit->config->hidden_size / n_heads;
    const int32_t whole[2] = {0, p->n};
    for (int32_t first = 0; first < n_heads; first += ATTENTION_HEADS) {
        int32_t at = first * head_dim;
        int32_t columns = smaller(n_heads - first, ATTENTION_HEADS) * head_dim;
        if (unwanted(p))
            return false;
        vit->be->ops->attention_runs(vit->be, tensor_columns(p->b.h, at, columns),
                                     tensor_columns(q, at, columns), tensor_columns(k, at, columns),
                                     tensor_columns(v, at, columns), head_dim, whole, 1);
    }
    return true;
}

/* False when nobody wants the picture any more. */
static bool attention_block(const struct vit_qwen2_5 *vit, int32_t index, struct pass *p)
{
    const struct vision_config *c = vit->config;
    const struct vit_block *w = &vit->blocks[index];
    struct backend *be = vit->be;
    const struct ops *ops = be->ops;
    struct buffers *b = &p->b;
    int32_t hidden = c->hidden_size, head_dim = hidden / c->n_heads;
    struct tensor q = tensor_columns(b->qkv, 0, hidden);
    struct tensor k = tensor_columns(b->qkv, hidden, hidden);
    struct tensor v = tensor_columns(b->qkv, 2 * hidden, hidden);
    ops->rms_norm(be, b->h, b->x, &w->norm1, NORM_EPS);
    ops->linear(be, b->qkv, b->h, &w->qkv, &w->qkv_bias);
    ops->rope(be, q, head_dim, b->cos, b->sin);
    ops->rope(be, k, head_dim, b->cos, b->sin);
    if (!attends_everywhere(c, index))
        ops->attention_runs(be, b->h, q, k, v, head_dim, p->window_start, p->windows.n_runs);
    else if (!attend_everywhere(vit, p, q, k, v))
        return false;
    ops->linear(be, q, b->h, &w->proj, &w->proj_bias); /* q is free again */
    ops->add(be, b->x, q);
    return !unwanted(p);
}

static bool mlp_block(const struct vit_qwen2_5 *vit, const struct vit_block *w, struct pass *p)
{
    struct backend *be = vit->be;
    const struct ops *ops = be->ops;
    struct buffers *b = &p->b;
    int32_t parts = (p->n - 1) / MLP_ROWS + 1, most = (p->n - 1) / parts + 1;
    ops->rms_norm(be, b->h, b->x, &w->norm2, NORM_EPS);
    for (int32_t first = 0; first < p->n; first += most) {
        int32_t rows = smaller(p->n - first, most);
        struct tensor h = tensor_rows(b->h, first, rows);
        struct tensor gate = tensor_rows(b->gate, 0, rows), up = tensor_rows(b->up, 0, rows);
        ops->linear(be, gate, h, &w->gate_proj, &w->gate_bias);
        ops->linear(be, up, h, &w->up_proj, &w->up_bias);
        ops->silu_mul(be, gate, up);
        ops->linear(be, h, gate, &w->down_proj, &w->down_bias);
        if (unwanted(p))
            return false;
    }
    ops->add(be, b->x, b->h);
    return true;
}

static void merge(const struct vit_qwen2_5 *vit, struct pass *p, struct tensor embeddings)
{
    const struct vision_config *c = vit->config;
    struct backend *be = vit->be;
    const struct ops *ops = be->ops;
    struct buffers *b = &p->b;
    int32_t unit = c->merge_size * c->merge_size;
    ops->rms_norm(be, b->h, b->x, &vit->ln_q, NORM_EPS);
    struct tensor h = tensor_reshape(b->h, p->n / unit, unit * c->hidden_size);
    ops->linear(be, b->merged, h, &vit->mlp_0, &vit->bias_0);
    ops->gelu(be, b->merged);
    ops->linear(be, b->tokens, b->merged, &vit->mlp_2, &vit->bias_2);
    ops->scatter_rows(be, embeddings, b->tokens, p->windows.order, p->n / unit);
}

static int run(const struct vit_qwen2_5 *vit, struct pass *p, const uint8_t *rgb, int32_t width,
               int32_t height, struct tensor embeddings, struct vlmd_error *err)
{
    if (embed_patches(vit, p, rgb, width, height, err) < 0)
        return -1;
    upload_angles(vit, p);
    for (int32_t i = 0; i < vit->config->depth; i++) {
        if (!attention_block(vit, i, p) || !mlp_block(vit, &vit->blocks[i], p))
            return err_set(err, VLMD_CANCELLED, NULL, "cancelled");
    }
    merge(vit, p, embeddings);
    return 0;
}

int vit_qwen2_5_encode(struct vit_qwen2_5 *vit, const uint8_t *rgb, int32_t width, int32_t height,
                       vlmd_cancel_fn cancel, void *cancel_context, struct tensor *embeddings,
                       struct vlmd_error *err)
{
    const struct vision_config *c = vit->config;
    struct backend *be = vit->be;
    struct pass pass;
    int status = pass_open(&pass, vit, width, height, err);
    pass.cancel = cancel;
    pass.cancel_context = cancel_context;
    if (status == 0) {
        int32_t tokens = pass.n / (c->merge_size * c->merge_size);
        size_t bytes = (size_t)tokens * (size_t)c->out_hidden_size * sizeof(float);
        *embeddings = (struct tensor){be->ops->alloc(be, bytes), tokens, c->out_hidden_size,
                                      c->out_hidden_size};
        status = embeddings->data ? run(vit, &pass, rgb, width, height, *embeddings, err)
                                  : err_no_memory(err, bytes);
        if (status < 0 && embeddings->data)
            be->ops->free(be, embeddings->data);
    }
    pass_close(&pass, vit);
    return status;
}
