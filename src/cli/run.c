#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/image_limits.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "front/child.h"
#include "front/models.h"
#include "ipc/shared_memory.h"

#define MAX_PROMPT (1u << 20)

struct run {
    struct run_options options;
    struct model model;
    char *prompt; /* owned when it came from standard input */
    struct child worker, decoder;
    struct ipc_ready ready; /* its texts are not kept */
    struct ipc_image images[IPC_MAX_IMAGES];
    size_t n_images;
    double first_token; /* seconds, monotonic; 0: none yet */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the children */

static int start_worker(struct run *r, struct vlmd_error *err)
{
    const struct run_options *o = &r->options;
    char threads[16], kv_tokens[16];
    snprintf(threads, sizeof threads, "%d", o->threads);
    snprintf(kv_tokens, sizeof kv_tokens, "%d", o->kv_tokens);
    const char *const arguments[] = {"vlmd: worker", "role:worker", r->model.path,
                                     threads,        kv_tokens,     o->isa,
                                     o->activations, "0",           NULL};
    struct child_plan plan = {child_own_program(), arguments, IPC_BY_WORKER};
    return child_start(&plan, &r->worker, err);
}

static int start_decoder(struct run *r, struct vlmd_error *err)
{
    const char *const arguments[] = {"vlmd: decoder", "role:decoder",
                                     r->options.no_sandbox ? "no-sandbox" : "sandbox", NULL};
    struct child_plan plan = {child_own_program(), arguments, IPC_BY_DECODER};
    return child_start(&plan, &r->decoder, err);
}

static void stop(struct child *child)
{
    channel_close(child->channel);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    *child = (struct child){0};
}

/* Sends. That the child is gone is for hear to say, after its last words. */
static int tell(struct child *child, struct ipc_message *message, struct vlmd_error *err)
{
    return channel_send(child->channel, message, err) < 0 && err->code != VLMD_IO ? -1 : 0;
}

/* Next message; a child that is gone is described by its end. */
static struct ipc_message *hear(struct child *child, const char *who, struct vlmd_error *err)
{
    struct ipc_message *m = NULL;
    int status;
    char how[64];
    if (channel_next_wait(child->channel, -1, &m, err) == 1)
        return m;
    if (err->code == VLMD_IO && waitpid(child->pid, &status, 0) == child->pid) {
        child->pid = 0;
        child_describe_exit(status, how, sizeof how);
        err_set(err, VLMD_INTERNAL, NULL, "the %s ended: %s", who, how);
    }
    return NULL;
}

static int told(struct vlmd_error *err, ipc_CODE code, const struct ipc_string *text)
{
    return err_set(err, code == VLMD_OK ? VLMD_INTERNAL : code, NULL, "%s", text->data);
}

static void show_progress(const struct ipc_loading *m, double began, bool *shown)
{
    if (now() - began < 1 || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s, %.0f %%", m->text.data, 100.0 * (double)m->fraction);
    *shown = true;
}

static int wait_for_worker(struct run *r, struct vlmd_error *err)
{
    double began = now();
    bool shown = false;
    int status = 1;
    while (status == 1) {
        struct ipc_message *m = hear(&r->worker, "model's process", err);
        if (!m) {
            status = -1;
        } else if (m->type == IPC_HELLO) {
            struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
            status = tell(&r->worker, &welcome, err) < 0 ? -1 : 1;
        } else if (m->type == IPC_NEEDS) {
            struct ipc_message grant = {.type = IPC_GRANT};
            status = tell(&r->worker, &grant, err) < 0 ? -1 : 1;
        } else if (m->type == IPC_LOADING) {
            show_progress(&m->loading, began, &shown);
        } else if (m->type == IPC_FAILED) {
            status = told(err, m->failed.code, &m->failed.text);
        } else if (m->type == IPC_READY) {
            r->ready = m->ready;
            status = 0;
        }
        ipc_message_free(m);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    return status;
}

static int wait_for_decoder(struct run *r, struct vlmd_error *err)
{
    for (;;) {
        struct ipc_message *m = hear(&r->decoder, "decoder", err);
        if (!m)
            return -1;
        bool ready = m->type == IPC_DECODER_READY;
        bool refused = ready && m->decoder_ready.sandbox == IPC_SANDBOX_REFUSED;
        struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
        if (m->type == IPC_HELLO && tell(&r->decoder, &welcome, err) < 0)
            refused = true;
        ipc_message_free(m);
        if (refused)
            return err_set(err, VLMD_INTERNAL, "--no-sandbox",
                           "this system refuses the decoder's sandbox (--no-sandbox decodes images "
                           "without one)");
        if (ready)
            return 0;
    }
}

/* ---- images */

static int share_file(const char *path, size_t *size, struct vlmd_error *err)
{
    char *bytes = file_read(path, IMAGE_MAX_BYTES, size, err);
    if (!bytes)
        return -1;
    int fd = shared_memory_copy(bytes, *size, err);
    free(bytes);
    return fd;
}

static int send_image(struct run *r, const char *path, struct vlmd_error *err)
{
    size_t size;
    int fd = share_file(path, &size, err);
    if (fd < 0)
        return -1;
    struct ipc_message m = {.type = IPC_DECODE};
    m.decode = (struct ipc_decode){
        .factor = r->ready.patch_size * r->ready.merge_size,
        .min_pixels = r->ready.min_pixels,
        .max_pixels = r->ready.max_pixels,
        .limit_side = IMAGE_MAX_SIDE,
        .limit_pixels = IMAGE_MAX_PIXELS,
        .n_bytes = size,
        .encoded = fd,
    };
    return tell(&r->decoder, &m, err);
}

static int decode_image(struct run *r, const char *path, struct vlmd_error *err)
{
    if (send_image(r, path, err) < 0)
        return -1;
    struct ipc_message *m = hear(&r->decoder, "decoder", err);
    if (!m)
        return -1;
    int status = -1;
    if (m->type == IPC_DECODED) {
        r->images[r->n_images++] = m->decoded.image;
        m->decoded.image.rgb = -1;
        status = 0;
    } else if (m->type == IPC_DECODE_ERROR) {
        err_set(err, m->decode_error.code, NULL, "%s: %s", path, m->decode_error.text.data);
    } else {
        err_set(err, VLMD_INTERNAL, NULL, "the decoder does not answer");
    }
    ipc_message_free(m);
    return status;
}

static int decode_images(struct run *r, struct vlmd_error *err)
{
    if (r->options.n_images == 0)
        return 0;
    if (!r->ready.has_vision)
        return err_set(err, VLMD_UNSUPPORTED, NULL, "the model %s does not see images",
                       r->model.id);
    if (wait_for_decoder(r, err) < 0)
        return -1;
    for (size_t i = 0; i < r->options.n_images; i++)
        if (decode_image(r, r->options.images[i], err) < 0)
            return -1;
    return 0;
}

/* ---- the conversation */

/* [{"role":"user","content":[image parts, then the prompt]}] */
static char *make_messages(const struct run *r, struct vlmd_error *err)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < r->n_images; i++)
        json_array_append_new(parts, json_pack("{s:s}", "type", "image"));
    json_array_append_new(parts, json_pack("{s:s, s:s}", "type", "text", "text", r->prompt));
    json_t *messages = json_pack("[{s:s, s:o}]", "role", "user", "content", parts);
    char *text = messages ? json_dumps(messages, JSON_COMPACT) : NULL;
    json_decref(messages);
    if (!text)
        err_no_memory(err, strlen(r->prompt));
    return text;
}

static int send_generate(struct run *r, struct vlmd_error *err)
{
    char *messages = make_messages(r, err);
    if (!messages)
        return -1;
    struct ipc_message m = {.type = IPC_GENERATE};
    m.generate = (struct ipc_generate){
        .id = 1,
        .messages = ipc_string(messages),
        .tools = ipc_string(""),
        .temperature = r->options.temperature,
        .top_p = r->options.top_p,
        .repetition_penalty = 1,
        .seed = r->options.seed,
        .max_tokens = r->options.max_tokens,
        .n_images = (uint32_t)r->n_images,
    };
    memcpy(m.generate.images, r->images, r->n_images * sizeof *r->images);
    r->n_images = 0; /* their descriptors go with the message */
    int status = tell(&r->worker, &m, err);
    free(messages);
    return status;
}

static void show_figures(const struct run *r, const struct ipc_done *done, double began)
{
    double first = r->first_token > 0 ? r->first_token - began : now() - began;
    fprintf(stderr, "first token after %.2f s", first);
    if (done->completion_tokens > 1 && done->decode_seconds > 0)
        fprintf(stderr, ", %.1f tokens/s",
                (double)(done->completion_tokens - 1) / (double)done->decode_seconds);
    fprintf(stderr, " (%d tokens in, %d out)\n", done->prompt_tokens, done->completion_tokens);
}

static int print(const char *text, size_t len, struct vlmd_error *err)
{
    if (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0)
        return 1;
    return err_errno(err, NULL, "cannot write the answer");
}

static int stream_answer(struct run *r, double began, struct vlmd_error *err)
{
    for (;;) {
        struct ipc_message *m = hear(&r->worker, "model's process", err);
        if (!m)
            return -1;
        int status = 1;
        if (m->type == IPC_TEXT) {
            if (r->first_token <= 0)
                r->first_token = now();
            status = print(m->text.text.data, m->text.text.len, err);
        } else if (m->type == IPC_DONE) {
            status = print("\n", 1, err) < 0 ? -1 : 0;
            show_figures(r, &m->done, began);
        } else if (m->type == IPC_ERROR) {
            status = told(err, m->error.code, &m->error.text);
        }
        ipc_message_free(m);
        if (status != 1)
            return status;
    }
}

/* Standard input as the prompt: everything, without the line break at its end. */
static char *read_prompt(struct vlmd_error *err)
{
    struct buf text = {0};
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0 && text.len <= MAX_PROMPT)
        buf_append(&text, piece, n);
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.data[--text.len] = '\0';
    if (text.failed || text.len > MAX_PROMPT || text.len == 0) {
        err_set(err, VLMD_INVALID, "-", "standard input holds no prompt or too long a one");
        buf_free(&text);
        return NULL;
    }
    return text.data;
}

static int prepare(struct run *r, struct vlmd_error *err)
{
    if (models_resolve(r->options.model, &r->model, err) < 0)
        return -1;
    r->prompt = strcmp(r->options.prompt, "-") == 0 ? read_prompt(err) : strdup(r->options.prompt);
    if (!r->prompt)
        return -1;
    if (!utf8_valid(r->prompt, strlen(r->prompt)))
        return err_set(err, VLMD_INVALID, "PROMPT", "the prompt is not UTF-8");
    return 0;
}

static int run(struct run *r, struct vlmd_error *err)
{
    if (prepare(r, err) < 0 || start_worker(r, err) < 0)
        return -1;
    if (r->options.n_images > 0 && start_decoder(r, err) < 0)
        return -1;
    if (wait_for_worker(r, err) < 0)
        return -1;
    double began = now();
    if (decode_images(r, err) < 0 || send_generate(r, err) < 0)
        return -1;
    return stream_answer(r, began, err);
}

int command_run(int argc, char **argv)
{
    struct run *r = calloc(1, sizeof *r);
    struct vlmd_error err = {0};
    if (!r)
        return 1;
    int status = run_options_parse(&r->options, argc, argv, &err);
    if (status != 0) {
        free(r);
        return status < 0 ? command_misused("run", err.text) : 0;
    }
    signal(SIGPIPE, SIG_IGN);
    log_set_role("run");
    log_set_level(LOG_WARN);
    status = run(r, &err);
    if (status < 0)
        fprintf(stderr, "vlmd run: %s\n", err.text);
    for (size_t i = 0; i < r->n_images; i++)
        close(r->images[i].rgb);
    stop(&r->worker);
    stop(&r->decoder);
    model_free(&r->model);
    free(r->prompt);
    free(r);
    return status < 0 ? 1 : 0;
}
