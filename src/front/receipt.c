#include "front/receipt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"

static const struct {
    uint32_t change;
    const char *name;
} change_names[] = {
    {IPC_CHANGE_ORIENTED, "orientation"},
    {IPC_CHANGE_FLATTENED, "alpha"},
    {IPC_CHANGE_FIRST_FRAME, "first_frame"},
    {IPC_CHANGE_DEPTH, "depth"},
    {IPC_CHANGE_FROM_CMYK, "cmyk"},
    {IPC_CHANGE_CLIPPED, "clipped"},
    {IPC_CHANGE_FROM_PROFILE, "color_profile"},
};

int receipts_open(struct receipts *r, size_t n, struct vlmd_error *err)
{
    *r = (struct receipts){.items = calloc(n, sizeof *r->items), .n = n};
    return r->items ? 0 : err_no_memory(err, n * sizeof *r->items);
}

void receipts_free(struct receipts *r)
{
    free(r->items);
    buf_free(&r->warnings);
    buf_free(&r->warning_codes);
    *r = (struct receipts){0};
}

void receipts_warn(struct receipts *r, const char *code, const char *field, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    buf_appendf(&r->warnings, "%s{\"code\":\"%s\",\"param\":", r->warnings.len ? "," : "", code);
    if (field)
        json_text_append(&r->warnings, field, strlen(field));
    else
        buf_append_text(&r->warnings, "null");
    buf_append_text(&r->warnings, ",\"message\":");
    json_text_append(&r->warnings, text, strlen(text));
    buf_append_char(&r->warnings, '}');
    buf_appendf(&r->warning_codes, "%s%s", r->warning_codes.len ? ", " : "", code);
}

static void warn_of_loss(struct receipts *r, const struct receipt *it)
{
    enum image_bound bound;
    if (image_plan_reduces(&it->plan, it->orig_width, it->orig_height, &bound))
        receipts_warn(r, "image_downscaled", it->field,
                      "an image of %d x %d pixels is shown to the model at %d x %d (limit: %s)",
                      it->orig_width, it->orig_height, it->width, it->height,
                      image_bound_name(bound));
    if (it->changes & IPC_CHANGE_FIRST_FRAME)
        receipts_warn(r, "image_first_frame", it->field, "only the first frame is shown");
    if (it->changes & IPC_CHANGE_CLIPPED)
        receipts_warn(r, "image_clipped", it->field,
                      "16-bit grey above 255 became white, as in the reference processors");
}

void receipts_set(struct receipts *r, size_t i, const struct decode_result *result, int32_t factor)
{
    struct receipt *it = &r->items[i];
    it->width = result->image.width;
    it->height = result->image.height;
    it->orig_width = result->image.orig_width;
    it->orig_height = result->image.orig_height;
    it->tokens = (it->width / factor) * (it->height / factor);
    it->changes = result->changes;
    it->has_hash = result->has_pixels;
    memcpy(it->sha256, result->image.sha256.bytes, sizeof it->sha256);
    snprintf(it->format, sizeof it->format, "%s", result->format);
}

void receipts_set_cached(struct receipts *r, uint64_t cached)
{
    for (size_t i = 0; i < r->n && i < 64; i++)
        r->items[i].cached = cached >> i & 1;
}

void receipts_warn_of_losses(struct receipts *r)
{
    for (size_t i = 0; i < r->n; i++)
        warn_of_loss(r, &r->items[i]);
}

/* ---- text */

static void append_hash(struct buf *out, const struct receipt *it, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_appendf(out, "%02x", it->sha256[i]);
}

static void append_changes(struct buf *out, uint32_t changes)
{
    bool first = true;
    buf_append_char(out, '[');
    for (size_t i = 0; i < sizeof change_names / sizeof *change_names; i++) {
        if (!(changes & change_names[i].change))
            continue;
        buf_appendf(out, "%s\"%s\"", first ? "" : ",", change_names[i].name);
        first = false;
    }
    buf_append_char(out, ']');
}

static void append_receipt(struct buf *out, const struct receipt *it)
{
    enum image_bound bound;
    buf_append_text(out, "{\"param\":");
    json_text_append(out, it->field, strlen(it->field));
    buf_append_text(out, ",\"format\":");
    json_text_append(out, it->format, strlen(it->format));
    buf_appendf(out,
                ",\"original\":{\"width\":%d,\"height\":%d},\"processed\":{\"width\":%d,"
                "\"height\":%d},\"scale\":{\"x\":%.6f,\"y\":%.6f},\"tokens\":%d",
                it->orig_width, it->orig_height, it->width, it->height,
                (double)it->width / it->orig_width, (double)it->height / it->orig_height,
                it->tokens);
    if (image_plan_reduces(&it->plan, it->orig_width, it->orig_height, &bound))
        buf_appendf(out, ",\"limited_by\":\"%s\"", image_bound_name(bound));
    else
        buf_append_text(out, ",\"limited_by\":null");
    buf_append_text(out, ",\"changes\":");
    append_changes(out, it->changes);
    if (it->has_hash) {
        buf_append_text(out, ",\"sha256\":\"");
        append_hash(out, it, sizeof it->sha256);
        buf_appendf(out, "\",\"cached\":%s", it->cached ? "true" : "false");
    }
    buf_append_char(out, '}');
}

void receipt_append_line(const struct receipt *it, struct buf *out)
{
    enum image_bound bound;
    buf_appendf(out, "%s, %d x %d, shown at %d x %d, %d tokens", it->format, it->orig_width,
                it->orig_height, it->width, it->height, it->tokens);
    if (image_plan_reduces(&it->plan, it->orig_width, it->orig_height, &bound))
        buf_appendf(out, "; limited by %s", image_bound_name(bound));
    for (size_t i = 0; i < sizeof change_names / sizeof *change_names; i++)
        if (it->changes & change_names[i].change)
            buf_appendf(out, "; %s", change_names[i].name);
}

void receipts_append_json(const struct receipts *r, struct buf *out)
{
    if (r->n == 0 && r->warnings.len == 0)
        return;
    buf_append_text(out, ",\"vlmd\":{\"images\":[");
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        append_receipt(out, &r->items[i]);
    }
    buf_append_text(out, "],\"warnings\":[");
    if (r->warnings.len)
        buf_append(out, r->warnings.data, r->warnings.len);
    buf_append_text(out, "]}");
}

void receipts_append_headers(const struct receipts *r, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct receipt *it = &r->items[i];
        buf_appendf(out, "%s%dx%d;to=%dx%d;tokens=%d;hash=", i ? ", " : "X-Vlmd-Images: ",
                    it->orig_width, it->orig_height, it->width, it->height, it->tokens);
        append_hash(out, it, 8);
        buf_appendf(out, ";cached=%d", it->cached);
    }
    if (r->n > 0)
        buf_append_text(out, "\r\n");
    if (r->warning_codes.len)
        buf_appendf(out, "X-Vlmd-Warnings: %s\r\n", r->warning_codes.data);
}
