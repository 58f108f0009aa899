/* The JSON of chat completions: the one body, and the chunks of a stream. Pure text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ipc/codec.h"

struct chat_head {
    const char *id; /* "chatcmpl-...", "cmpl-..." */
    const char *model;
    int64_t created;             /* seconds since 1970 */
    bool include_usage;          /* every chunk then has a usage field */
    const struct buf *extension; /* further fields, each after a comma; of the first chunk */
};

/* chat.completion: the whole answer. */
void chat_text_body(struct buf *out, const struct chat_head *head, const char *text, size_t len,
                    const struct ipc_done *done);

/* Server-sent events, each "data: {chat.completion.chunk}\n\n". */
void chat_text_role(struct buf *out, const struct chat_head *head);
void chat_text_delta(struct buf *out, const struct chat_head *head, const char *text, size_t len);
/* The same, for many in a row: what stands before the text is made once. Zero before the first;
 * `event` is the caller's to free. -1 without memory; the next call begins anew. */
struct chat_delta {
    struct buf event;
    size_t start; /* of the text in it */
};
int chat_text_next_delta(struct chat_delta *delta, const struct chat_head *head, const char *text,
                         size_t len);
/* The last choice with its finish_reason, the usage when asked for, and [DONE]. */
void chat_text_end(struct buf *out, const struct chat_head *head, const struct ipc_done *done);

/* Parts that text completions have too. The head up to the model; fields that follow begin with a
 * comma. */
void chat_text_append_head(struct buf *out, const struct chat_head *head, const char *object);
void chat_text_append_extension(struct buf *out, const struct chat_head *head);
/* Beside OpenAI's three numbers, where the time went. */
void chat_text_append_usage(struct buf *out, const struct ipc_done *done);
const char *chat_text_finish_name(uint8_t reason);
