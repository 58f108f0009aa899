/* The worker's end of its channel, shared by the loop that computes and a thread that attends to
 * the front while it does: the thread answers PING, keeps what else arrives for the loop, and ends
 * the process when the front is gone. What the messages mean is for worker.c. */
#pragma once

#include "ipc/channel.h"

struct line;

/* Takes the socket over. After `stall_ms` in which the loop did not ask for messages, though it has
 * begun to, PING is not answered any more: the front then takes the worker for wedged. */
struct line *line_open(int channel_fd, unsigned stall_ms, struct vlmd_error *err);
void line_close(struct line *line); /* NULL is fine */

/* As channel_send, from any thread. */
int line_send(struct line *line, struct ipc_message *message, struct vlmd_error *err);
/* The loop's next message, never PING: 1 and *message, to be freed with ipc_message_free; 0: there
 * is none (when `wait`, only after something else came); -1: the front is gone (VLMD_IO) or broke
 * the rules. */
int line_next(struct line *line, bool wait, struct ipc_message **message, struct vlmd_error *err);
/* Waits until everything was sent; the front may be gone instead. */
void line_flush(struct line *line);
