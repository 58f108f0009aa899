/* OpenAI chat messages in, the form that Hugging Face chat templates expect out. The one place that
 * knows the shapes of content parts. */
#pragma once

#include <jansson.h>

#include "base/err.h"

/* Checks `openai` (the "messages" of a request) and builds the template's messages: role
 * "developer" becomes "system"; content stays a string, or becomes a list of {"type": "text",
 * "text"} and {"type": "image"} in the order given; tool calls have their arguments parsed. Other
 * members (name, tool_call_id, reasoning_content ...) are passed on.
 *
 * Returns 0: *messages is new and the caller's (json_decref); images, when not NULL, receives a new
 * list with the image source of each {"type": "image"} in order (strings: the URLs). -1 with *err,
 * whose field is like "messages[2].content[0].type". */
int chat_normalize(const json_t *openai, json_t **messages, json_t **images,
                   struct vlmd_error *err);
