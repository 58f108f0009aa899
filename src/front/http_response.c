#include "front/http_response.h"

#include <time.h>

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

static void append_date(struct buf *out)
{
    char text[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_appendf(out, "Date: %s\r\n", text);
}

void http_head_append(struct buf *out, const struct http_head *head)
{
    buf_appendf(out, "HTTP/1.1 %d %s\r\n", head->status, http_status_text(head->status));
    append_date(out);
    if (head->type)
        buf_appendf(out, "Content-Type: %s\r\n", head->type);
    if (head->framing == HTTP_SIZED)
        buf_appendf(out, "Content-Length: %llu\r\n", (unsigned long long)head->length);
    if (head->framing == HTTP_CHUNKED)
        buf_append_text(out, "Transfer-Encoding: chunked\r\n");
    if (head->request_id)
        buf_appendf(out, "X-Request-Id: %s\r\n", head->request_id);
    buf_appendf(out, "Connection: %s\r\n", head->keep_alive ? "keep-alive" : "close");
    buf_append_text(out, "X-Content-Type-Options: nosniff\r\n");
    if (head->also)
        buf_append_text(out, head->also);
    if (head->more)
        buf_append_text(out, head->more);
    buf_append_text(out, "\r\n");
}
