/* Chat completions from the body of a request to its answer: parse, wait for the model, decode the
 * images, generate, stream. A client that goes away ends it wherever it is. */
#pragma once

#include <uv.h>

#include "front/chat_request.h"
#include "front/decoders.h"
#include "front/fetchers.h"
#include "front/http_conn.h"
#include "front/queue.h"
#include "front/workers.h"

struct chats;

struct chats_options {
    unsigned max_requests; /* worked on or waiting at once; more are refused with 503 */
    struct queue_limits queue;
    struct chat_limits limits;
    int32_t limit_side; /* of an encoded image */
    uint64_t limit_pixels;
    bool log_content;        /* prompts and answers too */
    struct metrics *metrics; /* NULL: nobody counts */
    bool to_srgb;            /* images by their ICC profiles */
    int32_t max_side;        /* of an image as the model is shown it; 0: as memory allows */
};

struct chats *chats_open(uv_loop_t *loop, const struct chats_options *options,
                         struct workers *workers, struct decoders *decoders,
                         struct fetchers *fetchers);
/* New options, for the requests that come from now on. */
void chats_configure(struct chats *chats, const struct chats_options *options);
/* Before the loop ends: nothing waits for a turn any more. */
void chats_stop(struct chats *chats);
/* All requests must have ended (their connections closed). */
void chats_close(struct chats *chats);
unsigned chats_running(const struct chats *chats);
unsigned chats_waiting(const struct chats *chats); /* of these, whose prompt is not yet begun */
unsigned chats_most(const struct chats *chats);    /* accepted at once */

struct queue_counts chats_queue(const struct chats *chats);

/* Who asks, and what that is worth. */
struct chat_caller {
    enum priority priority;
    unsigned owner;        /* the same number for requests that share their turns */
    uint64_t images_of;    /* the same number for requests that may find each other's images kept */
    uint64_t image_pixels; /* of all images together, as they were sent; 0: any number */
};

/* Takes the request over, body included, and answers on its connection. */
void chats_handle(struct chats *chats, struct http_conn *conn, const struct chat_caller *caller);
/* The same body; answers what it would cost, without waiting for a turn. */
void chats_estimate(struct chats *chats, struct http_conn *conn, const struct chat_caller *caller);
