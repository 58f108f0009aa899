#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/run_images.h"
#include "cli/talk.h"
#include "front/models.h"

#define MAX_PROMPT (1u << 20)
#define WORKER     "model's process"

struct run {
    struct run_options options;
    struct model model;
    char *prompt; /* owned when it came from standard input */
    struct child worker;
    struct worker_info info;
    struct run_images images;
    struct buf text;    /* the answer, with --json */
    double first_token; /* seconds, monotonic; 0: none yet */
};

/* ---- the children */

static int start_worker(struct run *r, struct vlmd_error *err)
{
    const struct run_options *o = &r->options;
    char threads[16], kv_tokens[16];
    snprintf(threads, sizeof threads, "%d", o->threads);
    snprintf(kv_tokens, sizeof kv_tokens, "%d", o->kv_tokens);
    const char *const arguments[] = {"vlmd: worker", "role:worker", r->model.path,  threads,
                                     kv_tokens,      o->isa,        o->activations, "0",
                                     o->cpus,        NULL};
    struct child_plan plan = {child_own_program(), arguments, IPC_BY_WORKER};
    return child_start(&plan, &r->worker, err);
}

static void show_progress(const struct ipc_loading *m, double began, bool *shown)
{
    if (clock_seconds() - began < 1 || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s, %.0f %%", m->text.data, 100.0 * (double)m->fraction);
    *shown = true;
}

static void take_info(struct run *r, const struct ipc_ready *m)
{
    r->info = (struct worker_info){
        .has_vision = m->has_vision,
        .context_length = m->context_length,
        .kv_tokens = m->kv_tokens,
        .image_factor = m->patch_size * m->merge_size,
        .min_pixels = m->min_pixels,
        .max_pixels = m->max_pixels,
        .affordable_pixels = m->affordable_pixels,
    };
}

static int wait_for_worker(struct run *r, struct vlmd_error *err)
{
    double began = clock_seconds();
    bool shown = false;
    int status = 1;
    while (status == 1) {
        struct ipc_message *m = talk_hear(&r->worker, WORKER, err);
        if (!m) {
            status = -1;
        } else if (m->type == IPC_NEEDS) {
            struct ipc_message grant = {.type = IPC_GRANT};
            status = talk_tell(&r->worker, &grant, err) < 0 ? -1 : 1;
        } else if (m->type == IPC_LOADING) {
            show_progress(&m->loading, began, &shown);
        } else if (m->type == IPC_FAILED) {
            status = talk_told(err, m->failed.code, &m->failed.text);
        } else if (m->type == IPC_READY) {
            take_info(r, &m->ready);
            status = 0;
        }
        ipc_message_free(m);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    return status;
}

/* ---- images */

static int begin_images(struct run *r, struct vlmd_error *err)
{
    const struct run_options *o = &r->options;
    const struct run_images_options options = {
        .names = o->images,
        .n = o->n_images,
        .fetch_ports = o->fetch_ports,
        .fetcher_program = o->fetcher_program,
        .sandbox = !o->no_sandbox,
    };
    return run_images_begin(&r->images, &options, err);
}

static void show_receipts(const struct run *r)
{
    for (size_t i = 0; i < r->images.n_images; i++) {
        struct buf line = {0};
        receipt_append_line(&r->images.receipts.items[i], &line);
        if (r->images.n_images > 1)
            fprintf(stderr, "image %zu: ", i + 1);
        fprintf(stderr, "%s\n", line.data ? line.data : "");
        buf_free(&line);
    }
}

static int see_images(struct run *r, struct vlmd_error *err)
{
    if (r->options.n_images > 0 && !r->info.has_vision)
        return err_set(err, VLMD_UNSUPPORTED, NULL, "the model %s does not see images",
                       r->model.id);
    if (run_images_see(&r->images, &r->info, err) < 0)
        return -1;
    if (!r->options.json)
        show_receipts(r);
    return 0;
}

/* ---- the conversation */

/* [{"role":"user","content":[image parts, then the prompt]}] */
static char *make_messages(const struct run *r, struct vlmd_error *err)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < r->images.n_images; i++)
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
        .prompt = ipc_string(""),
        .temperature = r->options.temperature,
        .top_p = r->options.top_p,
        .repetition_penalty = 1,
        .seed = r->options.seed,
        .max_tokens = r->options.max_tokens,
        .n_images = (uint32_t)r->images.n_images,
    };
    for (size_t i = 0; i < r->images.n_images; i++) {
        m.generate.images[i] = r->images.images[i];
        r->images.images[i].rgb = -1; /* goes with the message */
    }
    int status = talk_tell(&r->worker, &m, err);
    free(messages);
    return status;
}

static double seconds_to_first_token(const struct run *r, double began)
{
    return (r->first_token > 0 ? r->first_token : clock_seconds()) - began;
}

static void show_figures(const struct run *r, const struct ipc_done *done, double began)
{
    double first = seconds_to_first_token(r, began);
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

/* The whole answer as one line. */
static int print_json(const struct run *r, const struct ipc_done *done, double began,
                      struct vlmd_error *err)
{
    struct buf out = {0};
    buf_append_text(&out, "{\"model\":");
    json_text_append(&out, r->model.id, strlen(r->model.id));
    buf_append_text(&out, ",\"text\":");
    json_text_append(&out, r->text.data ? r->text.data : "", r->text.len);
    buf_appendf(&out,
                ",\"finish_reason\":\"%s\",\"usage\":{\"prompt_tokens\":%d,"
                "\"completion_tokens\":%d,\"total_tokens\":%d}",
                done->reason == IPC_FINISH_LENGTH ? "length" : "stop", done->prompt_tokens,
                done->completion_tokens, done->prompt_tokens + done->completion_tokens);
    buf_appendf(&out,
                ",\"seconds\":{\"first_token\":%.3f,\"vision\":%.3f,\"prefill\":%.3f,"
                "\"decode\":%.3f}",
                seconds_to_first_token(r, began), (double)done->vision_seconds,
                (double)done->prefill_seconds, (double)done->decode_seconds);
    receipts_append_json(&r->images.receipts, &out);
    buf_append_text(&out, "}\n");
    int status = out.failed || r->text.failed ? err_no_memory(err, r->text.len)
                                              : print(out.data, out.len, err);
    buf_free(&out);
    return status;
}

static int take_text(struct run *r, const struct ipc_string *text, struct vlmd_error *err)
{
    if (r->first_token <= 0)
        r->first_token = clock_seconds();
    if (!r->options.json)
        return print(text->data, text->len, err);
    buf_append(&r->text, text->data, text->len);
    return 1;
}

static int end_answer(struct run *r, const struct ipc_done *done, double began,
                      struct vlmd_error *err)
{
    if (r->options.json)
        return print_json(r, done, began, err) < 0 ? -1 : 0;
    if (print("\n", 1, err) < 0)
        return -1;
    show_figures(r, done, began);
    return 0;
}

static int stream_answer(struct run *r, double began, struct vlmd_error *err)
{
    for (;;) {
        struct ipc_message *m = talk_hear(&r->worker, WORKER, err);
        if (!m)
            return -1;
        int status = 1;
        if (m->type == IPC_TEXT)
            status = take_text(r, &m->text.text, err);
        else if (m->type == IPC_DONE)
            status = end_answer(r, &m->done, began, err);
        else if (m->type == IPC_ERROR)
            status = talk_told(err, m->error.code, &m->error.text);
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
    if (begin_images(r, err) < 0 || wait_for_worker(r, err) < 0)
        return -1;
    double began = clock_seconds();
    if (see_images(r, err) < 0 || send_generate(r, err) < 0)
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
    run_images_end(&r->images);
    talk_stop(&r->worker);
    buf_free(&r->text);
    model_free(&r->model);
    free(r->prompt);
    free(r);
    return status < 0 ? 1 : 0;
}
