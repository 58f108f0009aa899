/* Writing JSON by hand where it is written often: strings escaped into a buffer. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Appends text as a JSON string with its quotes. The text must be valid UTF-8. */
void json_text_append(struct buf *out, const char *text, size_t len);
