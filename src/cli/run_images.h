/* The images of `vlmd run`: files, http and https URLs and data URIs, through the same fetcher,
 * plan and decoder as the server's, with its limits. */
#pragma once

#include "front/chat_request.h"
#include "front/child.h"
#include "front/receipt.h"
#include "front/workers.h"

struct run_images_options {
    const char *const *names; /* as they were typed; borrowed */
    size_t n;                 /* at most IPC_MAX_IMAGES */
    const char *fetch_ports;
    const char *fetcher_program; /* NULL: this one */
    bool sandbox;
};

struct run_images {
    struct run_images_options options;
    struct child decoder, fetcher;
    struct chat_request request; /* only its images */
    struct receipts receipts;
    struct ipc_image images[IPC_MAX_IMAGES]; /* from the first on; rgb -1: given away */
    size_t n_images;
};

/* Is it a URL, other than a file's name could be? */
bool run_images_is_url(const char *name);

/* Zero before. Starts the children that it needs, while the model is being loaded. In any case to
 * be ended with run_images_end. */
int run_images_begin(struct run_images *ri, const struct run_images_options *options,
                     struct vlmd_error *err);
/* Gets, plans and decodes all of them for this model. Errors name the image in their text. */
int run_images_see(struct run_images *ri, const struct worker_info *info, struct vlmd_error *err);
void run_images_end(struct run_images *ri);
