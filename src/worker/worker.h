/* The worker role: one process that holds one model and answers the front over a channel. */
#pragma once

#include <stdint.h>

struct worker_options {
    const char *model;       /* checkpoint folder */
    int threads;             /* 0: one per core */
    int32_t kv_tokens;       /* 0: the engine's default */
    int32_t batch_tokens;    /* 0: the engine's default */
    const char *isa;         /* NULL or "auto": the best that this machine has */
    const char *activations; /* NULL or "auto": the engine's default */
    uint64_t image_cache;    /* bytes of images that are kept; never more than the weights have */
};

/* Runs until the front closes the channel (the socket `channel_fd`, which it takes over). Returns
 * the exit status of the process. */
int worker_main(int channel_fd, const struct worker_options *options);
