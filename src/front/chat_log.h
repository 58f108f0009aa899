/* What the log says of completions: figures always, words only where they were asked for. */
#pragma once

#include "front/params.h"
#include "ipc/codec.h"

/* The work on a request is done; `id` names it in the log. */
void chat_log_done(const char *id, const struct params *params, size_t n_images,
                   const struct ipc_done *done);
