#include "front/queue_text.h"

#include <stdio.h>

#include "front/metrics.h"

void queue_text_full(struct queue_refusal *out, const struct admission *queue)
{
    out->error = errors_from_status(503, "too many requests are waiting; try again later");
    out->error.code = "queue_full";
    snprintf(out->fields, sizeof out->fields, "Retry-After: %u\r\n", admission_retry_after(queue));
}

void queue_text_late(struct queue_refusal *out, const struct admission *queue,
                     const struct admission_ticket *ticket, bool working)
{
    unsigned long long waited = admission_waited(queue, ticket);
    if (working) {
        out->error = errors_from_status(504, "the request took too long and was given up");
        out->fields[0] = '\0';
        return;
    }
    snprintf(out->text, sizeof out->text,
             "the request waited %llu ms for its turn and was given up", waited);
    out->error = errors_from_status(503, out->text);
    out->error.code = "queue_timeout";
    snprintf(out->fields, sizeof out->fields,
             "Retry-After: %u\r\nX-Queue-Wait-Ms: %llu\r\nX-Queue-Position: %u\r\n",
             admission_retry_after(queue), waited, ticket->queue.position);
}

void queue_text_waited(char out[80], const struct admission *queue,
                       const struct admission_ticket *ticket)
{
    out[0] = '\0';
    if (ticket->queue.position > 0)
        snprintf(out, 80, "X-Queue-Wait-Ms: %llu\r\nX-Queue-Position: %u\r\n",
                 (unsigned long long)admission_waited(queue, ticket), ticket->queue.position);
}

static unsigned waiting(const struct queue_counts *c)
{
    return c->waiting[PRIORITY_HIGH] + c->waiting[PRIORITY_NORMAL] + c->waiting[PRIORITY_LOW];
}

void queue_text_append_json(struct buf *out, const struct queue_counts *c)
{
    buf_appendf(out,
                "{\"enabled\":%s,\"active_slots\":%u,\"max_slots\":%u,\"queue_depth\":%u,"
                "\"max_queue_depth\":%u,\"utilization\":%.6f,",
                c->depth > 0 ? "true" : "false", c->working, c->slots, waiting(c), c->depth,
                c->slots > 0 ? (double)c->working / (double)c->slots : 0.0);
    buf_appendf(out, "\"waiting_by_priority\":{\"high\":%u,\"normal\":%u,\"low\":%u},",
                c->waiting[PRIORITY_HIGH], c->waiting[PRIORITY_NORMAL], c->waiting[PRIORITY_LOW]);
    buf_appendf(out,
                "\"totals\":{\"enqueued\":%llu,\"completed\":%llu,\"timeouts\":%llu,"
                "\"rejected\":%llu},\"avg_wait_time_ms\":%.2f}",
                (unsigned long long)c->entered, (unsigned long long)c->completed,
                (unsigned long long)c->late, (unsigned long long)c->refused, c->mean_wait_ms);
}

void queue_text_append_metrics(struct buf *out, const struct queue_counts *c)
{
    metrics_family(out, "vlmd_queue_slots", "gauge", "Completions that may be worked on at once.");
    metrics_sample(out, "vlmd_queue_slots", c->slots, NULL);
    metrics_family(out, "vlmd_queue_working", "gauge", "Completions that are worked on.");
    metrics_sample(out, "vlmd_queue_working", c->working, NULL);
    metrics_family(out, "vlmd_queue_waiting", "gauge",
                   "Completions that wait for their turn, by priority.");
    for (int i = 0; i < PRIORITIES; i++) {
        const char *labels[] = {"priority", priority_name((enum priority)i), NULL};
        metrics_sample(out, "vlmd_queue_waiting", c->waiting[i], labels);
    }
}
