/* The queue in words: what those hear that it refuses, and what operators see of it. The admin's
 * field names are those of the Python server. */
#pragma once

#include "base/buf.h"
#include "front/admission.h"
#include "front/errors.h"

/* An answer; its error borrows from the struct, which is not to be moved. */
struct queue_refusal {
    struct api_error error;
    char text[128];
    char fields[160]; /* of the header */
};

void queue_text_full(struct queue_refusal *out, const struct admission *queue);
/* For on_late. */
void queue_text_late(struct queue_refusal *out, const struct admission *queue,
                     const struct admission_ticket *ticket, bool working);
/* Header fields of an answer that had to wait; "" for one that had not. */
void queue_text_waited(char out[80], const struct admission *queue,
                       const struct admission_ticket *ticket);

/* One JSON object. */
void queue_text_append_json(struct buf *out, const struct queue_counts *counts);
/* Families for Prometheus. */
void queue_text_append_metrics(struct buf *out, const struct queue_counts *counts);
