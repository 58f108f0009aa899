#include "worker/image_cache.h"

#include <stdlib.h>
#include <string.h>

#include "vlmd.h"

struct held_image {
    struct image_key key;
    vlmd_image *image;
    uint64_t bytes;
    unsigned holders; /* the cache is one of them */
    struct held_image *older, *newer;
};

struct image_cache {
    uint64_t max_bytes;
    struct image_cache_state state;
    struct held_image *oldest, *newest; /* by their last use */
};

int image_key_make(const uint8_t *rgb, int32_t width, int32_t height, uint64_t owner,
                   struct image_key *key, struct vlmd_error *err)
{
    size_t bytes = (size_t)width * (size_t)height * 3;
    *key = (struct image_key){.width = width, .height = height, .owner = owner};
    return hash_sha256(rgb, bytes, key->pixels) < 0 ? err_no_memory(err, bytes) : 0;
}

static bool same_key(const struct image_key *a, const struct image_key *b)
{
    return a->width == b->width && a->height == b->height && a->owner == b->owner &&
           memcmp(a->pixels, b->pixels, sizeof a->pixels) == 0;
}

struct image_cache *image_cache_open(uint64_t max_bytes, struct vlmd_error *err)
{
    struct image_cache *cache = calloc(1, sizeof *cache);
    if (!cache) {
        err_no_memory(err, sizeof *cache);
        return NULL;
    }
    cache->max_bytes = max_bytes;
    return cache;
}

/* ---- the order of use */

static void take_out(struct image_cache *cache, struct held_image *held)
{
    *(held->older ? &held->older->newer : &cache->oldest) = held->newer;
    *(held->newer ? &held->newer->older : &cache->newest) = held->older;
    held->older = held->newer = NULL;
}

static void put_newest(struct image_cache *cache, struct held_image *held)
{
    held->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = held;
    cache->newest = held;
}

static void drop_oldest(struct image_cache *cache)
{
    struct held_image *held = cache->oldest;
    take_out(cache, held);
    cache->state.bytes -= held->bytes;
    cache->state.images--;
    image_cache_give_back(held);
}

void image_cache_close(struct image_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        drop_oldest(cache);
    free(cache);
}

/* ---- images */

struct held_image *image_cache_find(struct image_cache *cache, const struct image_key *key)
{
    struct held_image *held = cache->newest;
    if (cache->max_bytes == 0)
        return NULL;
    while (held && !same_key(&held->key, key))
        held = held->older;
    if (!held) {
        cache->state.misses++;
        return NULL;
    }
    cache->state.hits++;
    take_out(cache, held);
    put_newest(cache, held);
    held->holders++;
    return held;
}

struct held_image *image_cache_add(struct image_cache *cache, const struct image_key *key,
                                   vlmd_image *image, uint64_t bytes, struct vlmd_error *err)
{
    struct held_image *held = calloc(1, sizeof *held);
    if (!held) {
        vlmd_image_free(image);
        err_no_memory(err, sizeof *held);
        return NULL;
    }
    *held = (struct held_image){.key = *key, .image = image, .bytes = bytes, .holders = 1};
    if (bytes > cache->max_bytes)
        return held;
    while (cache->state.bytes > cache->max_bytes - bytes) {
        drop_oldest(cache);
        cache->state.evictions++;
    }
    held->holders++;
    put_newest(cache, held);
    cache->state.bytes += bytes;
    cache->state.images++;
    return held;
}

void image_cache_give_back(struct held_image *held)
{
    if (!held || --held->holders > 0)
        return;
    vlmd_image_free(held->image);
    free(held);
}

vlmd_image *held_image_get(const struct held_image *held)
{
    return held->image;
}

struct image_cache_state image_cache_state(const struct image_cache *cache)
{
    return cache->state;
}
