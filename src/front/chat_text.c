#include "front/chat_text.h"

#include <string.h>

#include "base/json_text.h"

void chat_text_append_extension(struct buf *out, const struct chat_head *head)
{
    if (head->extension && head->extension->len)
        buf_append(out, head->extension->data, head->extension->len);
}

const char *chat_text_finish_name(uint8_t reason)
{
    return reason == IPC_FINISH_LENGTH ? "length" : "stop";
}

void chat_text_append_head(struct buf *out, const struct chat_head *head, const char *object)
{
    buf_append_text(out, "{\"id\":");
    json_text_append(out, head->id, strlen(head->id));
    buf_appendf(out, ",\"object\":\"%s\",\"created\":%lld,\"model\":", object,
                (long long)head->created);
    json_text_append(out, head->model, strlen(head->model));
}

void chat_text_append_usage(struct buf *out, const struct ipc_done *done)
{
    buf_appendf(out,
                ",\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%lld}",
                done->prompt_tokens, done->completion_tokens,
                (long long)done->prompt_tokens + done->completion_tokens);
    buf_appendf(out,
                ",\"timings\":{\"queue_s\":%.4f,\"vision_s\":%.4f,\"prefill_s\":%.4f,"
                "\"decode_s\":%.4f}",
                (double)done->queue_seconds, (double)done->vision_seconds,
                (double)done->prefill_seconds, (double)done->decode_seconds);
}

void chat_text_body(struct buf *out, const struct chat_head *head, const char *text, size_t len,
                    const struct ipc_done *done)
{
    chat_text_append_head(out, head, "chat.completion");
    buf_append_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                         "\"content\":");
    json_text_append(out, text, len);
    buf_appendf(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}]",
                chat_text_finish_name(done->reason));
    chat_text_append_usage(out, done);
    chat_text_append_extension(out, head);
    buf_append_text(out, ",\"system_fingerprint\":null}");
}

static void begin_chunk(struct buf *out, const struct chat_head *head)
{
    buf_append_text(out, "data: ");
    chat_text_append_head(out, head, "chat.completion.chunk");
    buf_append_text(out, ",\"system_fingerprint\":null");
}

static void end_chunk(struct buf *out, const struct chat_head *head)
{
    buf_append_text(out, head->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

void chat_text_role(struct buf *out, const struct chat_head *head)
{
    begin_chunk(out, head);
    buf_append_text(out, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                         "\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]");
    chat_text_append_extension(out, head);
    end_chunk(out, head);
}

static void begin_delta(struct buf *out, const struct chat_head *head)
{
    begin_chunk(out, head);
    buf_append_text(out, ",\"choices\":[{\"index\":0,\"delta\":{\"content\":");
}

static void end_delta(struct buf *out, const struct chat_head *head, const char *text, size_t len)
{
    json_text_append(out, text, len);
    buf_append_text(out, "},\"logprobs\":null,\"finish_reason\":null}]");
    end_chunk(out, head);
}

void chat_text_delta(struct buf *out, const struct chat_head *head, const char *text, size_t len)
{
    begin_delta(out, head);
    end_delta(out, head, text, len);
}

int chat_text_next_delta(struct chat_delta *delta, const struct chat_head *head, const char *text,
                         size_t len)
{
    struct buf *event = &delta->event;
    if (delta->start == 0) {
        begin_delta(event, head);
        delta->start = event->len;
    }
    event->len = delta->start;
    end_delta(event, head, text, len);
    if (!event->failed)
        return 0;
    buf_free(event);
    delta->start = 0;
    return -1;
}

void chat_text_end(struct buf *out, const struct chat_head *head, const struct ipc_done *done)
{
    begin_chunk(out, head);
    buf_appendf(out,
                ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                "\"finish_reason\":\"%s\"}]",
                chat_text_finish_name(done->reason));
    end_chunk(out, head);
    if (head->include_usage) {
        begin_chunk(out, head);
        buf_append_text(out, ",\"choices\":[]");
        chat_text_append_usage(out, done);
        buf_append_text(out, "}\n\n");
    }
    buf_append_text(out, "data: [DONE]\n\n");
}
