/* One end of a conversation between the front and a child: frames over a Unix stream socket, with
 * non-blocking buffers that serve an event loop (watch channel_fd) and a blocking loop
 * (channel_wait) alike. Checks on both sides that each message is allowed for its sender and state.
 *
 * On the wire: u32 bytes of the body, u16 type, u8 descriptors, u8 version; then the body. */
#pragma once

#include <stdbool.h>

#include "ipc/codec.h"

struct channel;

/* A connected pair of sockets for channel_open: non-blocking and close-on-exec. -1 with *err. */
int channel_pair(int fds[2], struct vlmd_error *err);

/* Takes the socket `fd` over (closes it on failure too). `self` and `peer` are single roles. */
struct channel *channel_open(int fd, enum ipc_role self, enum ipc_role peer,
                             struct vlmd_error *err);
void channel_close(struct channel *c); /* NULL is fine; unsent and unread descriptors are closed */

int channel_fd(const struct channel *c);
bool channel_wants_write(const struct channel *c); /* bytes wait for the socket to take them */
size_t channel_backlog(const struct channel *c);   /* how many */
enum ipc_state channel_state(const struct channel *c);

/* Queues a message and sends what the socket takes now. The message's descriptors belong to the
 * channel from the call on, whether it succeeds or not, and are set to -1. Texts are copied.
 * VLMD_IO: the peer is gone. VLMD_BUSY: the peer does not read; more than CHANNEL_MAX_BACKLOG
 * would wait. */
#define CHANNEL_MAX_BACKLOG (64u << 20)
int channel_send(struct channel *c, struct ipc_message *message, struct vlmd_error *err);
/* Sends what waits, as far as the socket takes it. */
int channel_flush(struct channel *c, struct vlmd_error *err);
/* Reads what the socket has, without waiting. 1: the peer is there; 0: it has closed (messages that
 * arrived before can still be taken); -1 with *err. */
int channel_receive(struct channel *c, struct vlmd_error *err);
/* Takes the next complete message: 1 and *message, to be freed with ipc_message_free; 0: none yet;
 * -1: the peer sent something malformed or not allowed, and the channel must be closed. */
int channel_next(struct channel *c, struct ipc_message **message, struct vlmd_error *err);

/* For blocking loops: waits until there is something to read or the time is over, flushing
 * meanwhile. timeout_ms -1 waits for ever, 0 does not wait. Returns as channel_receive, with 1 also
 * after a timeout. */
int channel_wait(struct channel *c, int timeout_ms, struct vlmd_error *err);
/* channel_next, waiting for a message: 1 and *message, 0: the time is over (timeout_ms -1: never),
 * -1: the peer closed (VLMD_IO) or broke the rules. */
int channel_next_wait(struct channel *c, int timeout_ms, struct ipc_message **message,
                      struct vlmd_error *err);
