#include "worker/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Tokens of an answer for which blocks are taken at admission; longer ones take more as they grow.
 */
#define ANSWER_RESERVE 256

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static void release_pixels(struct request *r)
{
    if (r->release)
        r->release(r->owner);
    r->release = NULL;
}

void request_close(struct request *r)
{
    if (!r)
        return;
    release_pixels(r);
    vlmd_session_close(r->session);
    for (int32_t i = 0; r->held && i < r->n_images; i++)
        image_cache_give_back(r->held[i]);
    vlmd_sampler_close(r->sampler);
    vlmd_text_stream_close(r->stream);
    free(r->held);
    free(r->images);
    free(r->tokens);
    free(r->echo);
    free(r);
}

int32_t request_room(const vlmd_engine *engine)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    return smaller(info->context_length, info->kv_tokens);
}

int32_t request_reserve(const vlmd_engine *engine, int32_t prompt_tokens, int32_t max_tokens)
{
    int32_t answer = max_tokens > 0 ? smaller(max_tokens, ANSWER_RESERVE) : ANSWER_RESERVE;
    int32_t kv_tokens = vlmd_engine_info(engine)->kv_tokens;
    return prompt_tokens < kv_tokens - answer ? prompt_tokens + answer : kv_tokens;
}

/* Refuses what no amount of waiting would make possible. */
static int check_size(const vlmd_engine *engine, const struct scheduler_request *from,
                      struct vlmd_error *err)
{
    int32_t room = request_room(engine);
    if (from->n_tokens < 1)
        return err_set(err, VLMD_INVALID, "messages", "the prompt is empty");
    if (from->n_tokens >= room)
        return err_set(err, VLMD_TOO_LARGE, "messages",
                       "the prompt has %d tokens; this server has room for %d with the answer",
                       from->n_tokens, room);
    return 0;
}

static void *copy(const void *from, size_t n, size_t size)
{
    void *to = calloc(n + 1, size);
    if (to && n > 0)
        memcpy(to, from, n * size);
    return to;
}

static int fill(struct request *r, vlmd_engine *engine, const struct scheduler_request *from,
                struct vlmd_error *err)
{
    if (check_size(engine, from, err) < 0)
        return -1;
    int32_t room = request_room(engine) - from->n_tokens;
    r->max_tokens = from->max_tokens > 0 ? smaller(from->max_tokens, room) : room;
    r->tokens = copy(from->tokens, (size_t)from->n_tokens, sizeof *r->tokens);
    r->images = copy(from->images, (size_t)from->n_images, sizeof *r->images);
    r->held = calloc((size_t)from->n_images + 1, sizeof(struct held_image *));
    r->echo = copy(from->echo, from->echo_len, 1);
    r->echo_len = from->echo_len;
    if (!r->tokens || !r->images || !r->held || !r->echo)
        return err_no_memory(err, (size_t)from->n_tokens * sizeof *r->tokens);
    r->n_tokens = from->n_tokens;
    r->n_images = from->n_images;
    r->sampler = vlmd_sampler_open(engine, &from->sampling, err);
    if (!r->sampler)
        return -1;
    vlmd_sampler_prompt(r->sampler, r->tokens, r->n_tokens);
    r->stream = vlmd_text_stream_open(engine, from->stops, from->n_stops, err);
    return r->stream ? 0 : -1;
}

struct request *request_open(vlmd_engine *engine, const struct scheduler_request *from,
                             struct vlmd_error *err)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r) {
        if (from->release)
            from->release(from->owner);
        err_no_memory(err, sizeof *r);
        return NULL;
    }
    r->id = from->id;
    r->images_of = from->images_of;
    r->release = from->release;
    r->owner = from->owner;
    r->arrived = clock_seconds();
    if (fill(r, engine, from, err) < 0) {
        request_close(r);
        return NULL;
    }
    return r;
}

/* All images are there: the prompt goes onto the timeline. */
static int begin_prefill(struct request *r, struct vlmd_error *err)
{
    vlmd_image **images = calloc((size_t)r->n_images + 1, sizeof(vlmd_image *));
    release_pixels(r);
    if (!images)
        return err_no_memory(err, (size_t)r->n_images * sizeof(vlmd_image *));
    for (int32_t i = 0; i < r->n_images; i++)
        images[i] = held_image_get(r->held[i]);
    int status = vlmd_session_append(r->session, r->tokens, r->n_tokens, images, r->n_images, err);
    free(images);
    if (status < 0)
        return -1;
    r->phase = REQUEST_PREFILL;
    r->prefill_began = clock_seconds();
    return 0;
}

int request_admit(struct request *r, vlmd_engine *engine, struct vlmd_error *err)
{
    int32_t want = request_reserve(engine, r->n_tokens, r->max_tokens);
    vlmd_session *session = vlmd_session_open(engine, err);
    if (!session)
        return -1;
    if (vlmd_session_reserve(session, want, err) < 0) {
        vlmd_session_close(session);
        return -1;
    }
    r->session = session;
    r->admitted = clock_seconds();
    if (r->n_images == 0)
        return begin_prefill(r, err);
    r->phase = REQUEST_VISION;
    return 0;
}

static uint64_t kept_bytes(const vlmd_engine *engine, const vlmd_image *image)
{
    uint64_t row = (uint64_t)vlmd_engine_info(engine)->hidden_size * sizeof(float);
    return (uint64_t)vlmd_image_tokens(image) * row;
}

static struct held_image *see(struct request *r, vlmd_engine *engine, struct image_cache *cache,
                              vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err)
{
    const struct scheduler_image *from = &r->images[r->n_encoded];
    struct image_key key;
    if (image_key_make(from->rgb, from->width, from->height, r->images_of, &key, err) < 0)
        return NULL;
    struct held_image *held = image_cache_find(cache, &key);
    if (held) {
        r->cached |= r->n_encoded < 64 ? UINT64_C(1) << r->n_encoded : 0;
        return held;
    }
    vlmd_image *image = vlmd_image_encode(engine, from->rgb, from->width, from->height, cancel,
                                          cancel_context, err);
    return image ? image_cache_add(cache, &key, image, kept_bytes(engine, image), err) : NULL;
}

int request_encode_image(struct request *r, vlmd_engine *engine, struct image_cache *cache,
                         vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err)
{
    double began = clock_seconds();
    r->held[r->n_encoded] = see(r, engine, cache, cancel, cancel_context, err);
    r->vision_seconds += clock_seconds() - began;
    if (!r->held[r->n_encoded])
        return -1;
    r->n_encoded++;
    return r->n_encoded == r->n_images ? begin_prefill(r, err) : 0;
}

struct scheduler_result request_result(const struct request *r, enum scheduler_finish finish)
{
    double now = clock_seconds();
    struct scheduler_result result = {
        .finish = finish,
        .prompt_tokens = r->n_tokens,
        .completion_tokens = r->completion_tokens,
        .queue_seconds = (r->session ? r->admitted : now) - r->arrived,
        .vision_seconds = r->vision_seconds,
    };
    if (r->phase == REQUEST_DECODE) {
        result.prefill_seconds = r->decode_began - r->prefill_began;
        result.decode_seconds = now - r->decode_began;
    } else if (r->phase == REQUEST_PREFILL) {
        result.prefill_seconds = now - r->prefill_began;
    }
    return result;
}
