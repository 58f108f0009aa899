/* How large images may be shown, as vLLM's and Qwen's users write it: min_pixels and max_pixels of
 * an image part or of the request, the latter also in mm_processor_kwargs. Private to
 * chat_request.c and chat_content.c. */
#pragma once

#include <jansson.h>

#include "front/chat_request.h"

/* Reads min_pixels and max_pixels of this object, where they are given. -1 with *err. */
int chat_pixels_read(const json_t *object, struct pixel_bounds *out, struct vlmd_error *err);
/* The bounds of the whole request, from body.min_pixels, body.max_pixels and
 * body.mm_processor_kwargs. */
int chat_pixels_of_request(const json_t *body, struct pixel_bounds *out, struct vlmd_error *err);
