#include "front/chat_images.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "front/image_plan.h"
#include "ipc/shared_memory.h"

struct chat_images_slot {
    struct chat_images *owner;
    size_t index;
    struct decode_job *job; /* NULL: none, or over */
};

static double now(void)
{
    return (double)uv_hrtime() / 1e9;
}

/* Ends it with an error that is named after image i. */
static void fail(struct chat_images *ci, size_t i, const struct vlmd_error *err)
{
    struct vlmd_error named;
    err_set(&named, err->code, ci->request->images[i].field, "%s", err->text);
    ci->done(ci->context, &named);
}

static void count(const struct chat_images *ci, const struct ipc_image *image)
{
    struct metrics *m = ci->options.metrics;
    metrics_observe(m, METRICS_IMAGE_SECONDS, now() - ci->began);
    if (!image) {
        metrics_add(m, METRICS_IMAGES_REFUSED, 1);
        return;
    }
    metrics_add(m, METRICS_IMAGES, 1);
    metrics_add(m, METRICS_IMAGE_PIXELS,
                (uint64_t)image->orig_width * (uint64_t)image->orig_height);
    metrics_add(m, METRICS_IMAGE_MODEL_PIXELS, (uint64_t)image->width * (uint64_t)image->height);
}

static int check_budget(struct chat_images *ci, const struct ipc_image *image,
                        struct vlmd_error *err)
{
    uint64_t budget = ci->options.pixel_budget;
    ci->pixels += (uint64_t)image->orig_width * (uint64_t)image->orig_height;
    if (budget == 0 || ci->pixels <= budget)
        return 0;
    return err_set(err, VLMD_TOO_LARGE, NULL,
                   "the images have more than the %llu pixels that this API key may send",
                   (unsigned long long)budget);
}

/* ---- orders */

static void on_probed(void *context, struct decode_result *result, const struct vlmd_error *err);
static void on_decoded(void *context, struct decode_result *result, const struct vlmd_error *err);

/* The encoded bytes: for the last time they are given away. */
static int take_bytes(const struct chat_images *ci, struct chat_image *image)
{
    int fd = image->shared;
    if (ci->probing)
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    image->shared = -1;
    return fd;
}

static int order_one(struct chat_images *ci, size_t i, struct vlmd_error *err)
{
    const struct chat_images_options *o = &ci->options;
    struct chat_image *image = &ci->request->images[i];
    const struct image_plan *plan = &ci->receipts->items[i].plan;
    struct decode_order order = {
        .encoded = take_bytes(ci, image),
        .len = image->len,
        .factor = ci->factor,
        .min_pixels = plan->min_pixels,
        .max_pixels = plan->max_pixels,
        .max_side = plan->max_side,
        .header_only = ci->probing || o->header_only,
        .to_srgb = o->to_srgb,
        .limit_side = o->limit_side,
        .limit_pixels = o->limit_pixels,
    };
    if (o->pixel_budget > 0 && o->pixel_budget < order.limit_pixels)
        order.limit_pixels = o->pixel_budget;
    if (order.encoded < 0)
        return err_set(err, VLMD_NO_MEMORY, image->field, "no descriptor is left for an image");
    ci->slots[i].job = decoders_decode(o->decoders, &order, ci->probing ? on_probed : on_decoded,
                                       &ci->slots[i], err);
    if (ci->slots[i].job)
        return 0;
    return err_set(err, err->code, image->field, "the image could not be handed to its decoder");
}

/* Orders all images at once; the answers come later. */
static int order_all(struct chat_images *ci, struct vlmd_error *err)
{
    size_t n = ci->request->n_images;
    ci->pending = n;
    for (size_t i = 0; i < n; i++)
        if (order_one(ci, i, err) < 0)
            return -1;
    return 0;
}

/* ---- answers */

static void share_room(struct chat_images *ci)
{
    int32_t wanted[IPC_MAX_IMAGES];
    for (size_t i = 0; i < ci->request->n_images; i++) {
        const struct ipc_image *image = &ci->images[i];
        wanted[i] = (image->width / ci->factor) * (image->height / ci->factor);
    }
    int32_t most = image_plan_share(wanted, ci->request->n_images, ci->room);
    for (size_t i = 0; i < ci->request->n_images; i++)
        if (wanted[i] > most)
            image_plan_limit_tokens(&ci->receipts->items[i].plan, most, ci->factor);
}

static void on_probed(void *context, struct decode_result *result, const struct vlmd_error *err)
{
    struct chat_images_slot *slot = context;
    struct chat_images *ci = slot->owner;
    struct vlmd_error failed;
    slot->job = NULL;
    if (err) {
        count(ci, NULL);
        fail(ci, slot->index, err);
        return;
    }
    ci->images[slot->index] = result->image;
    if (--ci->pending > 0)
        return;
    share_room(ci);
    ci->probing = false;
    if (order_all(ci, &failed) < 0)
        ci->done(ci->context, &failed);
}

static void on_decoded(void *context, struct decode_result *result, const struct vlmd_error *err)
{
    struct chat_images_slot *slot = context;
    struct chat_images *ci = slot->owner;
    struct vlmd_error over;
    slot->job = NULL;
    count(ci, result ? &result->image : NULL);
    if (err) {
        fail(ci, slot->index, err);
        return;
    }
    ci->images[slot->index] = result->image;
    if (check_budget(ci, &result->image, &over) < 0) {
        fail(ci, slot->index, &over);
        return;
    }
    receipts_set(ci->receipts, slot->index, result, ci->factor);
    if (--ci->pending > 0)
        return;
    receipts_warn_of_losses(ci->receipts);
    ci->done(ci->context, NULL);
}

/* ---- life */

/* Bytes that were sent go where those are that were fetched. */
static int share_bytes(struct chat_image *image, struct vlmd_error *err)
{
    if (image->fetched)
        return 0;
    image->shared = shared_memory_copy(image->bytes, image->len, err);
    if (image->shared < 0)
        return err_set(err, err->code, image->field,
                       "the image could not be handed to its decoder");
    image->fetched = true;
    free(image->bytes);
    image->bytes = NULL;
    return 0;
}

static int prepare(struct chat_images *ci, struct vlmd_error *err)
{
    size_t n = ci->request->n_images;
    if (receipts_open(ci->receipts, n, err) < 0)
        return -1;
    ci->slots = calloc(n, sizeof *ci->slots);
    ci->images = ci->slots ? malloc(n * sizeof *ci->images) : NULL;
    if (!ci->images)
        return err_no_memory(err, n * sizeof *ci->images);
    for (size_t i = 0; i < n; i++) {
        ci->slots[i] = (struct chat_images_slot){ci, i, NULL};
        ci->images[i] = (struct ipc_image){.rgb = -1};
    }
    return 0;
}

static int plan_all(struct chat_images *ci, const struct worker_info *info, struct vlmd_error *err)
{
    uint64_t most = 0;
    for (size_t i = 0; i < ci->request->n_images; i++) {
        struct receipt *receipt = &ci->receipts->items[i];
        receipt->field = ci->request->images[i].field;
        if (image_plan_make(ci->request, i, info, ci->options.max_side, &receipt->plan, err) < 0 ||
            share_bytes(&ci->request->images[i], err) < 0)
            return -1;
        most += receipt->plan.max_pixels / image_plan_token_area(info);
    }
    ci->factor = info->image_factor;
    ci->room = image_plan_room(info);
    ci->probing = ci->request->n_images > 1 && most > (uint64_t)ci->room;
    return 0;
}

int chat_images_begin(struct chat_images *ci, const struct chat_images_options *options,
                      const struct worker_info *info, struct vlmd_error *err)
{
    ci->options = *options;
    ci->began = now();
    if (prepare(ci, err) < 0 || plan_all(ci, info, err) < 0)
        return -1;
    return order_all(ci, err);
}

void chat_images_end(struct chat_images *ci)
{
    for (size_t i = 0; ci->images && i < ci->request->n_images; i++) {
        if (ci->slots[i].job)
            decoders_let_go(ci->slots[i].job);
        if (ci->images[i].rgb >= 0)
            close(ci->images[i].rgb);
    }
    free(ci->images);
    free(ci->slots);
    ci->images = NULL;
    ci->slots = NULL;
}
