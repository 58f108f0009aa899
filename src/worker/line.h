/* The worker's end of its channel, shared by the loop that computes and a thread that attends to
 * the front while it does: the thread answers PING, keeps what else arrives for the loop, and ends
 * the process when the front is gone. What the messages mean is for worker.c. */
#pragma once

#include "ipc/channel.h"

struct line;

/* Takes the socket over. */
struct line *line_open(int channel_fd, struct vlmd_error *err);
/* From now on PING is not answered any more when the loop has not asked for messages for
 * `stall_ms`: the front then takes the worker for wedged. */
void line_watch(struct line *line, unsigned stall_ms);
void line_close(struct line *line); /* NULL is fine */

/* As channel_send, from any thread. */
int line_send(struct line *line, struct ipc_message *message, struct vlmd_error *err);
/* The loop's next message, never PING: 1 and *message, to be freed with ipc_message_free; 0: there
 * is none (when `wait`, only after something else came); -1: the front is gone (VLMD_IO) or broke
 * the rules. */
int line_next(struct line *line, bool wait, struct ipc_message **message, struct vlmd_error *err);
/* Waits until everything was sent; the front may be gone instead. */
void line_flush(struct line *line);
