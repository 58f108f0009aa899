/* Chat completions and their estimates: calls whose images are fetched and decoded, and whose one
 * answer is generated and streamed. */
#pragma once

#include "front/call.h"
#include "front/chat_request.h"
#include "front/decoders.h"
#include "front/fetchers.h"

struct chats;

struct chats_options {
    struct chat_limits limits;
    int32_t limit_side; /* of an encoded image */
    uint64_t limit_pixels;
    bool log_content; /* prompts and answers too */
    bool to_srgb;     /* images by their ICC profiles */
    int32_t max_side; /* of an image as the model is shown it; 0: as memory allows */
};

struct chats *chats_open(const struct chats_options *options, struct calls *calls,
                         struct decoders *decoders, struct fetchers *fetchers);
/* New options, for the requests that come from now on. */
void chats_configure(struct chats *chats, const struct chats_options *options);
/* All requests must have ended. */
void chats_close(struct chats *chats);

/* Takes the request over, body included, and answers on its connection. */
void chats_handle(struct chats *chats, struct http_conn *conn, const struct caller *caller);
/* The same body; answers what it would cost. */
void chats_estimate(struct chats *chats, struct http_conn *conn, const struct caller *caller);
