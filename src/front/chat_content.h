/* The messages of a chat request: roles and content parts validated, images taken out. Private to
 * chat_request.c. */
#pragma once

#include <jansson.h>

#include "front/chat_request.h"

/* Reads body.messages into out->messages and out->images. */
int chat_content_parse(const json_t *body, const struct chat_limits *limits,
                       struct chat_request *out, struct vlmd_error *err);
/* Gives back what the image holds. */
void chat_content_free_image(struct chat_image *image);
