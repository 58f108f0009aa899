/* The worker role: the front's messages in, the scheduler's events out. */
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/estimate.h"
#include "worker/line.h"
#include "worker/prompt.h"
#include "worker/request.h"
#include "worker/scheduler.h"

#define STALL_MS     300000 /* one layer may take long on a slow machine, but not that long */
#define POLL_SECONDS 0.01   /* how often the front is listened to between layers */

struct worker {
    struct line *line;
    vlmd_engine *engine;
    struct prompt_maker *prompts;
    struct scheduler *scheduler;
    uint64_t work_bytes, cache_bytes; /* for activations of a step, and for kept images */
    uint64_t held_bytes;              /* of all that is always held */
    uint64_t budget;                  /* of all models together, 0: not known */
    double polled;                    /* when the front was listened to last */
    bool over;                        /* the front is gone or broke the rules */
};

/* ---- to the front */

/* A front that cannot be reached ends the worker at the next turn. -1 when it is this message alone
 * that cannot be sent. */
static int send(struct worker *w, struct ipc_message *message)
{
    struct vlmd_error err;
    if (w->over || line_send(w->line, message, &err) == 0)
        return 0;
    bool unfit = err.code == VLMD_INVALID || err.code == VLMD_TOO_LARGE;
    log_write(LOG_ERROR, "%s: %s", unfit ? "a message does not fit" : "cannot reach the front",
              err.text);
    w->over = !unfit;
    return unfit ? -1 : 0;
}

/* What went wrong may be told in bytes that are no text, such as a file's name. */
static void send_error(struct worker *w, uint64_t id, const struct vlmd_error *error)
{
    struct ipc_message message = {
        .type = IPC_ERROR,
        .error = {id, error->code, ipc_string(error->field), ipc_string(error->text)},
    };
    if (send(w, &message) == 0)
        return;
    message.error.field = ipc_string("");
    message.error.text = ipc_string("the request failed with an error that is no text");
    send(w, &message);
}

static void on_started(void *context, uint64_t id, int32_t prompt_tokens)
{
    struct ipc_message message = {.type = IPC_STARTED, .started = {id, prompt_tokens}};
    send(context, &message);
}

static void on_seen(void *context, uint64_t id, uint64_t cached,
                    const struct image_cache_state *cache)
{
    struct ipc_message message = {
        .type = IPC_SEEN,
        .seen = {id, cached, cache->hits, cache->misses, cache->evictions, cache->bytes,
                 cache->images},
    };
    send(context, &message);
}

static void on_text(void *context, uint64_t id, const char *text, size_t len, int32_t tokens)
{
    struct worker *w = context;
    struct ipc_message message = {.type = IPC_TEXT, .text = {id, {text, len}, tokens}};
    if (send(w, &message) < 0)
        scheduler_cancel(w->scheduler, id); /* an answer with a hole is none */
}

static void on_done(void *context, uint64_t id, const struct scheduler_result *result)
{
    static const uint8_t reasons[] = {
        [SCHEDULER_STOP] = IPC_FINISH_STOP,
        [SCHEDULER_LENGTH] = IPC_FINISH_LENGTH,
        [SCHEDULER_CANCELLED] = IPC_FINISH_CANCELLED,
    };
    struct ipc_message message = {
        .type = IPC_DONE,
        .done =
            {
                .id = id,
                .reason = reasons[result->finish],
                .prompt_tokens = result->prompt_tokens,
                .completion_tokens = result->completion_tokens,
                .queue_seconds = (float)result->queue_seconds,
                .vision_seconds = (float)result->vision_seconds,
                .prefill_seconds = (float)result->prefill_seconds,
                .decode_seconds = (float)result->decode_seconds,
            },
    };
    send(context, &message);
}

static void on_failed(void *context, uint64_t id, const struct vlmd_error *error)
{
    send_error(context, id, error);
}

/* ---- from the front */

/* Pixels of one request, in the worker's own memory: what the sender does to its descriptors
 * afterwards does not matter. */
struct pixels {
    int32_t n;
    struct scheduler_image images[IPC_MAX_IMAGES];
};

static void pixels_free(void *owner)
{
    struct pixels *p = owner;
    if (!p)
        return;
    for (int32_t i = 0; i < p->n; i++)
        free((uint8_t *)(uintptr_t)p->images[i].rgb);
    free(p);
}

static uint8_t *read_pixels(int fd, size_t bytes, struct vlmd_error *err)
{
    uint8_t *rgb = malloc(bytes);
    if (!rgb) {
        err_no_memory(err, bytes);
        return NULL;
    }
    for (size_t got = 0; got < bytes;) {
        ssize_t n = pread(fd, rgb + got, bytes - got, (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(rgb);
            err_set(err, VLMD_INTERNAL, "image", "an image's pixels did not arrive whole");
            return NULL;
        }
        got += (size_t)n;
    }
    return rgb;
}

/* Also counts the tokens that each image will have. */
static struct pixels *take_pixels(const struct worker *w, const struct ipc_generate *g,
                                  int32_t *image_tokens, struct vlmd_error *err)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(w->engine);
    struct pixels *p = calloc(1, sizeof *p);
    if (!p) {
        err_no_memory(err, sizeof *p);
        return NULL;
    }
    int32_t factor = info->patch_size * info->merge_size;
    for (uint32_t i = 0; i < g->n_images; i++) {
        const struct ipc_image *image = &g->images[i];
        size_t bytes = (size_t)image->width * (size_t)image->height * 3;
        if (!info->has_vision || bytes == 0 || image->width % factor || image->height % factor) {
            err_set(err, info->has_vision ? VLMD_INTERNAL : VLMD_UNSUPPORTED, "image_url",
                    info->has_vision ? "an image has no planned size"
                                     : "this model reads text only");
            goto fail;
        }
        uint8_t *rgb = read_pixels(image->rgb, bytes, err);
        if (!rgb)
            goto fail;
        p->images[p->n++] = (struct scheduler_image){rgb, image->width, image->height};
        image_tokens[i] = (image->width / factor) * (image->height / factor);
    }
    return p;
fail:
    pixels_free(p);
    return NULL;
}

static int make_prompt(const struct worker *w, const struct ipc_generate *g,
                       const int32_t *image_tokens, struct prompt *prompt, struct vlmd_error *err)
{
    if (g->prompt.len > 0)
        return prompt_make_raw(w->prompts, g->prompt.data, g->prompt.len, g->echo, prompt, err);
    return prompt_make(w->prompts, g->messages.data, g->messages.len, g->tools.data, g->tools.len,
                       image_tokens, (int32_t)g->n_images, prompt, err);
}

static void generate(struct worker *w, const struct ipc_generate *g)
{
    struct vlmd_error err;
    int32_t image_tokens[IPC_MAX_IMAGES];
    const char *stops[IPC_MAX_STOPS];
    struct prompt prompt;
    struct pixels *pixels = take_pixels(w, g, image_tokens, &err);
    if (!pixels) {
        send_error(w, g->id, &err);
        return;
    }
    if (make_prompt(w, g, image_tokens, &prompt, &err) < 0) {
        pixels_free(pixels);
        send_error(w, g->id, &err);
        return;
    }
    for (uint32_t i = 0; i < g->n_stops; i++)
        stops[i] = g->stops[i].data;
    struct scheduler_request request = {
        .id = g->id,
        .images_of = g->owner,
        .tokens = prompt.tokens,
        .n_tokens = prompt.n_tokens,
        .images = pixels->images,
        .n_images = pixels->n,
        .release = pixels_free,
        .owner = pixels,
        .sampling =
            {
                .temperature = g->temperature,
                .top_p = g->top_p,
                .top_k = g->top_k,
                .min_p = g->min_p,
                .repetition_penalty = g->repetition_penalty,
                .presence_penalty = g->presence_penalty,
                .frequency_penalty = g->frequency_penalty,
                .seed = g->seed,
            },
        .max_tokens = g->max_tokens,
        .stops = stops,
        .n_stops = g->n_stops,
        .echo = prompt.echo.data,
        .echo_len = prompt.echo.len,
    };
    if (scheduler_submit(w->scheduler, &request, &err) < 0) {
        if (g->prompt.len > 0 && strcmp(err.field, "messages") == 0)
            snprintf(err.field, sizeof err.field, "prompt");
        send_error(w, g->id, &err);
    }
    prompt_free(&prompt);
}

static void estimate(struct worker *w, const struct ipc_estimate *request)
{
    struct vlmd_error err;
    struct ipc_message message = {
        .type = IPC_ESTIMATED,
        .estimated = {.id = request->id,
                      .work_bytes = w->work_bytes,
                      .cache_bytes = w->cache_bytes},
    };
    if (estimate_request(w->engine, w->prompts, request, &message.estimated, &err) < 0)
        send_error(w, request->id, &err);
    else
        send(w, &message);
}

static void handle(struct worker *w, const struct ipc_message *message)
{
    switch (message->type) {
    case IPC_GENERATE:
        generate(w, &message->generate);
        break;
    case IPC_ESTIMATE:
        estimate(w, &message->estimate);
        break;
    case IPC_CANCEL:
        scheduler_cancel(w->scheduler, message->cancel.id);
        break;
    default: /* WELCOME; the channel lets nothing else through */
        break;
    }
}

/* Handles what has arrived; waits for something first when `wait`. */
static void receive(struct worker *w, bool wait)
{
    struct vlmd_error err;
    struct ipc_message *message;
    int got;
    w->polled = clock_seconds();
    while ((got = line_next(w->line, wait, &message, &err)) == 1) {
        handle(w, message);
        ipc_message_free(message);
        wait = false;
    }
    if (got < 0 && err.code != VLMD_IO)
        log_write(LOG_ERROR, "the front's channel failed: %s", err.text);
    w->over = w->over || got < 0;
}

static bool on_poll(void *context)
{
    struct worker *w = context;
    if (!w->over && clock_seconds() - w->polled > POLL_SECONDS)
        receive(w, false);
    return w->over;
}

/* ---- life */

static void send_ready(struct worker *w)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(w->engine);
    struct ipc_message message = {
        .type = IPC_READY,
        .ready =
            {
                .architecture = ipc_string(info->architecture),
                .isa = ipc_string(info->isa),
                .has_vision = info->has_vision,
                .context_length = info->context_length,
                .kv_tokens = info->kv_tokens,
                .weight_bytes = info->weight_bytes,
                .patch_size = info->patch_size,
                .merge_size = info->merge_size,
                .min_pixels = (uint64_t)info->min_pixels,
                .max_pixels = (uint64_t)info->max_pixels,
                .affordable_pixels =
                    estimate_affordable_pixels(w->engine, w->budget, w->held_bytes),
            },
    };
    send(w, &message);
}

static void tell_loading(struct worker *w, const char *what)
{
    struct ipc_message loading = {.type = IPC_LOADING};
    loading.loading.text = ipc_string(what);
    send(w, &loading);
}

static void greet(struct worker *w)
{
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    send(w, &hello);
    tell_loading(w, "reading the configuration");
}

/* Tells what the model will take and waits until it may. -1 with *err; the front is gone: w->over.
 */
static int ask_for_memory(struct worker *w, const struct worker_options *options,
                          const struct vlmd_engine_options *engine, struct vlmd_error *err)
{
    struct vlmd_engine_needs needs;
    if (vlmd_engine_measure(options->model, engine, &needs, err) < 0)
        return -1;
    if (needs.image_bytes > 0)
        w->cache_bytes =
            options->image_cache < needs.weight_bytes ? options->image_cache : needs.weight_bytes;
    w->work_bytes = needs.work_bytes;
    w->held_bytes = needs.weight_bytes + needs.kv_bytes + needs.work_bytes + w->cache_bytes;
    struct ipc_message message = {
        .type = IPC_NEEDS,
        .needs = {needs.weight_bytes, needs.kv_bytes, needs.work_bytes, needs.image_bytes,
                  w->cache_bytes},
    };
    send(w, &message);
    for (bool granted = false; !granted && !w->over;) {
        struct ipc_message *m;
        int got = line_next(w->line, true, &m, err);
        w->over = got < 0;
        if (got <= 0)
            continue;
        granted = m->type == IPC_GRANT;
        w->budget = granted ? m->grant.budget : 0;
        ipc_message_free(m);
    }
    return w->over ? -1 : 0;
}

static int load(struct worker *w, const struct worker_options *options, struct vlmd_error *err)
{
    const struct vlmd_engine_options engine_options = {
        .threads = options->threads,
        .kv_tokens = options->kv_tokens,
        .batch_tokens = options->batch_tokens,
        .isa = options->isa,
        .activations = options->activations,
    };
    const struct scheduler_events events = {
        .context = w,
        .started = on_started,
        .seen = on_seen,
        .text = on_text,
        .done = on_done,
        .failed = on_failed,
        .poll = on_poll,
    };
    if (ask_for_memory(w, options, &engine_options, err) < 0)
        return -1;
    tell_loading(w, "opening the checkpoint");
    w->engine = vlmd_engine_open(options->model, &engine_options, err);
    if (!w->engine)
        return -1;
    w->prompts = prompt_maker_open(w->engine, options->model, err);
    if (!w->prompts)
        return -1;
    w->scheduler = scheduler_open(w->engine, &events, w->cache_bytes, err);
    return w->scheduler ? 0 : -1;
}

static void unload(struct worker *w)
{
    scheduler_close(w->scheduler);
    prompt_maker_close(w->prompts);
    vlmd_engine_close(w->engine);
}

static int refuse(struct worker *w, const struct vlmd_error *error)
{
    struct ipc_message failed = {
        .type = IPC_FAILED,
        .failed = {error->code, ipc_string(error->field), ipc_string(error->text)},
    };
    if (send(w, &failed) < 0) {
        failed.failed.field = ipc_string("");
        failed.failed.text = ipc_string("it failed with an error that is no text");
        send(w, &failed);
    }
    line_flush(w->line);
    return 1;
}

static void serve(struct worker *w)
{
    line_watch(w->line, STALL_MS);
    send_ready(w);
    while (!w->over) {
        receive(w, scheduler_idle(w->scheduler));
        if (!w->over)
            scheduler_turn(w->scheduler);
    }
}

int worker_main(int channel_fd, const struct worker_options *options)
{
    struct vlmd_error err;
    struct worker w = {0};
    int status = 0;
    log_set_role("worker");
    w.line = line_open(channel_fd, &err);
    if (!w.line) {
        log_write(LOG_ERROR, "%s", err.text);
        return 1;
    }
    greet(&w);
    if (load(&w, options, &err) == 0)
        serve(&w);
    else if (!w.over)
        status = refuse(&w, &err);
    unload(&w);
    line_close(w.line);
    return status;
}
