#include "front/chat_fetch.h"

#include <stdlib.h>

struct chat_fetch_slot {
    struct chat_fetch *owner;
    size_t index;
    struct fetch_job *job; /* NULL: not wanted, or over */
};

static void on_fetched(void *context, int fd, size_t len, const struct vlmd_error *err)
{
    struct chat_fetch_slot *slot = context;
    struct chat_fetch *f = slot->owner;
    struct chat_image *image = &f->request->images[slot->index];
    slot->job = NULL;
    if (err) {
        struct vlmd_error named;
        err_set(&named, err->code, image->field, "%s", err->text);
        f->done(f->context, &named);
        return;
    }
    image->fetched = true;
    image->shared = fd;
    image->len = len;
    if (--f->pending == 0)
        f->done(f->context, NULL);
}

int chat_fetch_begin(struct chat_fetch *f, struct fetchers *fetchers, const char *request_id,
                     size_t max_bytes, struct vlmd_error *err)
{
    const struct chat_request *q = f->request;
    for (size_t i = 0; i < q->n_images; i++)
        f->pending += q->images[i].url != NULL;
    if (f->pending == 0)
        return 0;
    f->slots = calloc(q->n_images, sizeof *f->slots);
    if (!f->slots)
        return err_no_memory(err, q->n_images * sizeof *f->slots);
    for (size_t i = 0; i < q->n_images; i++) {
        struct chat_fetch_slot *slot = &f->slots[i];
        *slot = (struct chat_fetch_slot){f, i, NULL};
        if (!q->images[i].url)
            continue;
        struct fetch_order order = {q->images[i].url, max_bytes, request_id};
        slot->job = fetchers_fetch(fetchers, &order, on_fetched, slot, err);
        if (!slot->job)
            return -1;
    }
    return 1;
}

void chat_fetch_end(struct chat_fetch *f)
{
    for (size_t i = 0; f->slots && i < f->request->n_images; i++)
        if (f->slots[i].job)
            fetchers_let_go(f->slots[i].job);
    free(f->slots);
    f->slots = NULL;
}
