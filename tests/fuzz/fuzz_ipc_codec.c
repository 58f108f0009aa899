/* Any bytes as a message body (the first two say which type): what decodes must encode to the same
 * bytes again. And any bytes as a stream of frames from a child. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_body(const uint8_t *data, size_t size)
{
    enum ipc_type type = (enum ipc_type)(data[0] % (IPC_TYPES + 1));
    int fds[3];
    size_t n = data[1] % 4;
    for (size_t i = 0; i < n; i++)
        fds[i] = dup(STDERR_FILENO);
    struct ipc_message *m = ipc_decode(type, data + 2, size - 2, fds, n, NULL);
    if (!m)
        return;
    struct buf wire = {0};
    int out[IPC_MAX_FDS];
    size_t n_out;
    if (ipc_encode(m, &wire, out, &n_out, NULL) < 0 || n_out != n || wire.len != size - 2 ||
        memcmp(wire.data ? wire.data : "", data + 2, wire.len) != 0)
        abort();
    buf_free(&wire);
    ipc_message_free(m);
}

static void try_frames(const uint8_t *data, size_t size)
{
    int fds[2];
    if (channel_pair(fds, NULL) < 0)
        return;
    struct channel *c = channel_open(fds[0], IPC_BY_FRONT, IPC_BY_CHILD, NULL);
    ssize_t n = write(fds[1], data, size < 65536 ? size : 65536);
    close(fds[1]);
    struct ipc_message *m;
    while (c && n > 0 && channel_next_wait(c, 100, &m, NULL) == 1)
        ipc_message_free(m);
    channel_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    try_body(data, size);
    try_frames(data, size);
    return 0;
}
