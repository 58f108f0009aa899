/* One request's life inside the worker: prompt, images, session, sampler and text, from its arrival
 * to its one final event. */
#pragma once

#include "worker/scheduler.h"

enum request_phase {
    REQUEST_WAITING,
    REQUEST_VISION,  /* admitted; images remain to be encoded */
    REQUEST_PREFILL, /* pending prompt tokens */
    REQUEST_DECODE,  /* one pending token */
};

struct request {
    uint64_t id;
    enum request_phase phase;
    bool cancelled;

    int32_t *tokens;
    int32_t n_tokens;
    struct scheduler_image *images;
    int32_t n_images;
    void (*release)(void *owner);
    void *owner;

    char *echo; /* NULL once it was sent */
    size_t echo_len;
    int32_t max_tokens; /* resolved: at least 1 */
    int32_t completion_tokens;

    vlmd_sampler *sampler;
    vlmd_text_stream *stream;
    vlmd_session *session; /* from admission on */
    uint64_t images_of;
    struct held_image **held; /* n_images; NULL until encoded */
    int32_t n_encoded;
    uint64_t cached; /* bit i: image i was found in the cache */

    double arrived, admitted, prefill_began, decode_began; /* monotonic seconds */
    double vision_seconds;

    struct request *next; /* in the scheduler's list */
};

/* NULL with *err; the pixels then were released. */
struct request *request_open(vlmd_engine *engine, const struct scheduler_request *from,
                             struct vlmd_error *err);
void request_close(struct request *r);

/* Opens the session and takes kv blocks for the prompt and the first part of the answer.
 * VLMD_NO_MEMORY: try again when others have ended. */
int request_admit(struct request *r, vlmd_engine *engine, struct vlmd_error *err);
/* Encodes the next image, or finds it in the cache; after the last one the prompt is appended to
 * the session and the phase is REQUEST_PREFILL. */
int request_encode_image(struct request *r, vlmd_engine *engine, struct image_cache *cache,
                         vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err);

/* Tokens that prompt and answer of one request may have together. */
int32_t request_room(const vlmd_engine *engine);
/* Tokens for which kv blocks are taken at admission. max_tokens 0: not limited. */
int32_t request_reserve(const vlmd_engine *engine, int32_t prompt_tokens, int32_t max_tokens);

struct scheduler_result request_result(const struct request *r, enum scheduler_finish finish);
