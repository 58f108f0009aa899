/* What images and requests will cost in tokens and memory, said before any work on them: from the
 * engine's own layout of its memory. Generates nothing. */
#pragma once

#include "ipc/codec.h"
#include "vlmd.h"
#include "worker/prompt.h"

/* The largest area, in pixels, of an image whose way through the vision tower fits the memory
 * budget (0: most of this machine's memory) beside `held` bytes that are held anyway; at least that
 * of a picture of 512 x 512. 0 without vision. */
uint64_t estimate_affordable_pixels(const vlmd_engine *engine, uint64_t budget, uint64_t held);

/* Lays the prompt out and fills all of *out but its id, work_bytes and cache_bytes. Errors are
 * those that GENERATE would have, except for a prompt that is too long. */
int estimate_request(const vlmd_engine *engine, const struct prompt_maker *prompts,
                     const struct ipc_estimate *request, struct ipc_estimated *out,
                     struct vlmd_error *err);
