/* One image on its way over http or https: connects only where address.h lets it, follows redirects
 * itself, counts bytes as they arrive. Driven by a curl multi handle that belongs to the caller. */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "fetch/address.h"
#include "fetch/url.h"

struct transfer;

struct transfer_rules {
    struct url_ports ports;
    struct address_blocks blocks;
    unsigned max_redirects;
    unsigned total_ms; /* from the first byte to the last, over all redirects */
};

/* Begins. `url` belongs to the transfer from the call on, also when it fails; `rules` is borrowed.
 * NULL with *err. */
struct transfer *transfer_begin(CURLM *multi, CURLU *url, const struct transfer_rules *rules,
                                size_t max_bytes, struct vlmd_error *err);
/* Ends it wherever it is. NULL is fine. */
void transfer_end(struct transfer *t);
/* The transfer that a handle of the multi handle belongs to. */
struct transfer *transfer_of(CURL *easy);
/* To be called when the multi handle says that the transfer's handle is done. 1: the image is there
 * (transfer_body); 0: it goes on, at another address; -1: it failed, with *err for the log only. */
int transfer_step(struct transfer *t, CURLcode result, struct vlmd_error *err);
/* What arrived: stays the transfer's. */
const struct buf *transfer_body(const struct transfer *t);
