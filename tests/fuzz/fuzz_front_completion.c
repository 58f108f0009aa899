/* Any bytes as the body of a text completion: what is accepted must be within its limits, and its
 * prompts must be JSON that a worker takes. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "front/completion_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct completion_request *q)
{
    if (!q->params.model || q->params.max_tokens < 1 || q->n < 1 || q->n_prompts < 1 ||
        q->n_prompts * (size_t)q->n > COMPLETION_MAX_CHOICES)
        abort();
    for (size_t i = 0; i < q->n_prompts; i++) {
        const char *text = q->prompts[i];
        json_t *prompt = json_parse_any_text(text, strlen(text), "prompt", NULL);
        if (!json_is_string(prompt) && json_array_size(prompt) == 0)
            abort();
        json_decref(prompt);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct completion_request q;
    struct vlmd_error err;
    if (completion_request_parse((const char *)data, size, &q, &err) == 0)
        check(&q);
    else if (err.code == VLMD_OK || !err.text[0])
        abort();
    completion_request_free(&q);
    return 0;
}
