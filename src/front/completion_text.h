/* The JSON of text completions: the one body, and the chunks of a stream. Pure text. */
#pragma once

#include "front/chat_text.h"

/* One answer of several. */
struct completion_choice {
    size_t index;
    uint8_t reason; /* enum ipc_finish, once it has ended */
    struct buf text;
};

/* Tokens and times of all answers together. */
void completion_text_add(struct ipc_done *sum, const struct ipc_done *one);

/* text_completion: the whole answer. */
void completion_text_body(struct buf *out, const struct chat_head *head,
                          const struct completion_choice *choices, size_t n,
                          const struct ipc_done *sum);

/* Server-sent events, each "data: {text_completion}\n\n". `first`: with the head's extension. */
void completion_text_delta(struct buf *out, const struct chat_head *head, size_t index, bool first,
                           const char *text, size_t len);
/* An answer's last chunk, with its finish_reason. */
void completion_text_finish(struct buf *out, const struct chat_head *head, size_t index, bool first,
                            uint8_t reason);
/* After all of them: the usage when asked for, and [DONE]. */
void completion_text_end(struct buf *out, const struct chat_head *head, const struct ipc_done *sum);
