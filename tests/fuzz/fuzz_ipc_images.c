/* The messages that carry images, with real descriptors, as a child or a front that lies would send
 * them: what arrives is handled as its receivers do, no read may leave the memory that was sent,
 * and no descriptor may stay open.
 *
 * Input: which message, how many descriptors are sent, how many are claimed, a size for each, the
 * body. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "ipc/channel.h"
#include "ipc/pass_fd.h"
#include "ipc/shared_memory.h"

#define MAX_SENT 7
#define HEADER   8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum ipc_type type;
    enum ipc_role child;
    bool to_front;
} kinds[] = {
    {IPC_DECODED, IPC_BY_DECODER, true},
    {IPC_FETCHED, IPC_BY_FETCHER, true},
    {IPC_DECODE, IPC_BY_DECODER, false},
    {IPC_GENERATE, IPC_BY_WORKER, false},
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- what receivers do */

static void read_mapped(int fd, size_t bytes)
{
    struct shared_map map;
    volatile uint8_t seen = 0;
    if (shared_memory_map_read(fd, bytes, &map, NULL) < 0)
        return;
    for (size_t i = 0; i < map.size; i += 512)
        seen ^= map.data[i];
    if (map.size > 0)
        seen ^= map.data[map.size - 1];
    (void)seen;
    shared_memory_unmap(&map);
}

static void take_image(const struct ipc_image *image)
{
    size_t bytes;
    require(image->width >= 0 && image->width <= IPC_MAX_SIDE && image->height >= 0 &&
            image->height <= IPC_MAX_SIDE && image->rgb >= 0);
    if (!checked_mul3((size_t)image->width, (size_t)image->height, 3, &bytes))
        return;
    if (shared_memory_fix_size(image->rgb, bytes, NULL) == 0) {
        require(ftruncate(image->rgb, (off_t)bytes + 1) < 0); /* nobody can change it any more */
        read_mapped(image->rgb, bytes);
    }
}

static void take(struct ipc_message *m)
{
    if (m->type == IPC_DECODED) {
        take_image(&m->decoded.image);
    } else if (m->type == IPC_FETCHED) {
        require(m->fetched.bytes >= 0);
        if (shared_memory_seal(m->fetched.bytes, (size_t)m->fetched.n_bytes, NULL) == 0)
            read_mapped(m->fetched.bytes, (size_t)m->fetched.n_bytes);
    } else if (m->type == IPC_DECODE) {
        require(m->decode.encoded >= 0);
        read_mapped(m->decode.encoded, (size_t)m->decode.n_bytes);
    } else if (m->type == IPC_GENERATE) {
        require(m->generate.n_images <= IPC_MAX_IMAGES);
        for (uint32_t i = 0; i < m->generate.n_images; i++)
            take_image(&m->generate.images[i]);
    }
}

/* ---- the conversation so far */

static void say_ready(struct channel *child, enum ipc_role role)
{
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    struct ipc_message ready = {.type = IPC_DECODER_READY};
    require(channel_send(child, &hello, NULL) == 0);
    if (role == IPC_BY_FETCHER) {
        ready.type = IPC_FETCHER_READY;
    } else if (role == IPC_BY_WORKER) {
        ready.type = IPC_READY;
        ready.ready.architecture = ready.ready.isa = ipc_string("");
    }
    require(channel_send(child, &ready, NULL) == 0);
}

static void send_frame(int socket, enum ipc_type type, const uint8_t *data, size_t size)
{
    static uint8_t frame[HEADER + 65536];
    int fds[MAX_SENT];
    size_t n = data[1] % (MAX_SENT + 1), claimed = data[2] & 0x80 ? data[2] & 0x0F : n;
    for (size_t i = 0; i < n; i++)
        require((fds[i] = shared_memory_create((size_t)data[3 + i] * 27, NULL)) >= 0);
    const uint8_t *body = data + 3 + MAX_SENT;
    size_t len = size - 3 - MAX_SENT;
    len = len < sizeof frame - HEADER ? len : sizeof frame - HEADER;
    const uint8_t header[HEADER] = {(uint8_t)len,         (uint8_t)(len >> 8),
                                    (uint8_t)(len >> 16), 0,
                                    (uint8_t)type,        (uint8_t)((unsigned)type >> 8),
                                    (uint8_t)claimed,     IPC_VERSION};
    memcpy(frame, header, HEADER);
    memcpy(frame + HEADER, body, len);
    if (pass_fd_send(socket, frame, HEADER + len, fds, n) < 0) {
        /* the socket is full of a long body: nothing to see */
    }
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static int lowest_free(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size < 3 + MAX_SENT)
        return 0;
    size_t k = data[0] % (sizeof kinds / sizeof *kinds);
    enum ipc_role role = kinds[k].child;
    int before = lowest_free();
    require(channel_pair(pair, NULL) == 0);
    struct channel *child = channel_open(pair[0], role, IPC_BY_FRONT, NULL);
    struct channel *front = channel_open(pair[1], IPC_BY_FRONT, role, NULL);
    require(child && front);
    say_ready(child, role);
    struct channel *from = kinds[k].to_front ? child : front;
    struct channel *to = kinds[k].to_front ? front : child;
    send_frame(channel_fd(from), kinds[k].type, data, size);
    struct ipc_message *m;
    for (int turn = 0; turn < 4 && channel_next_wait(to, 0, &m, NULL) == 1; turn++) {
        take(m);
        ipc_message_free(m);
    }
    channel_close(child);
    channel_close(front);
    require(lowest_free() == before);
    return 0;
}
