#include "front/model_routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/log.h"
#include "front/errors.h"
#include "front/models.h"
#include "front/process.h"
#include "front/route.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

static void respond_json(struct http_conn *conn, int status, struct buf *body)
{
    if (body->failed)
        http_respond(conn, 503, NULL, NULL, "", 0);
    else
        http_respond(conn, status, "application/json", errors_fields(status), body->data,
                     body->len);
    buf_free(body);
}

static void respond_error(struct http_conn *conn, const struct vlmd_error *err)
{
    struct buf body = {0};
    struct api_error error = errors_from(err);
    if (err->code == VLMD_NOT_FOUND)
        error.code = "model_not_found";
    errors_append_json(&body, &error);
    respond_json(conn, error.status, &body);
}

static void append_field(struct buf *out, const char *name, const char *value)
{
    buf_appendf(out, "\"%s\":", name);
    json_text_append(out, value, strlen(value));
}

/* ---- the list */

static void append_model(struct buf *out, const struct api *api, const char *id, const char *state)
{
    buf_append_char(out, '{');
    append_field(out, "id", id);
    buf_appendf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"vlmd\",",
                (long long)api->started);
    append_field(out, "state", state);
    buf_append_char(out, '}');
}

/* Those that are on the disk and were not asked for yet. */
static void append_others(struct buf *out, const struct api *api)
{
    struct model *models;
    struct vlmd_error err;
    int n = models_list(&models, &err);
    if (n < 0) {
        log_write(LOG_WARN, "cannot list the models: %s", err.text);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (workers_find(api->workers, models[i].id) >= 0)
            continue;
        if (out->data[out->len - 1] != '[')
            buf_append_char(out, ',');
        append_model(out, api, models[i].id, worker_state_name(WORKER_UNLOADED));
    }
    models_free(models, (size_t)n);
}

void model_routes_list(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    buf_append_text(&out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        if (i > 0)
            buf_append_char(&out, ',');
        append_model(&out, api, w.id, worker_state_name(w.state));
    }
    if (api->on_demand && !out.failed)
        append_others(&out, api);
    buf_append_text(&out, "]}");
    respond_json(conn, 200, &out);
}

void model_routes_one(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    char *id = request->path + strlen("/v1/models/");
    int index = route_percent_decode(id) ? workers_find(api->workers, id) : -1;
    struct model found = {0};
    struct buf out = {0};
    if (index >= 0) {
        struct worker_status w = workers_status(api->workers, (size_t)index);
        append_model(&out, api, w.id, worker_state_name(w.state));
        respond_json(conn, 200, &out);
    } else if (api->on_demand && models_find(id, &found)) {
        append_model(&out, api, found.id, worker_state_name(WORKER_UNLOADED));
        respond_json(conn, 200, &out);
    } else {
        struct vlmd_error err;
        err_set(&err, VLMD_NOT_FOUND, "model", "this model does not exist here");
        respond_error(conn, &err);
    }
    model_free(&found);
}

/* ---- the operator */

/* The value of model_path in a query, decoded, in new memory; NULL when it is not there. */
static char *model_path(const char *query)
{
    static const char name[] = "model_path=";
    for (const char *p = query; *p; p += *p == '&') {
        size_t len = strcspn(p, "&");
        if (strncmp(p, name, sizeof name - 1) == 0) {
            char *value = strndup(p + sizeof name - 1, len - (sizeof name - 1));
            for (char *c = value; c && *c; c++)
                *c = *c == '+' ? ' ' : *c;
            if (value && route_percent_decode(value))
                return value;
            free(value);
            return NULL;
        }
        p += len;
    }
    return NULL;
}

static int find_or_add(struct api *api, const char *name, struct vlmd_error *err)
{
    struct model model;
    int index = workers_find(api->workers, name);
    if (index >= 0)
        return index;
    struct vlmd_error why;
    if (models_resolve(name, &model, &why) < 0)
        return err_set(err, why.code, "model_path", "%s", why.text);
    index = workers_find(api->workers, model.id);
    if (index < 0) {
        const struct worker_model added = {model.id, model.path};
        index = workers_add(api->workers, &added, err);
    }
    model_free(&model);
    return index;
}

/* A load that an operator waits for. */
struct load {
    struct api *api;
    struct http_conn *conn;
    size_t index;
    uint64_t began;
    struct worker_wait wait;
};

static void load_free(struct load *load)
{
    workers_stop_waiting(load->api->workers, load->index, &load->wait);
    free(load);
}

/* The model is loaded all the same. */
static void on_gone(void *context)
{
    load_free(context);
}

static void on_loaded(void *context, const struct worker_info *info, const struct vlmd_error *err)
{
    struct load *load = context;
    struct worker_status w = workers_status(load->api->workers, load->index);
    struct buf out = {0};
    http_conn_on_gone(load->conn, NULL, NULL);
    if (err) {
        struct vlmd_error unavailable;
        err_set(&unavailable, VLMD_BUSY, "model_path", "the model %s is not available: %s", w.id,
                err->text);
        respond_error(load->conn, &unavailable);
    } else {
        buf_append_text(&out, "{\"status\":\"success\",");
        append_field(&out, "model_name", w.id);
        buf_append_char(&out, ',');
        append_field(&out, "architecture", info->architecture);
        buf_appendf(&out, ",\"memory_gb\":%.3f,\"load_time\":%.3f}", (double)w.memory_bytes / GIB,
                    (double)(uv_now(load->api->loop) - load->began) / 1000);
        respond_json(load->conn, 200, &out);
    }
    load_free(load);
}

void model_routes_load(void *context, struct http_conn *conn, struct http_request *request)
{
    struct api *api = context;
    struct vlmd_error err;
    char *name = model_path(request->query);
    struct load *load = calloc(1, sizeof *load);
    int index = -1;
    if (!name)
        err_set(&err, VLMD_INVALID, "model_path", "which model? POST /admin/load?model_path=NAME");
    else if (!load)
        err_no_memory(&err, sizeof *load);
    else
        index = find_or_add(api, name, &err);
    free(name);
    if (index < 0) {
        free(load);
        respond_error(conn, &err);
        return;
    }
    *load = (struct load){.api = api, .conn = conn, .index = (size_t)index};
    load->began = uv_now(api->loop);
    load->wait = (struct worker_wait){.context = load, .done = on_loaded};
    http_conn_on_gone(conn, on_gone, load);
    workers_retry(api->workers, load->index);
    workers_wait(api->workers, load->index, &load->wait);
}

/* Unloads and says so; -1 with *err. */
static int unload_one(struct api *api, size_t index, struct buf *names, double *freed_gb,
                      struct vlmd_error *err)
{
    struct worker_status w = workers_status(api->workers, index);
    double held = w.pid > 0 ? (double)process_use(w.pid).resident_bytes / GIB : 0;
    if (workers_unload(api->workers, index, err) < 0)
        return -1;
    if (names->len > 0)
        buf_append_text(names, ", ");
    buf_append_text(names, w.id);
    *freed_gb += held;
    return 0;
}

/* The first reason why one stays is kept in *err: nothing was unloaded, this says why. */
static void unload_all(struct api *api, struct buf *names, double *freed_gb, struct vlmd_error *err)
{
    err_set(err, VLMD_INVALID, "model_path", "No model loaded");
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct vlmd_error why;
        if (unload_one(api, i, names, freed_gb, &why) < 0 && why.code == VLMD_BUSY)
            *err = why;
    }
}

void model_routes_unload(void *context, struct http_conn *conn, struct http_request *request)
{
    struct api *api = context;
    struct vlmd_error err;
    struct buf names = {0}, out = {0};
    double freed_gb = 0;
    char *name = model_path(request->query);
    int index = name ? workers_find(api->workers, name) : -1;
    if (!name)
        unload_all(api, &names, &freed_gb, &err);
    else if (index < 0)
        err_set(&err, VLMD_INVALID, "model_path", "the model %s is not loaded", name);
    else
        unload_one(api, (size_t)index, &names, &freed_gb, &err);
    free(name);
    if (names.len == 0) {
        respond_error(conn, &err);
        return;
    }
    buf_append_text(&out, "{\"status\":\"success\",");
    append_field(&out, "model_unloaded", names.data);
    buf_append_char(&out, ',');
    append_field(&out, "model_name", names.data);
    buf_appendf(&out, ",\"memory_freed_gb\":%.3f,\"unload_time\":0.0}", freed_gb);
    buf_free(&names);
    respond_json(conn, 200, &out);
}
