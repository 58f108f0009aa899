#include "front/completion_text.h"

#include "base/json_text.h"

#define OBJECT "text_completion"

static void append_choice(struct buf *out, size_t index, const char *text, size_t len,
                          const char *reason)
{
    buf_appendf(out, "{\"index\":%zu,\"text\":", index);
    json_text_append(out, text ? text : "", len);
    buf_append_text(out, ",\"logprobs\":null,\"finish_reason\":");
    if (reason)
        buf_appendf(out, "\"%s\"}", reason);
    else
        buf_append_text(out, "null}");
}

static float longer(float a, float b)
{
    return a > b ? a : b;
}

void completion_text_add(struct ipc_done *sum, const struct ipc_done *one)
{
    sum->prompt_tokens += one->prompt_tokens;
    sum->completion_tokens += one->completion_tokens;
    sum->queue_seconds = longer(sum->queue_seconds, one->queue_seconds);
    sum->prefill_seconds += one->prefill_seconds;
    sum->decode_seconds = longer(sum->decode_seconds, one->decode_seconds);
}

void completion_text_body(struct buf *out, const struct chat_head *head,
                          const struct completion_choice *choices, size_t n,
                          const struct ipc_done *sum)
{
    chat_text_append_head(out, head, OBJECT);
    buf_append_text(out, ",\"choices\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        append_choice(out, choices[i].index, choices[i].text.data, choices[i].text.len,
                      chat_text_finish_name(choices[i].reason));
    }
    buf_append_char(out, ']');
    chat_text_append_usage(out, sum);
    chat_text_append_extension(out, head);
    buf_append_text(out, ",\"system_fingerprint\":null}");
}

static void append_chunk(struct buf *out, const struct chat_head *head, size_t index, bool first,
                         const char *text, size_t len, const char *reason)
{
    buf_append_text(out, "data: ");
    chat_text_append_head(out, head, OBJECT);
    buf_append_text(out, ",\"choices\":[");
    append_choice(out, index, text, len, reason);
    buf_append_char(out, ']');
    if (first)
        chat_text_append_extension(out, head);
    buf_append_text(out, head->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

void completion_text_delta(struct buf *out, const struct chat_head *head, size_t index, bool first,
                           const char *text, size_t len)
{
    append_chunk(out, head, index, first, text, len, NULL);
}

void completion_text_finish(struct buf *out, const struct chat_head *head, size_t index, bool first,
                            uint8_t reason)
{
    append_chunk(out, head, index, first, "", 0, chat_text_finish_name(reason));
}

void completion_text_end(struct buf *out, const struct chat_head *head, const struct ipc_done *sum)
{
    if (head->include_usage) {
        buf_append_text(out, "data: ");
        chat_text_append_head(out, head, OBJECT);
        buf_append_text(out, ",\"choices\":[]");
        chat_text_append_usage(out, sum);
        buf_append_text(out, "}\n\n");
    }
    buf_append_text(out, "data: [DONE]\n\n");
}
