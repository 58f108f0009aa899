#include "cli/run_images.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/data_uri.h"
#include "base/file.h"
#include "base/image_limits.h"
#include "cli/talk.h"
#include "front/image_plan.h"
#include "ipc/shared_memory.h"

#define FETCH_REDIRECTS "3"
#define FETCH_SECONDS   "10"

static bool is_http(const char *name)
{
    return strncasecmp(name, "http://", 7) == 0 || strncasecmp(name, "https://", 8) == 0;
}

bool run_images_is_url(const char *name)
{
    return is_http(name) || data_uri_is(name, strlen(name));
}

/* What an image is called in errors: the text of a data URI would say nothing. */
static const char *called(const struct run_images *ri, size_t i)
{
    const char *name = ri->options.names[i];
    return data_uri_is(name, strlen(name)) ? "the data URI" : name;
}

static int name_error(const struct run_images *ri, size_t i, struct vlmd_error *err)
{
    const struct vlmd_error unnamed = *err;
    return err_set(err, unnamed.code, NULL, "%.200s: %s", called(ri, i), unnamed.text);
}

/* ---- the children */

static const char *sandbox_word(const struct run_images *ri)
{
    return ri->options.sandbox ? "sandbox" : "no-sandbox";
}

static int start_decoder(struct run_images *ri, struct vlmd_error *err)
{
    const char *const arguments[] = {"vlmd: decoder", "role:decoder", sandbox_word(ri), NULL};
    struct child_plan plan = {child_own_program(), arguments, IPC_BY_DECODER};
    return child_start(&plan, &ri->decoder, err);
}

static int start_fetcher(struct run_images *ri, struct vlmd_error *err)
{
    const char *own = child_own_program(), *other = ri->options.fetcher_program;
    const char *const arguments[] = {"vlmd: fetcher",
                                     "role:fetcher",
                                     sandbox_word(ri),
                                     ri->options.fetch_ports,
                                     FETCH_REDIRECTS,
                                     FETCH_SECONDS,
                                     "",
                                     NULL};
    struct child_plan plan = {other ? other : own, arguments, IPC_BY_FETCHER};
    return child_start(&plan, &ri->fetcher, err);
}

/* Waits until the child has locked itself in. */
static int wait_until_ready(struct child *child, const char *who, struct vlmd_error *err)
{
    struct ipc_message *m = talk_hear(child, who, err);
    if (!m)
        return -1;
    uint8_t sandbox = IPC_SANDBOX_REFUSED;
    if (m->type == IPC_DECODER_READY)
        sandbox = m->decoder_ready.sandbox;
    else if (m->type == IPC_FETCHER_READY)
        sandbox = m->fetcher_ready.sandbox;
    ipc_message_free(m);
    if (sandbox != IPC_SANDBOX_REFUSED)
        return 0;
    return err_set(err, VLMD_INTERNAL, "--no-sandbox",
                   "this system refuses the %s's sandbox (--no-sandbox does without one)", who);
}

int run_images_begin(struct run_images *ri, const struct run_images_options *options,
                     struct vlmd_error *err)
{
    bool fetches = false;
    ri->options = *options;
    if (options->n == 0)
        return 0;
    ri->request.images = calloc(options->n, sizeof *ri->request.images);
    if (!ri->request.images)
        return err_no_memory(err, options->n * sizeof *ri->request.images);
    ri->request.n_images = options->n;
    for (size_t i = 0; i < options->n; i++) {
        struct chat_image *image = &ri->request.images[i];
        image->shared = -1;
        snprintf(image->field, sizeof image->field, "images[%zu]", i);
        fetches = fetches || is_http(options->names[i]);
    }
    if (receipts_open(&ri->receipts, options->n, err) < 0 || start_decoder(ri, err) < 0)
        return -1;
    return fetches ? start_fetcher(ri, err) : 0;
}

void run_images_end(struct run_images *ri)
{
    talk_stop(&ri->decoder);
    talk_stop(&ri->fetcher);
    for (size_t i = 0; i < ri->n_images; i++)
        if (ri->images[i].rgb >= 0)
            close(ri->images[i].rgb);
    for (size_t i = 0; i < ri->request.n_images; i++)
        if (ri->request.images[i].shared >= 0)
            close(ri->request.images[i].shared);
    free(ri->request.images);
    receipts_free(&ri->receipts);
    *ri = (struct run_images){0};
}

/* ---- bytes */

static int share(struct chat_image *image, const void *bytes, size_t len, struct vlmd_error *err)
{
    if (len == 0)
        return err_set(err, VLMD_INVALID, NULL, "the image is empty");
    image->len = len;
    image->shared = shared_memory_copy(bytes, len, err);
    return image->shared < 0 ? -1 : 0;
}

static int read_data_uri(struct chat_image *image, const char *text, struct vlmd_error *err)
{
    struct data_uri uri;
    if (data_uri_decode(text, strlen(text), IMAGE_MAX_BYTES, &uri, err) < 0)
        return -1;
    int status = share(image, uri.bytes, uri.len, err);
    data_uri_free(&uri);
    return status;
}

static int read_file(struct chat_image *image, const char *path, struct vlmd_error *err)
{
    size_t len;
    char *bytes = file_read(path, IMAGE_MAX_BYTES, &len, err);
    if (!bytes)
        return -1;
    int status = share(image, bytes, len, err);
    free(bytes);
    return status;
}

static int read_local(struct run_images *ri, struct vlmd_error *err)
{
    for (size_t i = 0; i < ri->options.n; i++) {
        const char *name = ri->options.names[i];
        struct chat_image *image = &ri->request.images[i];
        if (is_http(name))
            continue;
        if (!data_uri_is(name, strlen(name))) {
            if (read_file(image, name, err) < 0)
                return -1; /* says which file */
        } else if (read_data_uri(image, name, err) < 0) {
            return name_error(ri, i, err);
        }
    }
    return 0;
}

/* The next answer of the fetcher. */
static int take_fetched(struct run_images *ri, struct vlmd_error *err)
{
    struct ipc_message *m = talk_hear(&ri->fetcher, "fetcher", err);
    if (!m)
        return -1;
    int status = -1;
    if (m->type == IPC_FETCHED && m->fetched.id < ri->options.n) {
        struct chat_image *image = &ri->request.images[m->fetched.id];
        image->len = (size_t)m->fetched.n_bytes;
        image->shared = m->fetched.bytes;
        m->fetched.bytes = -1;
        status = shared_memory_seal(image->shared, image->len, err);
    } else if (m->type == IPC_FETCH_ERROR && m->fetch_error.id < ri->options.n) {
        talk_told(err, m->fetch_error.code, &m->fetch_error.text);
        name_error(ri, (size_t)m->fetch_error.id, err);
    } else {
        err_set(err, VLMD_INTERNAL, NULL, "the fetcher does not answer");
    }
    ipc_message_free(m);
    return status;
}

/* All at once. */
static int fetch(struct run_images *ri, struct vlmd_error *err)
{
    size_t pending = 0;
    if (ri->fetcher.pid > 0 && wait_until_ready(&ri->fetcher, "fetcher", err) < 0)
        return -1;
    for (size_t i = 0; i < ri->options.n; i++) {
        struct ipc_message m = {.type = IPC_FETCH};
        if (!is_http(ri->options.names[i]))
            continue;
        m.fetch = (struct ipc_fetch){i, ipc_string(ri->options.names[i]), IMAGE_MAX_BYTES};
        if (talk_tell(&ri->fetcher, &m, err) < 0)
            return name_error(ri, i, err);
        pending++;
    }
    for (; pending > 0; pending--)
        if (take_fetched(ri, err) < 0)
            return -1;
    return 0;
}

/* ---- pixels */

static int take_decoded(struct ipc_message *m, struct decode_result *out, struct vlmd_error *err)
{
    *out = (struct decode_result){.image.rgb = -1};
    if (m->type == IPC_DECODED) {
        out->image = m->decoded.image;
        out->has_pixels = true;
        out->changes = m->decoded.changes;
        snprintf(out->format, sizeof out->format, "%s", m->decoded.format.data);
        m->decoded.image.rgb = -1;
        return 0;
    }
    if (m->type == IPC_PROBED) {
        out->image.width = m->probed.width;
        out->image.height = m->probed.height;
        return 0;
    }
    if (m->type == IPC_DECODE_ERROR)
        return talk_told(err, m->decode_error.code, &m->decode_error.text);
    return err_set(err, VLMD_INTERNAL, NULL, "the decoder does not answer");
}

static int decode(struct run_images *ri, size_t i, int32_t factor, bool header_only,
                  struct decode_result *out, struct vlmd_error *err)
{
    const struct image_plan *plan = &ri->receipts.items[i].plan;
    struct chat_image *image = &ri->request.images[i];
    struct ipc_message order = {.type = IPC_DECODE};
    order.decode = (struct ipc_decode){
        .id = i,
        .factor = factor,
        .min_pixels = plan->min_pixels,
        .max_pixels = plan->max_pixels,
        .header_only = header_only,
        .limit_side = IMAGE_MAX_SIDE,
        .limit_pixels = IMAGE_MAX_PIXELS,
        .n_bytes = image->len,
        .encoded = fcntl(image->shared, F_DUPFD_CLOEXEC, 0),
    };
    if (order.decode.encoded < 0)
        return err_errno(err, NULL, "no descriptor is left for an image");
    if (talk_tell(&ri->decoder, &order, err) < 0)
        return -1;
    struct ipc_message *m = talk_hear(&ri->decoder, "decoder", err);
    if (!m)
        return -1;
    int status = take_decoded(m, out, err);
    ipc_message_free(m);
    return status < 0 ? name_error(ri, i, err) : 0;
}

/* As the server does: by what each needs, from their headers. */
static int share_room(struct run_images *ri, const struct worker_info *info, struct vlmd_error *err)
{
    int32_t wanted[IPC_MAX_IMAGES], factor = info->image_factor;
    size_t n = ri->request.n_images;
    struct decode_result probed;
    for (size_t i = 0; i < n; i++) {
        if (decode(ri, i, factor, true, &probed, err) < 0)
            return -1;
        wanted[i] = (probed.image.width / factor) * (probed.image.height / factor);
    }
    int32_t most = image_plan_share(wanted, n, image_plan_room(info));
    for (size_t i = 0; i < n; i++)
        if (wanted[i] > most)
            image_plan_limit_tokens(&ri->receipts.items[i].plan, most, factor);
    return 0;
}

int run_images_see(struct run_images *ri, const struct worker_info *info, struct vlmd_error *err)
{
    size_t n = ri->request.n_images;
    if (n == 0)
        return 0;
    if (read_local(ri, err) < 0 || fetch(ri, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct receipt *receipt = &ri->receipts.items[i];
        receipt->field = ri->request.images[i].field;
        if (image_plan_make(&ri->request, i, info, 0, &receipt->plan, err) < 0)
            return -1;
    }
    if (wait_until_ready(&ri->decoder, "decoder", err) < 0 ||
        (n > 1 && share_room(ri, info, err) < 0))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct decode_result result;
        if (decode(ri, i, info->image_factor, false, &result, err) < 0)
            return -1;
        ri->images[ri->n_images++] = result.image;
        receipts_set(&ri->receipts, i, &result, info->image_factor);
    }
    receipts_warn_of_losses(&ri->receipts);
    return 0;
}
