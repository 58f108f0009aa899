#include "media/decoder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/smart_resize.h"
#include "ipc/channel.h"
#include "ipc/shared_memory.h"
#include "media/decode.h"
#include "media/sandbox.h"

_Static_assert((int)MEDIA_ORIENTED == IPC_CHANGE_ORIENTED &&
                   (int)MEDIA_FLATTENED == IPC_CHANGE_FLATTENED &&
                   (int)MEDIA_FIRST_FRAME == IPC_CHANGE_FIRST_FRAME &&
                   (int)MEDIA_DEPTH == IPC_CHANGE_DEPTH &&
                   (int)MEDIA_FROM_CMYK == IPC_CHANGE_FROM_CMYK &&
                   (int)MEDIA_CLIPPED == IPC_CHANGE_CLIPPED &&
                   (int)MEDIA_FROM_PROFILE == IPC_CHANGE_FROM_PROFILE,
               "changes are told as they are");

/* "jpeg" */
static struct ipc_string short_name(enum media_format format)
{
    const char *type = media_format_name(format);
    const char *slash = strchr(type, '/');
    return ipc_string(slash ? slash + 1 : type);
}

static struct media_limits limits_of(const struct ipc_decode *order)
{
    return (struct media_limits){
        .bytes = (size_t)order->n_bytes,
        .width = order->limit_side,
        .height = order->limit_side,
        .pixels = (int64_t)order->limit_pixels,
    };
}

/* The size at which the model is shown a picture of this one. */
static int plan(const struct ipc_decode *order, int32_t width, int32_t height, int32_t *out_width,
                int32_t *out_height, struct vlmd_error *err)
{
    int64_t least = (int64_t)order->min_pixels, most = (int64_t)order->max_pixels;
    int64_t within = smart_resize_area_within(width, height, order->max_side);
    most = within < most ? within : most;
    least = least < most ? least : most;
    return smart_resize(height, width, order->factor, least, most, out_height, out_width, err);
}

/* Decodes into new shared memory of the image's size; its descriptor is the caller's. */
static int decode_to_shared(const struct shared_map *encoded, const struct media_info *info,
                            bool to_srgb, struct ipc_image *image, unsigned *changes,
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
    struct media_target target = {image->width, image->height, map.data, to_srgb};
    int status = media_decode_resized(encoded->data, encoded->size, info, &target, changes, err);
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

/* What the header says, and the size that follows from it. */
static int probe(const struct ipc_decode *order, const struct shared_map *encoded,
                 struct media_info *info, struct ipc_image *image, struct vlmd_error *err)
{
    struct media_limits limits = limits_of(order);
    if (media_probe(encoded->data, encoded->size, &limits, info, err) < 0)
        return -1;
    *image = (struct ipc_image){.orig_width = info->width, .orig_height = info->height, .rgb = -1};
    return plan(order, info->width, info->height, &image->width, &image->height, err);
}

/* The answer to an order: PROBED or DECODED. */
static int work(const struct ipc_decode *order, struct ipc_message *m, struct vlmd_error *err)
{
    struct media_info info;
    struct ipc_image image;
    struct shared_map encoded;
    unsigned changes = 0;
    if (shared_memory_map_read(order->encoded, (size_t)order->n_bytes, &encoded, err) < 0)
        return -1;
    int status = probe(order, &encoded, &info, &image, err);
    if (status == 0 && !order->header_only)
        status = decode_to_shared(&encoded, &info, order->to_srgb, &image, &changes, err);
    shared_memory_unmap(&encoded);
    if (status < 0)
        return -1;
    if (order->header_only) {
        m->type = IPC_PROBED;
        m->probed = (struct ipc_probed){
            .id = order->id,
            .format = short_name(info.format),
            .changes = info.orientation == 1 ? 0 : IPC_CHANGE_ORIENTED,
            .width = image.width,
            .height = image.height,
            .orig_width = image.orig_width,
            .orig_height = image.orig_height,
        };
        return 0;
    }
    m->type = IPC_DECODED;
    m->decoded = (struct ipc_decoded){order->id, short_name(info.format), changes, image};
    return 0;
}

static int answer(struct channel *channel, const struct ipc_decode *order, struct vlmd_error *err)
{
    struct ipc_message m = {0};
    struct vlmd_error why = {0};
    if (work(order, &m, &why) < 0) {
        m.type = IPC_DECODE_ERROR;
        m.decode_error.id = order->id;
        m.decode_error.code = why.code;
        m.decode_error.field = ipc_string(why.field);
        m.decode_error.text = ipc_string(why.text);
    }
    return channel_send(channel, &m, err);
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
