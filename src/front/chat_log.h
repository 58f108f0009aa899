/* What the log says of completions: figures always, words only where they were asked for. */
#pragma once

#include "front/chat_request.h"
#include "ipc/codec.h"

/* The work on a request is done; `id` names it in the log. */
void chat_log_done(const char *id, const struct chat_request *request, const struct ipc_done *done);
