/* What a service manager passes and wants to hear: sockets that it has bound (LISTEN_FDS), and its
 * messages about readiness, state and life (NOTIFY_SOCKET, WATCHDOG_USEC), as sd_listen_fds(3) and
 * sd_notify(3) describe them. Without such a manager every function does nothing. */
#pragma once

#include <uv.h>

struct service;

struct service_sockets {
    int api, admin; /* 0: none was passed */
};
/* Takes the sockets that were passed to this process: those named api and admin, or the first and
 * the second. Others are closed. To be called once. */
struct service_sockets service_take_sockets(void);

/* Begins to answer the watchdog. NULL when there is nobody to talk to. */
struct service *service_open(uv_loop_t *loop);
void service_close(struct service *s); /* NULL is fine; the memory is given back by the loop */
/* "READY=1", "STOPPING=1", "STATUS=..." or several of them, one a line. */
void service_tell(struct service *s, const char *message);
