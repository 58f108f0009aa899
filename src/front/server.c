#include "front/server.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "front/api.h"
#include "front/log_pipe.h"
#include "front/service.h"

struct server {
    struct config *config;
    const struct config_input *input; /* to read the settings again */
    uv_loop_t loop;
    struct api api;
    struct service *service; /* who started us, if he wants to hear */
    struct api_port public_port, admin_port;
    uv_signal_t interrupt, terminate, hangup;
    uv_timer_t drain;
    struct log_pipe *log_pipe; /* NULL where the log needs none */
    bool draining;
    bool closing;
    bool served; /* a model has been ready */
    int status;
    uint64_t drain_until;
};

/* Thousands of connections need as many descriptors: take what the system allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    rlim_t wanted = 65536;
    limit.rlim_cur =
        limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- the end */

static void close_all(struct server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    http_server_close(s->api.public_server);
    http_server_close(s->api.admin_server);
    s->api.public_server = s->api.admin_server = NULL;
    decoders_close(s->api.decoders);
    fetchers_close(s->api.fetchers);
    workers_close(s->api.workers);
    calls_stop(s->api.calls);
    log_pipe_stop(s->log_pipe);
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->hangup, NULL);
    uv_close((uv_handle_t *)&s->drain, NULL);
    service_close(s->service);
}

static void on_drain(uv_timer_t *timer)
{
    struct server *s = timer->data;
    unsigned running = calls_running(s->api.calls);
    bool idle = running == 0 && http_server_connections(s->api.public_server) == 0;
    if (!idle && uv_now(&s->loop) < s->drain_until)
        return;
    if (running > 0)
        log_write(LOG_WARN, "giving up %u requests that did not end in time", running);
    close_all(s);
}

/* The first signal lets the running requests end, the second does not. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    if (s->draining) {
        close_all(s);
        return;
    }
    s->draining = true;
    service_tell(s->service, "STOPPING=1\nSTATUS=finishing the running requests");
    log_write(LOG_INFO, "%s: no new connections; %u requests are running",
              number == SIGINT ? "SIGINT" : "SIGTERM", calls_running(s->api.calls));
    http_server_drain(s->api.public_server);
    s->drain_until = uv_now(&s->loop) + (uint64_t)s->config->drain_seconds * 1000;
    uv_timer_start(&s->drain, on_drain, 0, 20);
}

/* When none of the models that were named could ever be loaded there is nothing to serve. */
static void on_workers_change(void *context)
{
    struct server *s = context;
    for (size_t i = 0; i < workers_count(s->api.workers); i++) {
        struct worker_status w = workers_status(s->api.workers, i);
        s->served = s->served || w.state == WORKER_READY;
        if (s->served || (w.named && w.state != WORKER_FAILED))
            return;
    }
    log_write(LOG_ERROR, "no model could be loaded");
    s->status = 1;
    close_all(s);
}

/* ---- the beginning */

static int open_ports(struct server *s, struct vlmd_error *err)
{
    const struct config *config = s->config;
    struct service_sockets passed = service_take_sockets();
    struct http_options options = {
        .host = config->host,
        .port = (int)config->port,
        .inherited = passed.api,
        .limits = {.target_bytes = 8192,
                   .head_bytes = 16384,
                   .fields = 100,
                   .body_bytes = 72u << 20},
        .deadlines = {.idle_ms = (unsigned)config->idle_seconds * 1000,
                      .head_ms = (unsigned)config->head_seconds * 1000,
                      .body_ms = (unsigned)config->body_seconds * 1000,
                      .write_ms = (unsigned)config->write_seconds * 1000,
                      .linger_ms = 2000},
        .max_connections = (unsigned)config->max_connections,
        .max_unsent = 1u << 20,
        .body_memory = (size_t)config->body_memory,
        .metrics = s->api.metrics,
    };
    struct http_handler handler = api_handler(&s->public_port);
    s->api.public_server = http_server_open(&s->loop, &options, &handler, err);
    if (!s->api.public_server)
        return -1;
    s->public_port.door.loopback = http_server_on_loopback(s->api.public_server);
    options.host = "127.0.0.1";
    options.port = (int)s->config->admin_port;
    options.inherited = passed.admin;
    options.limits.body_bytes = 1u << 20;
    options.max_connections = 100;
    handler = api_handler(&s->admin_port);
    s->api.admin_server = http_server_open(&s->loop, &options, &handler, err);
    if (!s->api.admin_server)
        return -1;
    s->admin_port.door.loopback = true;
    return 0;
}

static int open_fetchers(struct server *s, struct vlmd_error *err)
{
    const struct config *config = s->config;
    char blocks[CONFIG_BLOCKS_BYTES];
    if (config_join(&config->fetch_block, blocks, sizeof blocks) < 0)
        return err_set(err, VLMD_TOO_LARGE, "--fetch-block", "the list of networks is too long");
    struct fetchers_options options = {
        .program = config->fetcher_program ? config->fetcher_program : child_own_program(),
        .ports = config->fetch ? config->fetch_ports : "",
        .blocks = blocks,
        .redirects = (unsigned)config->fetch_redirects,
        .seconds = (unsigned)config->fetch_seconds,
        .folders = config->image_dir.items,
        .n_folders = config->image_dir.n,
        .sandbox = config->sandbox,
    };
    s->api.fetchers = fetchers_open(&s->loop, &options, err);
    return s->api.fetchers ? 0 : -1;
}

static struct workers_limits workers_limits(const struct config *config)
{
    uint64_t budget = (uint64_t)config->memory_budget;
    if (budget == 0)
        budget = config->memory_bytes > 0 ? config->memory_bytes / 5 * 4 : INT64_MAX;
    return (struct workers_limits){
        .memory_bytes = budget,
        .idle_ms = (uint64_t)config->idle_timeout * 1000,
        .named_too = !config_is_default(config, "idle_timeout"),
        .load_ms = (uint64_t)config->model_load_timeout * 1000,
    };
}

static int open_children(struct server *s, const struct model *models, size_t n_models,
                         struct vlmd_error *err)
{
    const struct config *config = s->config;
    struct decoders_options decoders = {
        .program = child_own_program(),
        .processes = (unsigned)config->decoders,
        .timeout_ms = (unsigned)config->decode_seconds * 1000,
        .sandbox = config->sandbox,
    };
    s->api.decoders = decoders_open(&s->loop, &decoders, err);
    if (!s->api.decoders)
        return -1;
    if (open_fetchers(s, err) < 0)
        return -1;
    struct workers_options workers = {
        .program = config->worker_program ? config->worker_program : child_own_program(),
        .threads = (int)config->threads,
        .cpus = config->cpus,
        .kv_tokens = (int32_t)config->kv_tokens,
        .image_cache = (uint64_t)config->image_cache,
        .isa = config->isa,
        .activations = config->activations,
        .metrics = s->api.metrics,
        .silence_ms = (unsigned)config->heartbeat_seconds * 1000,
        .limits = workers_limits(config),
        .on_demand = config->on_demand,
    };
    struct worker_model list[CONFIG_LIST_MAX];
    for (size_t i = 0; i < n_models; i++)
        list[i] = (struct worker_model){models[i].id, models[i].path};
    s->api.workers = workers_open(&s->loop, &workers, list, n_models, err);
    return s->api.workers ? 0 : -1;
}

static struct queue_limits queue_limits(const struct config *config)
{
    return (struct queue_limits){
        .slots = (unsigned)config->max_concurrent_requests,
        .depth = config->queue_enabled ? (unsigned)config->queue_max_depth : 0,
        .wait_ms = {[PRIORITY_HIGH] = (uint64_t)config->queue_timeout_high * 1000,
                    [PRIORITY_NORMAL] = (uint64_t)config->queue_timeout_normal * 1000,
                    [PRIORITY_LOW] = (uint64_t)config->queue_timeout_low * 1000},
        .total_ms = (uint64_t)config->request_timeout * 1000,
    };
}

static struct calls_options calls_options(const struct server *s)
{
    return (struct calls_options){
        .max_requests = (unsigned)s->config->max_requests,
        .queue = queue_limits(s->config),
        .metrics = s->api.metrics,
    };
}

static struct chats_options chats_options(const struct server *s)
{
    return (struct chats_options){
        .limits = {.max_images = (size_t)s->config->max_images,
                   .max_image_bytes = (size_t)s->config->max_image_bytes,
                   .urls = s->config->fetch,
                   .files = s->config->image_dir.n > 0},
        .limit_side = (int32_t)s->config->max_image_side,
        .limit_pixels = (uint64_t)s->config->max_image_pixels,
        .to_srgb = s->config->color_profiles,
        .max_side = s->config->vision_auto_resize ? (int32_t)s->config->vision_max_dimension : 0,
        .log_content = s->config->log_content,
    };
}

static int open_calls(struct server *s, struct vlmd_error *err)
{
    struct calls_options options = calls_options(s);
    struct chats_options chats = chats_options(s);
    if (calls_open(&s->api.calls, &s->loop, &options, s->api.workers, err) < 0)
        return -1;
    s->api.chats = chats_open(&chats, s->api.calls, s->api.decoders, s->api.fetchers);
    s->api.completions = completions_open(s->api.calls, s->config->log_content);
    return s->api.chats && s->api.completions ? 0 : err_no_memory(err, sizeof chats);
}

/* ---- the log */

/* Makes the folder and those above it; what fails shows when something is to be put there. */
static void make_folders(const char *path)
{
    char *part = strdup(path);
    for (char *p = part ? strchr(part + 1, '/') : NULL; p; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(part, 0755);
        *p = '/';
    }
    free(part);
    mkdir(path, 0750);
}

/* Opens the log's file, if there is to be one; anew when it is open already. */
static int open_log_file(const struct config *config, struct vlmd_error *err)
{
    if (!config->log_dir)
        return 0;
    make_folders(config->log_dir);
    char *path = file_join(config->log_dir, "vlmd.log");
    if (!path)
        return err_no_memory(err, 4096);
    int status = log_set_file(path, err);
    free(path);
    return status;
}

static void apply_log_level(const struct config *config)
{
    int level = log_level_from_name(config->log_level);
    log_set_level(config->verbose ? LOG_DEBUG : (enum log_level)level);
}

static void log_notes(const struct server *s)
{
    struct buf notes = {0};
    config_append_notes(&notes, s->config, s->input->environment);
    for (char *line = notes.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        log_write(LOG_WARN, "%s", line);
    }
    buf_free(&notes);
}

/* Children know of no file and no JSON: their lines come through us then. */
static int open_log(struct server *s, struct vlmd_error *err)
{
    bool json = strcmp(s->config->log_format, "json") == 0;
    log_set_format(json ? LOG_JSON : LOG_HUMAN);
    if (open_log_file(s->config, err) < 0)
        return -1;
    if (!json && !s->config->log_dir)
        return 0;
    s->log_pipe = log_pipe_open(&s->loop, err);
    return s->log_pipe ? 0 : -1;
}

/* ---- settings that change while the server runs */

static void apply_settings(struct server *s)
{
    const struct calls_options calls = calls_options(s);
    const struct chats_options chats = chats_options(s);
    struct vlmd_error err;
    apply_log_level(s->config);
    calls_configure(s->api.calls, &calls);
    chats_configure(s->api.chats, &chats);
    completions_configure(s->api.completions, s->config->log_content);
    const struct workers_limits limits = workers_limits(s->config);
    workers_configure(s->api.workers, &limits);
    if (access_configure(s->api.access, s->config, &err) < 0)
        log_write(LOG_ERROR, "keys and limits stay as they are: %s", err.text);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    struct buf applied = {0}, waiting = {0};
    struct config fresh;
    struct vlmd_error err;
    (void)number;
    if (s->closing)
        return;
    if (open_log_file(s->config, &err) < 0)
        log_write(LOG_ERROR, "SIGHUP: %s", err.text);
    if (config_read(&fresh, s->input, &err) < 0 ||
        config_reload(s->config, &fresh, &applied, &waiting, &err) < 0) {
        log_write(LOG_ERROR, "SIGHUP: the settings stay as they are: %s", err.text);
    } else {
        apply_settings(s);
        log_write(LOG_INFO, "SIGHUP: changed: %s", applied.len > 0 ? applied.data : "nothing");
        if (waiting.len > 0)
            log_write(LOG_WARN, "SIGHUP: these want a restart: %s", waiting.data);
    }
    config_free(&fresh);
    buf_free(&applied);
    buf_free(&waiting);
}

static void watch_signals(struct server *s)
{
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(&s->loop, &s->interrupt);
    uv_signal_init(&s->loop, &s->terminate);
    uv_signal_init(&s->loop, &s->hangup);
    uv_timer_init(&s->loop, &s->drain);
    s->interrupt.data = s->terminate.data = s->hangup.data = s->drain.data = s;
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    uv_signal_start(&s->terminate, on_signal, SIGTERM);
    uv_signal_start(&s->hangup, on_hangup, SIGHUP);
}

static int open_all(struct server *s, const struct model *models, size_t n_models,
                    struct vlmd_error *err)
{
    if (open_log(s, err) < 0)
        return -1;
    log_notes(s);
    s->api.access = access_open(s->config, err);
    if (!s->api.access || open_ports(s, err) < 0 || open_children(s, models, n_models, err) < 0 ||
        open_calls(s, err) < 0)
        return -1;
    workers_on_change(s->api.workers, on_workers_change, s);
    return 0;
}

int server_run(struct config *config, const struct config_input *input, const struct model *models,
               size_t n_models)
{
    struct vlmd_error err;
    struct server *s = calloc(1, sizeof *s);
    if (!s || uv_loop_init(&s->loop) < 0) {
        log_write(LOG_ERROR, "out of memory");
        free(s);
        return 1;
    }
    log_set_role("front");
    apply_log_level(config);
    raise_descriptor_limit();
    s->config = config;
    s->input = input;
    s->api.started = time(NULL);
    s->api.on_demand = config->on_demand;
    s->api.metrics = metrics_open();
    s->api.loop = &s->loop;
    s->public_port = api_public_port(&s->api);
    s->admin_port = api_admin_port(&s->api);
    watch_signals(s);
    s->service = service_open(&s->loop);
    if (open_all(s, models, n_models, &err) == 0) {
        service_tell(s->service, "READY=1\nSTATUS=serving");
        log_write(LOG_INFO, "listening on http://%s:%d, admin on http://127.0.0.1:%d", config->host,
                  http_server_port(s->api.public_server), http_server_port(s->api.admin_server));
    } else {
        log_write(LOG_ERROR, "%s", err.text);
        s->status = 1;
        close_all(s);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    chats_close(s->api.chats);
    completions_close(s->api.completions);
    calls_close(s->api.calls);
    access_close(s->api.access);
    metrics_close(s->api.metrics);
    buf_free(&s->api.processes);
    log_pipe_close(s->log_pipe);
    uv_loop_close(&s->loop);
    int status = s->status;
    log_write(LOG_INFO, "stopped");
    free(s);
    return status;
}
