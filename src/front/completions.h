/* Text completions: calls whose prompts the model reads as they are, and each prompt's answers,
 * which are generated side by side. */
#pragma once

#include "front/call.h"

struct completions;

/* log_content: prompts and answers stand in the log too. NULL without memory. */
struct completions *completions_open(struct calls *calls, bool log_content);
/* For the requests that come from now on. */
void completions_configure(struct completions *completions, bool log_content);
/* All requests must have ended. */
void completions_close(struct completions *completions);

/* Takes the request over, body included, and answers on its connection. */
void completions_handle(struct completions *completions, struct http_conn *conn,
                        const struct caller *caller);
