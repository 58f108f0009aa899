#include "front/estimate.h"

#include <string.h>

#include "base/json_text.h"

static unsigned long long ull(uint64_t value)
{
    return value;
}

void estimate_append_json(struct buf *out, const char *model, const struct ipc_estimated *estimate,
                          int32_t max_tokens, const struct receipts *receipts)
{
    int64_t image_tokens = 0;
    for (size_t i = 0; i < receipts->n; i++)
        image_tokens += receipts->items[i].tokens;
    int32_t left = estimate->room - estimate->prompt_tokens;
    int32_t answer = max_tokens > 0 && max_tokens < left ? max_tokens : left;
    buf_append_text(out, "{\"object\":\"estimate\",\"model\":");
    json_text_append(out, model, strlen(model));
    buf_appendf(out, ",\"admitted\":%s,\"reason\":", left > 0 ? "true" : "false");
    if (left > 0)
        buf_append_text(out, "null");
    else
        buf_appendf(out,
                    "\"the prompt has %d tokens; this server has room for %d with the answer\"",
                    estimate->prompt_tokens, estimate->room);
    buf_appendf(out, ",\"prompt_tokens\":%d,\"image_tokens\":%lld,\"max_completion_tokens\":%d",
                estimate->prompt_tokens, (long long)image_tokens, answer > 0 ? answer : 0);
    buf_appendf(out,
                ",\"memory\":{\"weight_bytes\":%llu,\"kv_bytes\":%llu,\"kv_request_bytes\":%llu,"
                "\"work_bytes\":%llu,\"image_cache_bytes\":%llu,\"vision_bytes\":%llu,"
                "\"peak_bytes\":%llu}",
                ull(estimate->weight_bytes), ull(estimate->kv_bytes),
                ull(estimate->kv_request_bytes), ull(estimate->work_bytes),
                ull(estimate->cache_bytes), ull(estimate->vision_bytes),
                ull(estimate->weight_bytes + estimate->kv_bytes + estimate->work_bytes +
                    estimate->cache_bytes + estimate->vision_bytes));
    receipts_append_json(receipts, out);
    buf_append_char(out, '}');
}
