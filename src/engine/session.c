/* Sessions: one timeline of tokens with its positions, images and kv blocks. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine_internal.h"

vlmd_session *vlmd_session_open(vlmd_engine *engine, struct vlmd_error *err)
{
    vlmd_session *s = calloc(1, sizeof *s);
    if (!s) {
        err_no_memory(err, sizeof *s);
        return NULL;
    }
    s->engine = engine;
    return s;
}

void vlmd_session_close(vlmd_session *s)
{
    if (!s)
        return;
    for (int32_t i = 0; i < s->n_blocks; i++)
        kv_cache_give(&s->engine->kv, s->blocks[i]);
    free(s->tokens);
    free(s->positions);
    free(s->images);
    free(s->blocks);
    free(s);
}

int32_t vlmd_session_length(const vlmd_session *s)
{
    return s->length;
}

int32_t vlmd_session_pending(const vlmd_session *s)
{
    return s->length - s->stepped;
}

/* Room for n more tokens; the contents stay. */
static int grow_timeline(vlmd_session *s, int32_t n, struct vlmd_error *err)
{
    int32_t need = s->length + n; /* at most the context length */
    if (need <= s->capacity)
        return 0;
    int32_t capacity = s->capacity ? s->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    int32_t *tokens = realloc(s->tokens, (size_t)capacity * sizeof *tokens);
    if (!tokens)
        return err_no_memory(err, (size_t)capacity * sizeof *tokens);
    s->tokens = tokens;
    int32_t(*positions)[3] = realloc(s->positions, (size_t)capacity * sizeof *positions);
    if (!positions)
        return err_no_memory(err, (size_t)capacity * sizeof *positions);
    s->positions = positions;
    s->capacity = capacity;
    return 0;
}

static int check_tokens(const vlmd_session *s, const int32_t *tokens, int32_t n,
                        struct vlmd_error *err)
{
    const struct vlmd_engine_info *info = &s->engine->info;
    if (n < 0 || n > info->context_length - s->length)
        return err_set(err, VLMD_TOO_LARGE, "messages",
                       "the prompt has %lld tokens; the model's context is %d",
                       (long long)s->length + n, info->context_length);
    for (int32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= info->vocab_size)
            return err_set(err, VLMD_INVALID, "tokens", "token %d is not in the vocabulary",
                           tokens[i]);
    return 0;
}

/* Remembers where each image's tokens begin. The positions were laid out, so that placeholders and
 * images match. */
static void place_images(vlmd_session *s, const int32_t *tokens, int32_t n,
                         vlmd_image *const *images)
{
    int32_t image_token = s->engine->info.image_token;
    for (int32_t i = 0; i < n;) {
        if (tokens[i] != image_token) {
            i++;
            continue;
        }
        const vlmd_image *image = *images++;
        s->images[s->n_images++] = (struct placed_image){image, s->length + i};
        i += vlmd_image_tokens(image);
    }
}

int vlmd_session_append(vlmd_session *s, const int32_t *tokens, int32_t n_tokens,
                        vlmd_image *const *images, int32_t n_images, struct vlmd_error *err)
{
    if (check_tokens(s, tokens, n_tokens, err) < 0 || grow_timeline(s, n_tokens, err) < 0)
        return -1;
    size_t places = (size_t)s->n_images + (size_t)n_images;
    struct image_grid *grids = calloc((size_t)n_images + 1, sizeof *grids);
    struct placed_image *placed = realloc(s->images, (places + 1) * sizeof *placed);
    if (placed)
        s->images = placed;
    int status = -1;
    if (!grids || !placed) {
        err_no_memory(err, (places + 1) * sizeof *placed);
        goto out;
    }
    for (int32_t i = 0; i < n_images; i++)
        grids[i] = images[i]->grid;
    int32_t next;
    if (mrope_positions(tokens, n_tokens, s->engine->info.image_token, grids, n_images,
                        s->next_position, s->positions + s->length, &next, err) < 0)
        goto out;
    place_images(s, tokens, n_tokens, images);
    if (n_tokens > 0)
        memcpy(s->tokens + s->length, tokens, (size_t)n_tokens * sizeof *tokens);
    s->length += n_tokens;
    s->next_position = next;
    status = 0;
out:
    free(grids);
    return status;
}

int vlmd_session_reserve(vlmd_session *s, int32_t n_tokens, struct vlmd_error *err)
{
    struct kv_cache *kv = &s->engine->kv;
    if (n_tokens < 0 || n_tokens > s->engine->info.kv_tokens - s->stepped)
        return err_set(err, VLMD_TOO_LARGE, "messages",
                       "%lld tokens do not fit the kv cache, which holds %d",
                       (long long)s->stepped + n_tokens, s->engine->info.kv_tokens);
    int32_t need = kv_cache_blocks_for(s->stepped + n_tokens);
    if (need - s->n_blocks > kv->n_free)
        return err_set(err, VLMD_NO_MEMORY, NULL,
                       "the kv cache is full: %d blocks are wanted, %d are free",
                       need - s->n_blocks, kv->n_free);
    if (need > s->blocks_capacity) {
        int32_t capacity = need > 2 * s->blocks_capacity ? need : 2 * s->blocks_capacity;
        int32_t *blocks = realloc(s->blocks, (size_t)capacity * sizeof *blocks);
        if (!blocks)
            return err_no_memory(err, (size_t)capacity * sizeof *blocks);
        s->blocks = blocks;
        s->blocks_capacity = capacity;
    }
    while (s->n_blocks < need)
        s->blocks[s->n_blocks++] = kv_cache_take(kv);
    return 0;
}
