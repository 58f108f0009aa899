#include "front/api.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json_text.h"
#include "base/log.h"
#include "front/errors.h"
#include "front/model_routes.h"
#include "front/monitor.h"
#include "front/route.h"

static void respond_json(struct http_conn *conn, int status, const char *more, struct buf *body)
{
    if (body->failed)
        http_respond(conn, 503, NULL, NULL, "", 0);
    else
        http_respond(conn, status, "application/json", more, body->data, body->len);
    buf_free(body);
}

static void respond_error(struct http_conn *conn, const struct api_error *error, const char *more)
{
    struct buf body = {0};
    errors_append_json(&body, error);
    respond_json(conn, error->status, more ? more : errors_fields(error->status), &body);
}

/* ---- completions */

static struct caller caller_of(const struct api *api, const struct http_request *request)
{
    const struct auth_key *key = access_key(api->access, request);
    return (struct caller){
        .priority = access_priority(key, request),
        .owner = access_owner(api->access, key),
        .images_of = auth_key_number(key),
        .images = key ? key->images : (struct image_allowance){.max_images = ALLOWANCE_OF_SERVER},
    };
}

static void post_chat(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    const struct caller caller = caller_of(api, request);
    chats_handle(api->chats, conn, &caller);
}

static void post_completion(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    const struct caller caller = caller_of(api, request);
    completions_handle(api->completions, conn, &caller);
}

static void post_estimate(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    const struct caller caller = caller_of(api, request);
    chats_estimate(api->chats, conn, &caller);
}

/* ---- the ports */

static const struct route public_routes[] = {
    {"POST", "/v1/chat/completions", post_chat},
    {"POST", "/v1/completions", post_completion},
    {"POST", "/v1/estimate", post_estimate},
    {"GET", "/v1/models", model_routes_list},
    {"GET", "/v1/models/", model_routes_one},
    {"GET", "/health", monitor_health},
    {"GET", "/ready", monitor_ready},
    {"GET", "/metrics", monitor_metrics},
};

static const struct route admin_routes[] = {
    {"GET", "/admin/health", monitor_admin_health},
    {"GET", "/admin/status", monitor_admin_status},
    {"GET", "/admin/metrics", monitor_admin_metrics},
    {"GET", "/admin/queue", monitor_admin_queue},
    {"GET", "/admin/capabilities", monitor_admin_capabilities},
    {"POST", "/admin/load", model_routes_load},
    {"POST", "/admin/unload", model_routes_unload},
    {"GET", "/metrics", monitor_metrics},
};

struct api_port api_public_port(struct api *api)
{
    return (struct api_port){
        api, public_routes, sizeof public_routes / sizeof *public_routes, {.admin = false}};
}

struct api_port api_admin_port(struct api *api)
{
    return (struct api_port){
        api, admin_routes, sizeof admin_routes / sizeof *admin_routes, {.admin = true}};
}

static bool refuse(struct http_conn *conn, int status, const char *text, const char *more)
{
    struct api_error error = errors_from_status(status, text);
    respond_error(conn, &error, more);
    return false;
}

/* What access.c decided; true: go on. */
static bool follow(struct http_conn *conn, const struct access_verdict *verdict)
{
    http_conn_set_fields(conn, verdict->fields);
    if (verdict->status == 0)
        return true;
    if (verdict->status == 200) {
        http_respond(conn, 200, NULL, NULL, "", 0);
        return false;
    }
    struct api_error error = errors_from_status(verdict->status, verdict->text);
    error.type = verdict->type;
    error.code = verdict->code;
    respond_error(conn, &error, "");
    return false;
}

static bool count(const struct api *api, struct http_conn *conn, const struct http_request *q,
                  struct access_verdict *verdict)
{
    access_count(api->access, q, uv_now(api->loop), verdict);
    if (verdict->status == 429)
        metrics_add(api->metrics, METRICS_RATE_LIMITED, 1);
    return follow(conn, verdict);
}

/* These two have no body to look at, and so no Content-Type that a web page could not send. */
static bool says_all_in_query(const struct route *route)
{
    return route->handle == model_routes_load || route->handle == model_routes_unload;
}

static bool on_head(void *context, struct http_conn *conn, const struct http_request *q)
{
    const struct api_port *port = context;
    struct access_verdict verdict;
    access_judge(port->api->access, &port->door, q, &verdict);
    if (!follow(conn, &verdict))
        return false;
    struct route_match match = route_find(port->routes, port->n_routes, q->method, q->path);
    if (!match.route && match.status == 405) {
        char allow[80];
        snprintf(allow, sizeof allow, "Allow: %s\r\n", match.allow);
        return refuse(conn, 405, "this path does not know that method", allow);
    }
    if (!match.route)
        return refuse(conn, 404, "there is nothing at this path", NULL);
    if (strcmp(match.route->method, "POST") != 0)
        return true;
    if (says_all_in_query(match.route))
        return !http_request_field(q, "origin") ||
               refuse(conn, 403, "this is not for web pages", NULL);
    if (!q->has_length)
        return refuse(conn, 411, "the request needs a Content-Length", NULL);
    if (!route_type_is_json(http_request_field(q, "content-type")))
        return refuse(conn, 415, "the Content-Type must be application/json", NULL);
    const char *coding = http_request_field(q, "content-encoding");
    if (coding && strcasecmp(coding, "identity") != 0)
        return refuse(conn, 415, "compressed bodies are not accepted", NULL);
    return port->door.admin || count(port->api, conn, q, &verdict);
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api_port *port = context;
    struct route_match match =
        route_find(port->routes, port->n_routes, request->method, request->path);
    match.route->handle(port->api, conn, request);
}

static void on_refused(void *context, struct http_conn *conn, int status, const char *text)
{
    (void)context;
    refuse(conn, status, text, NULL);
}

/* By monitors, all the time. */
static bool is_polled(const char *path)
{
    return strcmp(path, "/health") == 0 || strcmp(path, "/ready") == 0 ||
           strcmp(path, "/metrics") == 0;
}

static void log_answer(const struct api *api, const struct http_conn *conn,
                       const struct http_request *q, const char *route, int status, double seconds)
{
    const struct auth_key *key = q ? access_key(api->access, q) : NULL;
    const char *method = q ? q->method : "-", *path = q ? q->path : "-";
    bool quiet = q && is_polled(path) && status < 500;
    const struct log_field fields[] = {
        {"method", method, 0},    {"path", path, 0},          {"route", route ? route : "", 0},
        {"status", NULL, status}, {"seconds", NULL, seconds}, {"key", key ? key->name : "", 0},
    };
    log_event(quiet ? LOG_DEBUG : LOG_INFO, fields, sizeof fields / sizeof *fields,
              "%s %s %s %d %.3f s%s%s", http_conn_request_id(conn), method, path, status, seconds,
              key ? " key " : "", key ? key->name : "");
}

static void on_answered(void *context, const struct http_conn *conn, const struct http_request *q,
                        int status, double seconds)
{
    const struct api_port *port = context;
    struct route_match match = {0};
    if (q)
        match = route_find(port->routes, port->n_routes, q->method, q->path);
    const char *route = match.route ? match.route->path : NULL;
    metrics_answered(port->api->metrics, route, status, seconds);
    log_answer(port->api, conn, q, route, status, seconds);
}

struct http_handler api_handler(struct api_port *port)
{
    return (struct http_handler){port, on_head, on_request, on_refused, on_answered};
}
