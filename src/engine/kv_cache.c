#include "engine/kv_cache.h"

#include <stdlib.h>

#include "base/checked.h"

/* Of keys or values in one layer, and of all together. */
static int measure(int32_t n_layers, int32_t n_kv_heads, int32_t head_dim, int32_t n_tokens,
                   size_t *half, size_t *whole, struct vlmd_error *err)
{
    size_t block_floats = (size_t)n_kv_heads * KV_BLOCK_TOKENS * (size_t)head_dim;
    size_t n_blocks = (size_t)kv_cache_blocks_for(n_tokens);
    *half = *whole = 0;
    if (checked_mul3(block_floats, n_blocks, sizeof(float), half) &&
        checked_mul3(*half, 2, (size_t)n_layers, whole))
        return 0;
    return err_set(err, VLMD_TOO_LARGE, "kv_tokens", "the kv cache would not fit any memory");
}

int kv_cache_measure(int32_t n_layers, int32_t n_kv_heads, int32_t head_dim, int32_t n_tokens,
                     size_t *bytes, struct vlmd_error *err)
{
    size_t half;
    return measure(n_layers, n_kv_heads, head_dim, n_tokens, &half, bytes, err);
}

int kv_cache_open(struct kv_cache *cache, struct backend *be, int32_t n_layers, int32_t n_kv_heads,
                  int32_t head_dim, int32_t n_tokens, struct vlmd_error *err)
{
    int32_t n_blocks = kv_cache_blocks_for(n_tokens);
    size_t bytes;
    *cache = (struct kv_cache){
        .shape = {KV_BLOCK_TOKENS, n_blocks, n_kv_heads, head_dim},
        .n_layers = n_layers,
    };
    if (measure(n_layers, n_kv_heads, head_dim, n_tokens, &bytes, &cache->bytes, err) < 0)
        return -1;
    cache->layers = calloc((size_t)n_layers, sizeof *cache->layers);
    cache->free_blocks = malloc((size_t)n_blocks * sizeof *cache->free_blocks);
    if (!cache->layers || !cache->free_blocks)
        goto no_memory;
    for (int32_t i = 0; i < n_layers; i++) {
        cache->layers[i].keys = be->ops->alloc(be, bytes);
        cache->layers[i].values = be->ops->alloc(be, bytes);
        if (!cache->layers[i].keys || !cache->layers[i].values)
            goto no_memory;
    }
    for (int32_t i = n_blocks; i > 0; i--) /* block 0 is taken first */
        kv_cache_give(cache, i - 1);
    return 0;
no_memory:
    err_set(err, VLMD_NO_MEMORY, "kv_tokens", "no memory for a kv cache of %zu bytes",
            cache->bytes);
    kv_cache_close(cache, be);
    return -1;
}

void kv_cache_close(struct kv_cache *cache, struct backend *be)
{
    for (int32_t i = 0; cache->layers && i < cache->n_layers; i++) {
        if (cache->layers[i].keys)
            be->ops->free(be, cache->layers[i].keys);
        if (cache->layers[i].values)
            be->ops->free(be, cache->layers[i].values);
    }
    free(cache->layers);
    free(cache->free_blocks);
    *cache = (struct kv_cache){0};
}

int32_t kv_cache_take(struct kv_cache *cache)
{
    return cache->n_free > 0 ? cache->free_blocks[--cache->n_free] : -1;
}

void kv_cache_give(struct kv_cache *cache, int32_t block)
{
    cache->free_blocks[cache->n_free++] = block;
}
