/* What a worker is sent about a request. Texts are borrowed from the request. */
#pragma once

#include "front/chat_request.h"
#include "front/receipt.h"
#include "ipc/codec.h"

/* GENERATE without a prompt: how to sample and when to stop, with a fresh seed if none was given.
 */
struct ipc_generate chat_message_sampling(const struct params *params);
/* GENERATE; n_images is set, and chat_message_add_images is to follow. */
struct ipc_message chat_message_generate(const struct chat_request *request);
/* With descriptors of their own: the images stay open here in case the worker dies. -1 with *err.
 */
int chat_message_add_images(struct ipc_generate *generate, const struct ipc_image *images,
                            struct vlmd_error *err);
struct ipc_message chat_message_estimate(const struct chat_request *request,
                                         const struct receipts *receipts);
