/* One child process under the event loop: its channel, its heartbeat, its end. What the messages
 * mean is for the owner (workers.c, decoders.c). A child that breaks the protocol, closes its
 * channel, stops or does not answer is killed; a link never comes back to life: a restart is a new
 * link. */
#pragma once

#include <uv.h>

#include "front/child.h"

struct link;

struct link_events {
    void *context;
    /* A message that is not PONG; freed after the call (descriptors that are to be kept are set to
     * -1). */
    void (*on_message)(void *context, struct ipc_message *message);
    /* The conversation is over, with the reason for the log. Called once, never from within
     * link_start; no message follows. */
    void (*on_broken)(void *context, const char *why);
    /* The process has been reaped and the link is about to go: forget it. Called once, after
     * on_broken. */
    void (*on_ended)(void *context, const char *how);
};

struct link *link_start(uv_loop_t *loop, const struct child_plan *plan,
                        const struct link_events *events, struct vlmd_error *err);
/* Sends; the message's descriptors are taken over in any case. When the child is gone on_broken
 * follows, soon. */
int link_send(struct link *link, struct ipc_message *message, struct vlmd_error *err);
/* From now on the child is asked now and then, and is killed when nothing comes from it for about
 * silence_ms; 0: it is left in peace, as at the beginning. */
void link_heartbeat(struct link *link, unsigned silence_ms);
/* Ends the child at once; the events follow. */
void link_kill(struct link *link, const char *why);
pid_t link_pid(const struct link *link);
