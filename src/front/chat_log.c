#include "front/chat_log.h"

#include "base/log.h"

void chat_log_done(const char *id, const struct params *params, size_t n_images,
                   const struct ipc_done *done)
{
    const struct log_field fields[] = {
        {"model", params->model, 0},
        {"stream", NULL, params->stream},
        {"images", NULL, (double)n_images},
        {"prompt_tokens", NULL, done->prompt_tokens},
        {"completion_tokens", NULL, done->completion_tokens},
        {"queue_seconds", NULL, (double)done->queue_seconds},
        {"vision_seconds", NULL, (double)done->vision_seconds},
        {"prefill_seconds", NULL, (double)done->prefill_seconds},
        {"decode_seconds", NULL, (double)done->decode_seconds},
    };
    log_event(LOG_INFO, fields, sizeof fields / sizeof *fields,
              "%s: %d + %d tokens, queue %.2f s, vision %.2f s, prefill %.2f s, decode %.2f s", id,
              done->prompt_tokens, done->completion_tokens, (double)done->queue_seconds,
              (double)done->vision_seconds, (double)done->prefill_seconds,
              (double)done->decode_seconds);
}
