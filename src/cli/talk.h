/* Speaking with a child one message at a time, waiting for its answers. */
#pragma once

#include "front/child.h"

/* Sends. That the child is gone is for talk_hear to say, after its last words. */
int talk_tell(struct child *child, struct ipc_message *message, struct vlmd_error *err);
/* The next message, to be freed with ipc_message_free. NULL with *err; a child that is gone is
 * described by its end, as `who`. HELLO is answered here and not returned. */
struct ipc_message *talk_hear(struct child *child, const char *who, struct vlmd_error *err);
/* The error that a child told. Returns -1. */
int talk_told(struct vlmd_error *err, ipc_CODE code, const struct ipc_string *text);
/* Ends it at once. Fine for one that was never started. */
void talk_stop(struct child *child);
