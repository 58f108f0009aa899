/* The paged kv cache: memory for all layers, and which of its blocks are free. A block holds
 * block_tokens tokens of one session in every layer. Who holds which block is the session's matter.
 */
#pragma once

#include "ops/ops.h"

#define KV_BLOCK_TOKENS 32

struct kv_cache {
    struct kv_shape shape;
    struct kv_layer *layers;
    int32_t n_layers;
    int32_t *free_blocks; /* a stack */
    int32_t n_free;
    size_t bytes;
};

/* Room for at least n_tokens, rounded up to whole blocks. */
int kv_cache_open(struct kv_cache *cache, struct backend *be, int32_t n_layers, int32_t n_kv_heads,
                  int32_t head_dim, int32_t n_tokens, struct vlmd_error *err);
/* What it will take; -1 with VLMD_TOO_LARGE when that is no number. */
int kv_cache_measure(int32_t n_layers, int32_t n_kv_heads, int32_t head_dim, int32_t n_tokens,
                     size_t *bytes, struct vlmd_error *err);
void kv_cache_close(struct kv_cache *cache, struct backend *be);

/* -1 when all are taken. */
int32_t kv_cache_take(struct kv_cache *cache);
void kv_cache_give(struct kv_cache *cache, int32_t block);

static inline int32_t kv_cache_blocks_for(int32_t n_tokens)
{
    return n_tokens / KV_BLOCK_TOKENS + (n_tokens % KV_BLOCK_TOKENS != 0);
}
