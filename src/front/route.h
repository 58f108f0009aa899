/* Which handler a method and path belong to, and which Hosts a server on loopback answers to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_conn;
struct http_request;

struct route {
    const char *method; /* "GET" stands for HEAD too */
    const char *path;   /* ending in "/": everything below */
    void (*handle)(void *context, struct http_conn *conn, struct http_request *request);
};

struct route_match {
    const struct route *route; /* NULL: see status */
    int status;                /* 404 or 405 */
    char allow[64];            /* with 405: "GET, HEAD" */
};

struct route_match route_find(const struct route *routes, size_t n, const char *method,
                              const char *path);
/* Is this Host value a name for this machine's loopback? (A web page that has its own name resolved
 * to 127.0.0.1 sends that name.) */
bool route_host_is_local(const char *host);
/* Decodes %XX in place; false when malformed or when a NUL would come of it. */
bool route_percent_decode(char *text);
/* Is this Content-Type application/json, with any parameters? */
bool route_type_is_json(const char *type);
