/* Bytes of tokens to text that may be sent: whole UTF-8, and nothing that could still turn out to
 * be part of a stop string. What is no UTF-8 becomes U+FFFD, one for each longest run that begins a
 * character without ending it (as Python's errors="replace" has it).
 *
 * The text ends before the first stop string to be complete; of several that are complete at the
 * same character, before the longest. This does not depend on how tokens cut the text. */
#pragma once

#include "tokenizer/tokenizer.h"
#include "vlmd.h"

#define TEXT_STREAM_MAX_STOPS      64
#define TEXT_STREAM_MAX_STOP_BYTES 4096

/* The tokenizer is borrowed; the stop strings are copied. A stop string that is empty, no UTF-8 or
 * too long is VLMD_INVALID with field "stop[i]". Closed with vlmd_text_stream_close. */
vlmd_text_stream *text_stream_create(const struct tokenizer *tokenizer, const char *const *stops,
                                     size_t n_stops, struct vlmd_error *err);

/* vlmd_text_stream_push by bytes instead of by token. */
int text_stream_push_bytes(vlmd_text_stream *stream, const char *bytes, size_t n_bytes,
                           const char **text, size_t *len, struct vlmd_error *err);
