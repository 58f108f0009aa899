/* Any bytes as the body of a chat request: what is accepted must be within its limits. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "front/chat_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct chat_request *q)
{
    bool sound = q->params.model && q->messages && q->params.temperature >= 0 &&
                 q->params.temperature <= 2 && q->params.top_p > 0 && q->params.top_p <= 1 &&
                 q->params.min_p >= 0 && q->params.min_p < 1 && q->params.repetition_penalty > 0 &&
                 q->params.max_tokens >= 0 && q->params.top_k >= 0 && q->n_images <= 4 &&
                 q->params.n_stops <= PARAMS_MAX_STOPS;
    json_t *messages = sound ? json_parse(q->messages, strlen(q->messages), "m", NULL) : NULL;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        abort();
    json_decref(messages);
    for (size_t i = 0; i < q->n_images; i++)
        if (q->images[i].len == 0 || q->images[i].len > 1000)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct chat_limits limits = {.max_images = 4, .max_image_bytes = 1000};
    struct chat_request q;
    struct vlmd_error err;
    if (chat_request_parse((const char *)data, size, &limits, &q, &err) == 0)
        check(&q);
    else if (err.code == VLMD_OK || !err.text[0])
        abort();
    chat_request_free(&q);
    return 0;
}
