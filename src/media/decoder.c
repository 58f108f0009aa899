#include "media/decoder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/smart_resize.h"
#include "ipc/channel.h"
#include "ipc/shared_memory.h"
#include "media/decode.h"
#include "media/resize.h"
#include "media/sandbox.h"

/* "turned upright, laid over white" */
static void describe_changes(unsigned changes, struct buf *out)
{
    static const struct {
        unsigned change;
        const char *text;
    } texts[] = {
        {MEDIA_ORIENTED, "turned upright"},
        {MEDIA_FLATTENED, "laid over white"},
        {MEDIA_FIRST_FRAME, "first frame of several"},
        {MEDIA_DEPTH, "16 to 8 bits"},
        {MEDIA_FROM_CMYK, "from CMYK"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (changes & texts[i].change)
            buf_appendf(out, "%s%s", out->len ? ", " : "", texts[i].text);
}

/* Resizes the picture into new shared memory and fills image; its descriptor is the caller's. */
static int resize_to_shared(const struct picture *picture, struct ipc_image *image,
                            struct vlmd_error *err)
{
    size_t bytes;
    struct shared_map map;
    if (!checked_mul3((size_t)image->width, (size_t)image->height, 3, &bytes))
        return err_set(err, VLMD_TOO_LARGE, NULL, "the resized image is too large");
    int fd = shared_memory_create(bytes, err);
    if (fd < 0)
        return -1;
    if (shared_memory_map_write(fd, bytes, &map, err) < 0) {
        close(fd);
        return -1;
    }
    int status = media_resize(picture, image->width, image->height, map.data, err);
    if (status == 0 && hash_sha256(map.data, bytes, image->sha256.bytes) < 0)
        status = err_no_memory(err, bytes);
    shared_memory_unmap(&map);
    if (status < 0) {
        close(fd);
        return -1;
    }
    image->rgb = fd;
    return 0;
}

static int decode(const struct ipc_decode *order, struct picture *picture, struct vlmd_error *err)
{
    struct media_limits limits = {
        .bytes = (size_t)order->n_bytes,
        .width = order->limit_side,
        .height = order->limit_side,
        .pixels = (int64_t)order->limit_pixels,
    };
    struct shared_map map;
    if (shared_memory_map_read(order->encoded, (size_t)order->n_bytes, &map, err) < 0)
        return -1;
    int status = media_decode(map.data, map.size, &limits, picture, err);
    shared_memory_unmap(&map);
    return status;
}

static int work(const struct ipc_decode *order, struct ipc_image *image, struct picture *picture,
                struct vlmd_error *err)
{
    if (decode(order, picture, err) < 0)
        return -1;
    *image =
        (struct ipc_image){.orig_width = picture->width, .orig_height = picture->height, .rgb = -1};
    if (smart_resize(picture->height, picture->width, order->factor, (int64_t)order->min_pixels,
                     (int64_t)order->max_pixels, &image->height, &image->width, err) < 0)
        return -1;
    return resize_to_shared(picture, image, err);
}

static int answer(struct channel *channel, const struct ipc_decode *order, struct vlmd_error *err)
{
    struct picture picture = {0};
    struct ipc_image image;
    struct vlmd_error why = {0};
    if (work(order, &image, &picture, &why) < 0) {
        struct ipc_message m = {.type = IPC_DECODE_ERROR};
        m.decode_error.id = order->id;
        m.decode_error.code = why.code;
        m.decode_error.field = ipc_string(why.field);
        m.decode_error.text = ipc_string(why.text);
        picture_free(&picture);
        return channel_send(channel, &m, err);
    }
    struct buf changes = {0};
    describe_changes(picture.changes, &changes);
    const char *type = media_format_name(picture.info.format);
    const char *slash = strchr(type, '/');
    struct ipc_message m = {.type = IPC_DECODED};
    m.decoded.id = order->id;
    m.decoded.format = ipc_string(slash ? slash + 1 : type);
    m.decoded.changes = ipc_string(changes.data);
    m.decoded.image = image;
    int status = channel_send(channel, &m, err);
    buf_free(&changes);
    picture_free(&picture);
    return status;
}

static int serve(struct channel *channel, struct vlmd_error *err)
{
    for (;;) {
        struct ipc_message *m;
        if (channel_next_wait(channel, -1, &m, err) < 0)
            return -1;
        int status = 0;
        if (m->type == IPC_DECODE) {
            status = answer(channel, &m->decode, err);
        } else if (m->type == IPC_PING) {
            struct ipc_message pong = {.type = IPC_PONG, .pong = {m->ping.number}};
            status = channel_send(channel, &pong, err);
        }
        ipc_message_free(m);
        if (status < 0)
            return -1;
    }
}

static uint8_t lock_in(bool wanted)
{
    struct vlmd_error err;
    uint8_t digest[HASH_BYTES];
    if (!wanted)
        return IPC_SANDBOX_OFF;
    hash_sha256("", 0, digest); /* the library opens its configuration on first use */
    switch (sandbox_enter(&err)) {
    case 1:
        return IPC_SANDBOX_ON;
    case 0:
        log_write(LOG_WARN, "there is no sandbox on this platform yet");
        return IPC_SANDBOX_OFF;
    default:
        log_write(LOG_ERROR, "%s", err.text);
        return IPC_SANDBOX_REFUSED;
    }
}

int decoder_main(int channel_fd, bool want_sandbox)
{
    struct vlmd_error err;
    log_set_role("decoder");
    struct channel *channel = channel_open(channel_fd, IPC_BY_DECODER, IPC_BY_FRONT, &err);
    if (!channel) {
        log_write(LOG_ERROR, "%s", err.text);
        return 1;
    }
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    struct ipc_message ready = {.type = IPC_DECODER_READY};
    int status = channel_send(channel, &hello, &err);
    if (status == 0) {
        ready.decoder_ready.sandbox = lock_in(want_sandbox);
        status = channel_send(channel, &ready, &err);
    }
    if (status == 0)
        status = serve(channel, &err);
    bool gone = err.code == VLMD_IO; /* the front closed the channel: the ordinary end */
    if (!gone)
        log_write(LOG_ERROR, "%s", err.text);
    channel_close(channel);
    return gone ? 0 : 1;
}
