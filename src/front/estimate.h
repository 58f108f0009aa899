/* POST /v1/estimate: what a chat completion would cost, as JSON. Pure text. */
#pragma once

#include "front/receipt.h"

/* max_tokens: as the request says, 0 for none. */
void estimate_append_json(struct buf *out, const char *model, const struct ipc_estimated *estimate,
                          int32_t max_tokens, const struct receipts *receipts);
