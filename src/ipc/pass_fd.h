/* Bytes with descriptors over a Unix stream socket (SCM_RIGHTS). Received descriptors are
 * close-on-exec; none is ever lost or left open on an error path. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Sends bytes and, attached to their first, n_fds descriptors (which stay the caller's). Returns
 * bytes sent, or -1 with errno (EAGAIN on a full non-blocking socket: then no descriptor went). */
ssize_t pass_fd_send(int socket, const void *bytes, size_t len, const int *fds, size_t n_fds);
/* Receives at most `cap` bytes and at most cap_fds descriptors, which become the caller's. Returns
 * bytes, 0 at the end of the stream, -1 with errno (EMSGSIZE: more descriptors came than fit; all
 * were closed). */
ssize_t pass_fd_receive(int socket, void *bytes, size_t cap, int *fds, size_t cap_fds,
                        size_t *n_fds);
