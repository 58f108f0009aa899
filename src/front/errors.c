#include "front/errors.h"

#include <string.h>

#include "base/json_text.h"

#define CLIENT "invalid_request_error"
#define SERVER "server_error"

static const struct row {
    int status;
    const char *type;
    const char *code;
} rows[] = {
    [VLMD_OK] = {500, SERVER, "internal_error"},
    [VLMD_INVALID] = {400, CLIENT, "invalid_value"},
    [VLMD_NOT_FOUND] = {404, CLIENT, "not_found"},
    [VLMD_FORMAT] = {400, CLIENT, "malformed"},
    [VLMD_UNSUPPORTED] = {400, CLIENT, "unsupported_value"},
    [VLMD_TOO_LARGE] = {400, CLIENT, "too_large"},
    [VLMD_NO_MEMORY] = {503, SERVER, "out_of_memory"},
    [VLMD_IO] = {500, SERVER, "io_error"},
    [VLMD_CANCELLED] = {503, SERVER, "cancelled"},
    [VLMD_BUSY] = {503, SERVER, "overloaded"},
    [VLMD_INTERNAL] = {500, SERVER, "internal_error"},
};

struct api_error errors_from(const struct vlmd_error *err)
{
    size_t i = (size_t)err->code;
    const struct row *row = &rows[i < sizeof rows / sizeof *rows ? i : VLMD_INTERNAL];
    return (struct api_error){row->status, row->type, row->code, err->field, err->text};
}

struct api_error errors_from_status(int status, const char *message)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {
        {403, "host_not_allowed"},
        {404, "not_found"},
        {405, "method_not_allowed"},
        {408, "request_timeout"},
        {411, "length_required"},
        {413, "body_too_large"},
        {414, "uri_too_long"},
        {415, "unsupported_media_type"},
        {417, "expectation_failed"},
        {431, "header_fields_too_large"},
        {501, "not_implemented"},
        {503, "overloaded"},
        {504, "timeout"},
        {505, "http_version_not_supported"},
    };
    const char *code = "bad_request";
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            code = codes[i].code;
    return (struct api_error){status, status == 503 || status == 504 ? SERVER : CLIENT, code, NULL,
                              message};
}

static void append_text_or_null(struct buf *out, const char *text)
{
    if (text && *text)
        json_text_append(out, text, strlen(text));
    else
        buf_append_text(out, "null");
}

void errors_append_json(struct buf *out, const struct api_error *error)
{
    buf_append_text(out, "{\"error\":{\"message\":");
    json_text_append(out, error->message, strlen(error->message));
    buf_append_text(out, ",\"type\":");
    append_text_or_null(out, error->type);
    buf_append_text(out, ",\"param\":");
    append_text_or_null(out, error->param);
    buf_append_text(out, ",\"code\":");
    append_text_or_null(out, error->code);
    buf_append_text(out, "}}");
}

const char *errors_fields(int status)
{
    return status == 503 || status == 429 ? "Retry-After: 1\r\n" : NULL;
}
