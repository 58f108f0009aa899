/* The routes of both ports. */
#pragma once

#include "front/access.h"
#include "front/chats.h"
#include "front/completions.h"
#include "front/http_conn.h"

/* What the handlers look at. */
struct api {
    struct workers *workers;
    struct decoders *decoders;
    struct fetchers *fetchers;
    struct calls *calls;
    struct chats *chats;
    struct completions *completions;
    struct http_server *public_server;
    struct http_server *admin_server;
    struct access *access;
    struct metrics *metrics;
    uv_loop_t *loop;
    int64_t started;       /* seconds since 1970 */
    struct buf processes;  /* their part of the page of metrics */
    uint64_t processes_ms; /* when the loop had that made */
    bool on_demand;        /* models that are found may be asked for */
};

/* One listening port: a set of routes over the same state. */
struct api_port {
    struct api *api;
    const struct route *routes;
    size_t n_routes;
    struct access_port door;
};

struct api_port api_public_port(struct api *api);
struct api_port api_admin_port(struct api *api);
/* The handler for http_server_open; the port outlives the server. */
struct http_handler api_handler(struct api_port *port);
