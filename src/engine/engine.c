/* Opening and closing of an engine, and what it says of itself and its vocabulary. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/file.h"
#include "engine/engine_internal.h"

#define DEFAULT_KV_TOKENS    16384
#define DEFAULT_BATCH_TOKENS 512
#define MAX_BATCH_TOKENS     65536
#define MAX_KV_TOKENS        (1 << 26)

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int check_options(const struct vlmd_engine_options *o, struct vlmd_error *err)
{
    if (o->threads < 0 || o->threads > 4096)
        return err_set(err, VLMD_INVALID, "threads", "threads must be between 0 and 4096");
    if (o->kv_tokens < 0 || o->kv_tokens > MAX_KV_TOKENS)
        return err_set(err, VLMD_INVALID, "kv_tokens", "kv_tokens must be between 0 and %d",
                       MAX_KV_TOKENS);
    if (o->batch_tokens < 0 || o->batch_tokens > MAX_BATCH_TOKENS)
        return err_set(err, VLMD_INVALID, "batch_tokens", "batch_tokens must be between 0 and %d",
                       MAX_BATCH_TOKENS);
    return 0;
}

static int open_tokenizer(vlmd_engine *e, const char *folder, struct vlmd_error *err)
{
    char *path = file_join(folder, "tokenizer.json");
    if (!path)
        return err_no_memory(err, strlen(folder));
    e->tokenizer = tokenizer_open(path, err);
    free(path);
    if (!e->tokenizer)
        return -1;
    if (tokenizer_vocab_size(e->tokenizer) > e->config.text.vocab_size)
        return err_set(err, VLMD_FORMAT, "vocab_size",
                       "tokenizer.json has more entries than config.json's vocab_size");
    return 0;
}

static int32_t kv_tokens(const struct model_config *c, const struct vlmd_engine_options *o)
{
    int32_t kv = o->kv_tokens ? o->kv_tokens : smaller(DEFAULT_KV_TOKENS, c->text.context_length);
    return kv_cache_blocks_for(kv) * KV_BLOCK_TOKENS;
}

static int32_t batch_tokens(const struct vlmd_engine_options *o)
{
    return o->batch_tokens ? o->batch_tokens : DEFAULT_BATCH_TOKENS;
}

static void describe(vlmd_engine *e, const struct vlmd_engine_options *o)
{
    const struct model_config *c = &e->config;
    e->info = (struct vlmd_engine_info){
        .architecture = c->model_type,
        .isa = e->be->ops->name,
        .has_vision = c->has_vision,
        .vocab_size = c->text.vocab_size,
        .context_length = c->text.context_length,
        .hidden_size = c->text.hidden_size,
        .batch_tokens = batch_tokens(o),
        .kv_tokens = kv_tokens(c, o),
        .weight_bytes = checkpoint_bytes(&e->checkpoint),
        .image_token = c->image_token_id,
    };
    if (c->has_vision) {
        e->info.patch_size = c->vision.patch_size;
        e->info.merge_size = c->vision.merge_size;
        e->info.min_pixels = c->preprocessor.min_pixels;
        e->info.max_pixels = c->preprocessor.max_pixels;
    }
}

static int open_parts(vlmd_engine *e, const char *path, const struct vlmd_engine_options *o,
                      struct vlmd_error *err)
{
    const struct text_config *t = &e->config.text;
    if (check_options(o, err) < 0 || model_config_read(&e->config, path, err) < 0)
        return -1;
    const struct model_class *class = model_registry_find(e->config.model_type, err);
    if (!class)
        return -1;
    if (!class->encode_image)
        e->config.has_vision = false;
    if (open_tokenizer(e, path, err) < 0 || checkpoint_open(&e->checkpoint, path, err) < 0)
        return -1;
    const struct cpu_options cpu = {o->threads, o->isa, o->activations};
    e->be = backend_cpu_open(&cpu, err);
    if (!e->be)
        return -1;
    describe(e, o);
    e->model = class->open(&e->config, &e->checkpoint, e->be, e->info.batch_tokens, err);
    if (!e->model)
        return -1;
    if (kv_cache_open(&e->kv, e->be, t->n_layers, t->n_kv_heads, t->head_dim, e->info.kv_tokens,
                      err) < 0)
        return -1;
    e->info.kv_bytes = e->kv.bytes;
    return step_arrays_open(e, err);
}

/* ---- what it will take */

static size_t usual_image_bytes(const struct model_class *class, const struct model_config *c)
{
    int64_t pixels = c->preprocessor.max_pixels;
    int64_t factor = (int64_t)c->vision.patch_size * c->vision.merge_size;
    if (pixels > VLMD_USUAL_PIXELS)
        pixels = VLMD_USUAL_PIXELS;
    int64_t tokens = pixels / (factor * factor);
    return class->image_bytes(c, (int32_t)factor, (int32_t)(factor * (tokens > 0 ? tokens : 1)));
}

static int measure(const char *path, const struct vlmd_engine_options *o,
                   struct vlmd_engine_needs *out, struct vlmd_error *err)
{
    struct model_config c;
    struct checkpoint cp = {0};
    if (check_options(o, err) < 0 || model_config_read(&c, path, err) < 0)
        return -1;
    const struct model_class *class = model_registry_find(c.model_type, err);
    if (!class)
        return -1;
    int status = checkpoint_open(&cp, path, err);
    if (status == 0)
        status = kv_cache_measure(c.text.n_layers, c.text.n_kv_heads, c.text.head_dim,
                                  kv_tokens(&c, o), &out->kv_bytes, err);
    if (status == 0) {
        out->weight_bytes = checkpoint_bytes(&cp);
        out->work_bytes = class->step_bytes(&c, batch_tokens(o)) +
                          (size_t)HEAD_ROWS * (size_t)c.text.vocab_size * sizeof(float);
        out->image_bytes = class->image_bytes && c.has_vision ? usual_image_bytes(class, &c) : 0;
    }
    checkpoint_close(&cp);
    return status;
}

int vlmd_engine_measure(const char *path, const struct vlmd_engine_options *options,
                        struct vlmd_engine_needs *out, struct vlmd_error *err)
{
    const struct vlmd_engine_options defaults = {0};
    *out = (struct vlmd_engine_needs){0};
    return measure(path, options ? options : &defaults, out, err);
}

vlmd_engine *vlmd_engine_open(const char *path, const struct vlmd_engine_options *options,
                              struct vlmd_error *err)
{
    const struct vlmd_engine_options defaults = {0};
    vlmd_engine *e = calloc(1, sizeof *e);
    if (!e) {
        err_no_memory(err, sizeof *e);
        return NULL;
    }
    if (open_parts(e, path, options ? options : &defaults, err) < 0) {
        vlmd_engine_close(e);
        return NULL;
    }
    return e;
}

void vlmd_engine_close(vlmd_engine *e)
{
    if (!e)
        return;
    step_arrays_close(e);
    if (e->be)
        kv_cache_close(&e->kv, e->be);
    if (e->model)
        e->model->class->close(e->model);
    if (e->be)
        e->be->ops->close(e->be);
    checkpoint_close(&e->checkpoint);
    tokenizer_close(e->tokenizer);
    free(e);
}

const struct vlmd_engine_info *vlmd_engine_info(const vlmd_engine *e)
{
    return &e->info;
}

const char *vlmd_token_bytes(const vlmd_engine *e, int32_t token, size_t *len)
{
    return tokenizer_token_bytes(e->tokenizer, token, len);
}

int32_t vlmd_special_token(const vlmd_engine *e, const char *text)
{
    return tokenizer_special_id(e->tokenizer, text);
}

bool vlmd_token_ends(const vlmd_engine *e, int32_t token)
{
    for (int32_t i = 0; i < e->config.n_eos; i++)
        if (e->config.eos[i] == token)
            return true;
    return false;
}
