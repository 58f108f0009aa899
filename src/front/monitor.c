#include "front/monitor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/version.h"
#include "front/errors.h"
#include "front/process.h"
#include "front/queue_text.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

static void respond(struct http_conn *conn, int status, const char *type, struct buf *body)
{
    if (body->failed)
        http_respond(conn, 503, NULL, NULL, "", 0);
    else
        http_respond(conn, status, type, errors_fields(status), body->data, body->len);
    buf_free(body);
}

static void respond_json(struct http_conn *conn, int status, struct buf *body)
{
    respond(conn, status, "application/json", body);
}

static void append_field(struct buf *out, const char *name, const char *value)
{
    buf_appendf(out, "\"%s\":", name);
    json_text_append(out, value, strlen(value));
}

static const char *bool_text(bool b)
{
    return b ? "true" : "false";
}

/* ---- health */

/* "ok" when every model that was named is ready, or will be when it is asked for; else what the
 * first that is not is doing. */
static const char *overall_state(const struct api *api, bool *any_ready)
{
    const char *state = "ok";
    *any_ready = false;
    for (size_t i = workers_count(api->workers); i > 0; i--) {
        struct worker_status w = workers_status(api->workers, i - 1);
        if (w.state == WORKER_READY || w.state == WORKER_UNLOADED || w.state == WORKER_UNLOADING)
            *any_ready = true;
        else if (w.named)
            state = worker_state_name(w.state);
    }
    return state;
}

/* A model that would be loaded for the next request counts as ready, but not as loaded. */
static bool any_loaded(const struct api *api)
{
    for (size_t i = 0; i < workers_count(api->workers); i++)
        if (workers_status(api->workers, i).state == WORKER_READY)
            return true;
    return false;
}

void monitor_health(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    bool any_ready;
    const char *state = overall_state(api, &any_ready);
    buf_appendf(&out, "{\"status\":\"%s\",\"healthy\":%s,\"version\":\"%s\",\"models\":{", state,
                bool_text(any_ready), VLMD_VERSION);
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        if (i > 0)
            buf_append_char(&out, ',');
        append_field(&out, w.id, worker_state_name(w.state));
    }
    buf_append_text(&out, "}}");
    respond_json(conn, any_ready ? 200 : 503, &out);
}

void monitor_ready(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    bool alive;
    overall_state(api, &alive);
    unsigned running = calls_running(api->calls), most = calls_most(api->calls);
    bool room = running < most;
    buf_appendf(&out,
                "{\"ready\":%s,\"conditions\":{\"queue_available\":%s,\"worker_alive\":%s,"
                "\"model_loaded\":%s},\"queue_slots_available\":%u}",
                bool_text(alive && room), bool_text(room), bool_text(alive),
                bool_text(any_loaded(api)), room ? most - running : 0);
    respond_json(conn, alive && room ? 200 : 503, &out);
}

void monitor_admin_health(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    bool any_ready;
    overall_state(api, &any_ready);
    buf_appendf(&out, "{\"status\":\"%s\",\"worker_status\":\"%s\",\"version\":\"%s\"}",
                any_ready ? "healthy" : "degraded", any_loaded(api) ? "healthy" : "no_worker",
                VLMD_VERSION);
    respond_json(conn, 200, &out);
}

/* ---- the admin's status */

static void append_worker(struct buf *out, const struct worker_status *w)
{
    struct process_use use = w->pid > 0 ? process_use(w->pid) : (struct process_use){0};
    buf_append_char(out, '{');
    append_field(out, "id", w->id);
    buf_append_char(out, ',');
    append_field(out, "path", w->path);
    buf_append_char(out, ',');
    append_field(out, "state", worker_state_name(w->state));
    buf_appendf(out, ",\"pid\":%ld,\"requests\":%u,\"restarts\":%u,\"resident_bytes\":%llu",
                (long)w->pid, w->jobs, w->restarts, (unsigned long long)use.resident_bytes);
    buf_appendf(out, ",\"named\":%s,\"memory_bytes\":%llu,\"idle_seconds\":%.3f",
                bool_text(w->named), (unsigned long long)w->memory_bytes, w->idle_seconds);
    if (w->state == WORKER_LOADING) {
        buf_append_char(out, ',');
        append_field(out, "progress", w->progress);
        buf_appendf(out, ",\"fraction\":%.3f", (double)w->fraction);
    }
    if (w->state == WORKER_FAILED) {
        buf_append_char(out, ',');
        append_field(out, "error", w->failure->text);
    }
    if (w->state == WORKER_READY) {
        buf_append_char(out, ',');
        append_field(out, "architecture", w->info->architecture);
        buf_append_char(out, ',');
        append_field(out, "isa", w->info->isa);
        buf_appendf(
            out,
            ",\"vision\":%s,\"context_length\":%d,\"kv_tokens\":%d,\"kv_tokens_used\":%lld,"
            "\"weight_bytes\":%llu,\"load_seconds\":%.3f,\"image_cache\":{\"images\":%u,"
            "\"bytes\":%llu,\"hits\":%llu,\"misses\":%llu,\"evictions\":%llu}",
            bool_text(w->info->has_vision), w->info->context_length, w->info->kv_tokens,
            (long long)w->kv_tokens_used, (unsigned long long)w->info->weight_bytes,
            w->load_seconds, w->image_cache.images, (unsigned long long)w->image_cache.bytes,
            (unsigned long long)w->image_cache.hits, (unsigned long long)w->image_cache.misses,
            (unsigned long long)w->image_cache.evictions);
    }
    buf_append_char(out, '}');
}

/* The Python server knows one model: for its clients, the one that was loaded or used last. */
static void append_one_model(struct buf *out, const struct api *api)
{
    struct worker_status last = {0};
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        if (w.state == WORKER_READY && w.last_use >= last.last_use)
            last = w;
    }
    if (!last.id) {
        buf_append_text(out, "\"model\":{\"loaded\":false,\"name\":null,\"memory_gb\":0.0},"
                             "\"worker\":{\"healthy\":false,\"status\":\"no_worker\"}");
        return;
    }
    buf_append_text(out, "\"model\":{\"loaded\":true,");
    append_field(out, "name", last.id);
    buf_appendf(out, ",\"memory_gb\":%.3f},\"worker\":{\"healthy\":true,\"status\":\"healthy\"}",
                (double)process_use(last.pid).resident_bytes / GIB);
}

static void append_fetcher(struct buf *out, const struct fetchers *fetchers)
{
    struct fetchers_status f = fetchers_status(fetchers);
    buf_appendf(out,
                ",\"fetcher\":{\"running\":%s,\"sandboxed\":%s,\"fetching\":%zu,\"queued\":%zu,"
                "\"fetched\":%llu,\"failed\":%llu,\"restarts\":%u}",
                bool_text(f.ready), bool_text(f.sandboxed), f.fetching, f.queued,
                (unsigned long long)f.fetched, (unsigned long long)f.failed, f.restarts);
}

void monitor_admin_status(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    bool any_ready;
    struct decoders_status d = decoders_status(api->decoders);
    buf_appendf(&out, "{\"status\":\"running\",\"models_state\":\"%s\",\"version\":\"%s\",",
                overall_state(api, &any_ready), VLMD_VERSION);
    buf_appendf(&out, "\"uptime_s\":%lld,\"ports\":{\"main\":%d,\"admin\":%d},",
                (long long)(time(NULL) - api->started), http_server_port(api->public_server),
                http_server_port(api->admin_server));
    append_one_model(&out, api);
    buf_appendf(&out, ",\"config\":{\"total_ram_gb\":%.2f,\"max_requests\":%u}",
                (double)process_system_memory() / GIB, calls_most(api->calls));
    buf_appendf(&out, ",\"requests\":%u,\"connections\":%u", calls_running(api->calls),
                http_server_connections(api->public_server));
    buf_appendf(&out,
                ",\"decoders\":{\"processes\":%u,\"ready\":%u,\"sandboxed\":%s,\"queued\":%zu,"
                "\"restarts\":%u}",
                d.processes, d.ready, bool_text(d.sandboxed), d.queued, d.restarts);
    append_fetcher(&out, api->fetchers);
    buf_append_text(&out, ",\"models\":[");
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        if (i > 0)
            buf_append_char(&out, ',');
        append_worker(&out, &w);
    }
    buf_append_text(&out, "]}");
    respond_json(conn, 200, &out);
}

/* The loaded model that was used last; false without one. */
static bool last_used(const struct api *api, struct worker_status *found)
{
    bool any = false;
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        if (w.state != WORKER_READY || (any && w.idle_seconds >= found->idle_seconds))
            continue;
        *found = w;
        any = true;
    }
    return any;
}

/* Of one model, as the Python server has at most one; what it can do is said by its files. */
void monitor_admin_capabilities(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    (void)request;
    struct buf out = {0};
    struct worker_status w;
    bool any = last_used(api, &w);
    buf_append_char(&out, '{');
    if (any)
        append_field(&out, "model", w.id);
    else
        buf_append_text(&out, "\"model\":null");
    buf_appendf(&out,
                ",\"capabilities\":{\"text\":true,\"vision\":%s},\"detection_method\":\"%s\","
                "\"mlx_vlm_available\":false,\"notes\":null}",
                bool_text(any && w.info->has_vision), any ? "config" : "no_model_loaded");
    respond_json(conn, 200, &out);
}

static void append_queue(struct buf *out, const struct api *api)
{
    struct queue_counts counts = calls_queue(api->calls);
    queue_text_append_json(out, &counts);
}

void monitor_admin_queue(void *context, struct http_conn *conn, struct http_request *request)
{
    struct buf out = {0};
    (void)request;
    append_queue(&out, context);
    respond_json(conn, 200, &out);
}

void monitor_admin_metrics(void *context, struct http_conn *conn, struct http_request *request)
{
    const struct api *api = context;
    const struct metrics *m = api->metrics;
    (void)request;
    struct buf out = {0};
    struct metrics_totals t = metrics_totals(m);
    buf_appendf(&out,
                "{\"total_requests\":%llu,\"successful_requests\":%llu,\"failed_requests\":%llu,"
                "\"queue_full_rejects\":%llu,\"success_rate\":%.6f",
                (unsigned long long)t.answers, (unsigned long long)t.good,
                (unsigned long long)(t.answers - t.good), (unsigned long long)t.refused_busy,
                t.answers > 0 ? (double)t.good / (double)t.answers : 0.0);
    buf_append_text(&out, ",\"request_duration_ms\":{");
    if (metrics_recent_count(m) > 0)
        buf_appendf(&out,
                    "\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"avg\":%.3f,\"min\":%.3f,"
                    "\"max\":%.3f",
                    1e3 * metrics_recent_quantile(m, 0.5), 1e3 * metrics_recent_quantile(m, 0.95),
                    1e3 * metrics_recent_quantile(m, 0.99), 1e3 * t.seconds / (double)t.answers,
                    1e3 * metrics_recent_quantile(m, 0), 1e3 * metrics_recent_quantile(m, 1));
    buf_appendf(&out, "},\"queue_wait_time_ms\":{\"avg\":%.3f}",
                1e3 * metrics_mean(m, METRICS_QUEUE_SECONDS));
    unsigned running = calls_running(api->calls), most = calls_most(api->calls);
    buf_appendf(&out,
                ",\"queue\":{\"max_depth\":%u,\"active_requests\":%u,\"available_slots\":%u,"
                "\"utilization\":%.6f}",
                most, running, running < most ? most - running : 0,
                most > 0 ? (double)running / (double)most : 0.0);
    buf_append_text(&out, ",\"priority_queue\":");
    append_queue(&out, api);
    buf_append_char(&out, '}');
    respond_json(conn, 200, &out);
}

/* ---- Prometheus */

static void one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    metrics_family(out, name, type, help);
    metrics_sample(out, name, value, NULL);
}

static double state_value(const struct worker_status *w)
{
    return w->state == WORKER_READY;
}
static double requests_value(const struct worker_status *w)
{
    return w->jobs;
}
static double restarts_value(const struct worker_status *w)
{
    return w->restarts;
}
static double kv_value(const struct worker_status *w)
{
    return w->info->kv_tokens;
}
static double kv_used_value(const struct worker_status *w)
{
    return (double)w->kv_tokens_used;
}
static double cache_bytes_value(const struct worker_status *w)
{
    return (double)w->image_cache.bytes;
}
static double cache_images_value(const struct worker_status *w)
{
    return w->image_cache.images;
}
static double weights_value(const struct worker_status *w)
{
    return (double)w->info->weight_bytes;
}
static double load_value(const struct worker_status *w)
{
    return w->load_seconds;
}

static void append_models(struct buf *out, const struct api *api)
{
    static const struct {
        const char *name, *type, *help;
        double (*value)(const struct worker_status *w);
    } families[] = {
        {"vlmd_model_ready", "gauge", "1 when the model can answer.", state_value},
        {"vlmd_model_requests", "gauge", "Completions the model works on.", requests_value},
        {"vlmd_worker_restarts_total", "counter", "Times the model's process was started again.",
         restarts_value},
        {"vlmd_kv_tokens", "gauge", "Tokens that fit in the model's kv cache.", kv_value},
        {"vlmd_kv_tokens_used", "gauge", "Tokens that running completions hold in it.",
         kv_used_value},
        {"vlmd_image_cache_bytes", "gauge", "Bytes of the images that the model keeps.",
         cache_bytes_value},
        {"vlmd_image_cache_images", "gauge", "Images that the model keeps.", cache_images_value},
        {"vlmd_model_weight_bytes", "gauge", "Bytes of the model's weights.", weights_value},
        {"vlmd_model_last_load_seconds", "gauge", "Time the model took to load the last time.",
         load_value},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        metrics_family(out, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < workers_count(api->workers); i++) {
            struct worker_status w = workers_status(api->workers, i);
            const char *labels[] = {"model", w.id, NULL};
            metrics_sample(out, families[f].name, families[f].value(&w), labels);
        }
    }
}

/* The samples of two families, so that each process is asked about once. */
struct uses {
    struct buf memory, time;
};

static void add_use(struct uses *u, const char *role, const char *model,
                    const struct process_use *use)
{
    const char *labels[] = {"role", role, "model", model, NULL};
    metrics_sample(&u->memory, "vlmd_process_resident_bytes", (double)use->resident_bytes, labels);
    metrics_sample(&u->time, "vlmd_process_cpu_seconds", use->cpu_seconds, labels);
}

/* The decoders are alike and added up. */
static struct process_use decoders_use(const struct api *api)
{
    struct process_use sum = {0};
    struct decoders_status d = decoders_status(api->decoders);
    for (unsigned i = 0; i < d.processes; i++) {
        pid_t pid = decoders_pid(api->decoders, i);
        struct process_use use = pid > 0 ? process_use(pid) : (struct process_use){0};
        sum.resident_bytes += use.resident_bytes;
        sum.cpu_seconds += use.cpu_seconds;
    }
    return sum;
}

static void append_uses(struct buf *out, const struct api *api, const struct process_use *front)
{
    struct uses u = {0};
    add_use(&u, "front", "", front);
    for (size_t i = 0; i < workers_count(api->workers); i++) {
        struct worker_status w = workers_status(api->workers, i);
        struct process_use use = w.pid > 0 ? process_use(w.pid) : (struct process_use){0};
        if (w.pid > 0)
            add_use(&u, "worker", w.id, &use);
    }
    struct process_use decoders = decoders_use(api);
    add_use(&u, "decoder", "", &decoders);
    pid_t fetcher = fetchers_pid(api->fetchers);
    struct process_use use = fetcher > 0 ? process_use(fetcher) : (struct process_use){0};
    if (fetcher > 0)
        add_use(&u, "fetcher", "", &use);
    metrics_family(out, "vlmd_process_resident_bytes", "gauge",
                   "Memory of the processes, mapped weights included.");
    buf_append(out, u.memory.data, u.memory.len);
    metrics_family(out, "vlmd_process_cpu_seconds", "gauge",
                   "Processor time of the processes that run now.");
    buf_append(out, u.time.data, u.time.len);
    out->failed = out->failed || u.memory.failed || u.time.failed;
    buf_free(&u.memory);
    buf_free(&u.time);
}

static void make_processes(struct buf *out, const struct api *api)
{
    struct process_use front = process_use(getpid());
    append_uses(out, api, &front);
    one(out, "process_resident_memory_bytes", "gauge", "Memory of the front.",
        (double)front.resident_bytes);
    one(out, "process_cpu_seconds_total", "counter", "Processor time of the front.",
        front.cpu_seconds);
    one(out, "process_start_time_seconds", "gauge", "Start of the front, seconds since 1970.",
        (double)api->started);
    one(out, "process_open_fds", "gauge", "Descriptors the front has open.",
        process_open_descriptors());
    one(out, "process_max_fds", "gauge", "Descriptors the front may have open.",
        process_max_descriptors());
}

/* The system is asked by some twenty calls, and counts time in hundredths of a second itself: who
 * asks more often gets what it said. */
static void append_processes(struct buf *out, struct api *api)
{
    uint64_t now = uv_now(api->loop);
    if (api->processes.len == 0 || api->processes.failed || now - api->processes_ms >= 10) {
        buf_reset(&api->processes);
        make_processes(&api->processes, api);
        api->processes_ms = now;
    }
    buf_append(out, api->processes.data, api->processes.len);
    out->failed = out->failed || api->processes.failed;
}

static void append_front(struct buf *out, const struct api *api)
{
    struct decoders_status d = decoders_status(api->decoders);
    const char *version[] = {"version", VLMD_VERSION, NULL};
    const char *public_port[] = {"port", "main", NULL};
    const char *admin_port[] = {"port", "admin", NULL};
    metrics_family(out, "vlmd_build_info", "gauge", "1; the version is in the label.");
    metrics_sample(out, "vlmd_build_info", 1, version);
    metrics_family(out, "vlmd_connections", "gauge", "Open connections.");
    metrics_sample(out, "vlmd_connections", http_server_connections(api->public_server),
                   public_port);
    metrics_sample(out, "vlmd_connections", http_server_connections(api->admin_server), admin_port);
    one(out, "vlmd_request_body_bytes", "gauge", "Bytes of the requests that are here.",
        (double)http_server_body_bytes(api->public_server));
    one(out, "vlmd_requests_running", "gauge", "Completions worked on or waiting.",
        calls_running(api->calls));
    one(out, "vlmd_requests_waiting", "gauge", "Of these, those whose prompt is not yet begun.",
        calls_waiting(api->calls));
    one(out, "vlmd_requests_limit", "gauge", "Completions accepted at once.",
        calls_most(api->calls));
    struct queue_counts queue = calls_queue(api->calls);
    queue_text_append_metrics(out, &queue);
    one(out, "vlmd_decoders_ready", "gauge", "Decoders that can take an image.", d.ready);
    one(out, "vlmd_decode_queue", "gauge", "Images that wait for a decoder.", (double)d.queued);
    one(out, "vlmd_decoder_restarts_total", "counter", "Times a decoder was started again.",
        d.restarts);
}

static void append_fetches(struct buf *out, const struct api *api)
{
    struct fetchers_status f = fetchers_status(api->fetchers);
    one(out, "vlmd_fetcher_ready", "gauge",
        "1 while the fetcher runs; it is started when it is wanted.", f.ready);
    one(out, "vlmd_fetches_running", "gauge", "Images that are being fetched.", (double)f.fetching);
    one(out, "vlmd_fetch_queue", "gauge", "Images that wait to be fetched.", (double)f.queued);
    one(out, "vlmd_fetched_total", "counter", "Images fetched.", (double)f.fetched);
    one(out, "vlmd_fetches_failed_total", "counter", "Images that could not be fetched.",
        (double)f.failed);
    one(out, "vlmd_fetcher_restarts_total", "counter", "Times the fetcher was started again.",
        f.restarts);
}

void monitor_metrics(void *context, struct http_conn *conn, struct http_request *request)
{
    struct api *api = context;
    (void)request;
    struct buf out = {0};
    append_front(&out, api);
    append_fetches(&out, api);
    append_models(&out, api);
    append_processes(&out, api);
    metrics_append(&out, api->metrics);
    respond(conn, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
