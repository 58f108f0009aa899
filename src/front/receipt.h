/* What became of each image of a request, and what else was done otherwise than asked: the field
 * "vlmd" of an answer, and the X- headers of a stream. Pure text; docs/API.md has the form. */
#pragma once

#include "base/buf.h"
#include "front/decoders.h"
#include "front/image_plan.h"

struct receipt {
    const char *field; /* of the request, borrowed */
    struct image_plan plan;
    char format[16];
    int32_t width, height;
    int32_t orig_width, orig_height;
    int32_t tokens;
    uint32_t changes; /* of enum ipc_change */
    bool has_hash;    /* not when the header alone was read */
    bool cached;      /* the model had kept it */
    uint8_t sha256[32];
};

struct receipts {
    struct receipt *items;
    size_t n;
    struct buf warnings;      /* JSON objects with commas between them */
    struct buf warning_codes; /* of the same, for the header */
};

int receipts_open(struct receipts *r, size_t n, struct vlmd_error *err);
void receipts_free(struct receipts *r);
/* Fills receipt i from what the decoder said; field and plan are there already. factor: pixels of a
 * token's side. */
void receipts_set(struct receipts *r, size_t i, const struct decode_result *result, int32_t factor);
/* Bit i: the model had kept image i. */
void receipts_set_cached(struct receipts *r, uint64_t cached);
/* Once all are set: warns of every image that lost something, in their order. */
void receipts_warn_of_losses(struct receipts *r);
/* `code` is a word for programs, field may be NULL. */
void receipts_warn(struct receipts *r, const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "jpeg, 4032 x 3024, shown at 1148 x 868, 1271 tokens; ..." for people, without a line's end. */
void receipt_append_line(const struct receipt *receipt, struct buf *out);
/* ,"vlmd":{"images":[...],"warnings":[...]}, or nothing when there is nothing to say. */
void receipts_append_json(const struct receipts *r, struct buf *out);
/* The header fields of a stream, each ended by CRLF. */
void receipts_append_headers(const struct receipts *r, struct buf *out);
