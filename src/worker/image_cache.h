/* Images that went through the vision tower are kept, so that the same picture need not go through
 * it again. The same is what has the same pixels and size and the same owner: what one user sent
 * cannot be found out by another. Bounded in bytes; what was used longest ago goes first. Not for
 * several threads. */
#pragma once

#include "base/err.h"
#include "base/hash.h"

struct image_cache;

struct image_key {
    uint8_t pixels[HASH_BYTES]; /* SHA-256 */
    int32_t width, height;
    uint64_t owner;
};

/* An image that somebody holds, whether the cache still has it or not. */
struct held_image;

struct image_cache_state {
    uint64_t hits, misses, evictions; /* since it was opened */
    uint64_t bytes;
    uint32_t images;
};

/* Of the pixels, counted here: nobody's word is taken for it. -1 with *err. */
int image_key_make(const uint8_t *rgb, int32_t width, int32_t height, uint64_t owner,
                   struct image_key *key, struct vlmd_error *err);

/* At most max_bytes are kept; 0: nothing. */
struct image_cache *image_cache_open(uint64_t max_bytes, struct vlmd_error *err);
/* All held images must have been given back. */
void image_cache_close(struct image_cache *cache);

/* The image of this key, to be given back, or NULL. */
struct held_image *image_cache_find(struct image_cache *cache, const struct image_key *key);
/* Takes an image of `bytes` bytes over, in any case, and keeps it if it fits. To be given back.
 * NULL with *err. */
struct held_image *image_cache_add(struct image_cache *cache, const struct image_key *key,
                                   vlmd_image *image, uint64_t bytes, struct vlmd_error *err);
/* NULL is fine. */
void image_cache_give_back(struct held_image *held);
vlmd_image *held_image_get(const struct held_image *held);

struct image_cache_state image_cache_state(const struct image_cache *cache);
