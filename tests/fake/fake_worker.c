/* A worker without a model: speaks the IPC and does what the text of the last message says, so that
 * tests of the front are fast and can make every fault happen. Started by
 * `vlmd serve --worker-program build/fake_worker --model FOLDER`.
 *
 * The folder's name chooses how loading goes: "fail" reports FAILED, "die" exits, "slow" takes two
 * seconds and tells its progress, "endless" does so for ever, "stop" stops itself, "wedge" hangs,
 * "blind" has no vision, "needs-N" and "needs-N-NAME" ask for N MB; any other name is ready at
 * once.
 *
 * Orders, the first word of the last text in the messages:
 *   say TEXT        answers TEXT, word by word
 *   count N MS      N pieces "0 ", "1 ", ... one each MS milliseconds
 *   flood N         N pieces of 4000 bytes as fast as they go
 *   hang            never answers, until it is cancelled; an estimate of it is never answered
 *   die             ends the process with signal 9, answering nothing
 *   die-after N     sends N pieces, then dies
 *   die-once TEXT   dies the first time that this model hears it, then answers TEXT
 *   crash           ends with signal 11
 *   stop            stops itself with signal 19
 *   wedge           does nothing any more, answers no PING
 *   oom             takes memory until there is none, and ends as C programs do then
 *   babble          sends text for a request that does not exist
 *   garbage         sends bytes that are no message
 *   lie             sends a message that a worker may not send
 *   error NAME      reports an error: invalid, too_large, internal
 *   stats           answers "running=R cancelled=C"
 *   images          answers with size and first pixel of each image
 *   sampling        answers with the sampling numbers as they arrived
 *   echo            answers with the messages as they arrived
 * A prompt that is text is an order itself; one of token ids is answered with their number.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "ipc/channel.h"
#include "ipc/shared_memory.h"

#define MAX_JOBS 256

struct job {
    uint64_t id;
    int left; /* pieces; -1: hangs */
    int sent;
    int piece_ms;
    int piece_len; /* 0: the number */
    bool dies;
    double next;
};

static struct channel *channel;
static const char *model; /* its folder */
static struct job jobs[MAX_JOBS];
static int n_jobs;
static int n_cancelled;
static bool granted; /* the memory that it asked for */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_message(struct ipc_message *m)
{
    struct vlmd_error err;
    if (channel_send(channel, m, &err) < 0)
        exit(0);
}

static void send_text(uint64_t id, const char *text, int tokens)
{
    struct ipc_message m = {.type = IPC_TEXT};
    m.text.id = id;
    m.text.text = ipc_string(text);
    m.text.tokens = tokens;
    send_message(&m);
}

static void send_done(uint64_t id, int tokens, uint8_t reason)
{
    struct ipc_message m = {.type = IPC_DONE};
    m.done.id = id;
    m.done.reason = reason;
    m.done.prompt_tokens = 7;
    m.done.completion_tokens = tokens;
    send_message(&m);
}

static void answer(uint64_t id, const char *text)
{
    int tokens = 0;
    while (*text) {
        char word[256];
        size_t len = 0;
        while (len < sizeof word - 1 && text[len] && text[len] != ' ')
            len++;
        len += len < sizeof word - 1 && text[len] == ' ';
        memcpy(word, text, len);
        word[len] = '\0';
        if (!((unsigned char)text[len] >= 0x80 && (unsigned char)text[len] < 0xC0)) {
            send_text(id, word, ++tokens);
            text += len;
            continue;
        }
        while (len > 0 && (unsigned char)word[len - 1] >= 0x80)
            len--;
        word[len] = '\0';
        send_text(id, word, ++tokens);
        text += len;
    }
    send_done(id, tokens, IPC_FINISH_STOP);
}

static void send_error(uint64_t id, const char *name)
{
    struct ipc_message m = {.type = IPC_ERROR};
    m.error.id = id;
    m.error.code = strcmp(name, "invalid") == 0     ? VLMD_INVALID
                   : strcmp(name, "too_large") == 0 ? VLMD_TOO_LARGE
                                                    : VLMD_INTERNAL;
    m.error.field = ipc_string("messages");
    m.error.text = ipc_string("an error made by order");
    send_message(&m);
}

static void describe_images(struct ipc_generate *g)
{
    char text[4096] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < g->n_images; i++) {
        struct ipc_image *image = &g->images[i];
        struct shared_map map;
        size_t size = (size_t)image->width * (size_t)image->height * 3;
        if (shared_memory_map_read(image->rgb, size, &map, NULL) < 0)
            exit(3);
        used += (size_t)snprintf(text + used, sizeof text - used, "%dx%d/%dx%d:%02x%02x%02x ",
                                 image->width, image->height, image->orig_width, image->orig_height,
                                 map.data[0], map.data[1], map.data[2]);
        shared_memory_unmap(&map);
    }
    answer(g->id, text);
}

static void describe_sampling(const struct ipc_generate *g)
{
    char text[512];
    snprintf(text, sizeof text,
             "temperature=%g top_p=%g top_k=%d min_p=%g repetition=%g presence=%g frequency=%g "
             "seed=%lld max_tokens=%d stops=%u",
             (double)g->temperature, (double)g->top_p, g->top_k, (double)g->min_p,
             (double)g->repetition_penalty, (double)g->presence_penalty,
             (double)g->frequency_penalty, (long long)g->seed, g->max_tokens, g->n_stops);
    answer(g->id, text);
}

/* A prompt's text, or "ids" and how many there are, in new memory. */
static char *prompt_text(const struct ipc_generate *g)
{
    json_t *prompt = json_parse_any_text(g->prompt.data, g->prompt.len, "prompt", NULL);
    char ids[32];
    snprintf(ids, sizeof ids, "say ids %zu", json_array_size(prompt));
    char *copy = strdup(json_is_string(prompt) ? json_string_value(prompt) : ids);
    json_decref(prompt);
    if (!copy)
        exit(3);
    return copy;
}

/* The last text of the last message, in new memory. */
static char *last_text(const struct ipc_generate *g)
{
    if (g->prompt.len > 0)
        return prompt_text(g);
    json_t *messages = json_parse_any_text(g->messages.data, g->messages.len, "messages", NULL);
    json_t *content =
        json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content");
    const char *text = json_string_value(content);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const char *part = json_string_value(json_object_get(json_array_get(content, i), "text"));
        text = part ? part : text;
    }
    char *copy = strdup(text ? text : "");
    json_decref(messages);
    if (!copy)
        exit(3);
    return copy;
}

static void add_job(const struct ipc_generate *g, struct job job)
{
    if (n_jobs == MAX_JOBS)
        exit(3);
    job.id = g->id;
    job.next = now();
    if (g->max_tokens > 0 && job.left > g->max_tokens)
        job.left = g->max_tokens;
    jobs[n_jobs++] = job;
}

static void wedge(void)
{
    for (;;)
        pause();
}

static void run_out_of_memory(void)
{
    const struct rlimit limit = {.rlim_cur = 96u << 20, .rlim_max = 96u << 20};
    setrlimit(RLIMIT_AS, &limit);
    for (;;) {
        char *memory = malloc(1u << 20);
        if (!memory)
            abort();
        memset(memory, 1, 1u << 20);
    }
}

/* The first to hear it leaves a file behind, and dies. */
static void die_once(const struct ipc_generate *g, const char *text)
{
    char *mark = file_join(model, "died");
    if (mark && access(mark, F_OK) < 0) {
        fclose(fopen(mark, "w"));
        raise(SIGKILL);
    }
    free(mark);
    answer(g->id, text);
}

static void on_generate(struct ipc_generate *g)
{
    char *order = last_text(g);
    char word[32] = "", rest[32] = "";
    int a = 0, b = 0;
    sscanf(order, "%31s %31s", word, rest);
    sscanf(order, "%*s %d %d", &a, &b);
    struct ipc_message started = {.type = IPC_STARTED};
    started.started.id = g->id;
    started.started.prompt_tokens = 7;
    send_message(&started);
    if (g->echo)
        send_text(g->id, order, 0);
    if (strcmp(word, "count") == 0) {
        add_job(g, (struct job){.left = a, .piece_ms = b});
    } else if (strcmp(word, "flood") == 0) {
        add_job(g, (struct job){.left = a, .piece_len = 4000});
    } else if (strcmp(word, "hang") == 0) {
        add_job(g, (struct job){.left = -1});
    } else if (strcmp(word, "die") == 0) {
        raise(SIGKILL);
    } else if (strcmp(word, "crash") == 0) {
        raise(SIGSEGV);
    } else if (strcmp(word, "stop") == 0) {
        raise(SIGSTOP);
    } else if (strcmp(word, "wedge") == 0) {
        wedge();
    } else if (strcmp(word, "oom") == 0) {
        run_out_of_memory();
    } else if (strcmp(word, "babble") == 0) {
        send_text(g->id + 1000, "psst", 1);
    } else if (strcmp(word, "die-once") == 0) {
        die_once(g, order + strlen("die-once "));
    } else if (strcmp(word, "die-after") == 0) {
        add_job(g, (struct job){.left = a, .piece_ms = 5, .dies = true});
    } else if (strcmp(word, "garbage") == 0) {
        if (write(channel_fd(channel), "GET / HTTP/1.1\r\n\r\n", 18) < 0)
            exit(3);
    } else if (strcmp(word, "lie") == 0) {
        char ping[16] = {8, [4] = IPC_PING, [7] = IPC_VERSION};
        if (write(channel_fd(channel), ping, sizeof ping) < 0)
            exit(3);
    } else if (strcmp(word, "error") == 0) {
        send_error(g->id, rest);
    } else if (strcmp(word, "stats") == 0) {
        char text[64];
        snprintf(text, sizeof text, "running=%d cancelled=%d", n_jobs, n_cancelled);
        answer(g->id, text);
    } else if (strcmp(word, "images") == 0) {
        describe_images(g);
    } else if (strcmp(word, "sampling") == 0) {
        describe_sampling(g);
    } else if (strcmp(word, "echo") == 0) {
        answer(g->id, g->messages.data);
    } else {
        answer(g->id, strncmp(order, "say ", 4) == 0 ? order + 4 : order);
    }
    free(order);
}

/* One token a byte of the messages, and those of the images. */
static void on_estimate(const struct ipc_estimate *e)
{
    struct ipc_message m = {.type = IPC_ESTIMATED};
    if (strstr(e->messages.data, "\"hang\""))
        return;
    m.estimated.id = e->id;
    m.estimated.prompt_tokens = (int32_t)e->messages.len;
    for (uint32_t i = 0; i < e->n_widths; i++)
        m.estimated.prompt_tokens += e->widths[i] / 28 * (e->heights[i] / 28);
    m.estimated.room = 4096;
    send_message(&m);
}

static void on_cancel(uint64_t id)
{
    for (int i = 0; i < n_jobs; i++) {
        if (jobs[i].id != id)
            continue;
        n_cancelled++;
        send_done(id, jobs[i].sent, IPC_FINISH_CANCELLED);
        jobs[i] = jobs[--n_jobs];
        return;
    }
}

static void send_piece(struct job *job)
{
    char text[4096];
    if (job->piece_len) {
        memset(text, 'x', (size_t)job->piece_len);
        text[job->piece_len] = '\0';
    } else {
        snprintf(text, sizeof text, "%d ", job->sent);
    }
    job->sent++;
    job->left--;
    job->next += job->piece_ms / 1000.0;
    send_text(job->id, text, job->sent);
}

static void advance(void)
{
    for (int i = 0; i < n_jobs; i++) {
        struct job *job = &jobs[i];
        if (job->left == 0) {
            if (job->dies)
                raise(SIGKILL);
            send_done(job->id, job->sent, IPC_FINISH_STOP);
            *job = jobs[--n_jobs];
            i--;
        } else if (job->left > 0 && job->next <= now() && channel_backlog(channel) < 1 << 20) {
            send_piece(job);
        }
    }
}

/* Handles the next message, if one comes in time. */
static void attend(int timeout_ms)
{
    struct ipc_message *m;
    struct vlmd_error err;
    int got = channel_next_wait(channel, timeout_ms, &m, &err);
    if (got < 0)
        exit(0);
    if (got == 0)
        return;
    struct ipc_message pong = {.type = IPC_PONG};
    if (m->type == IPC_GENERATE)
        on_generate(&m->generate);
    else if (m->type == IPC_ESTIMATE)
        on_estimate(&m->estimate);
    else if (m->type == IPC_CANCEL)
        on_cancel(m->cancel.id);
    else if (m->type == IPC_GRANT)
        granted = true;
    else if (m->type == IPC_PING && (pong.pong.number = m->ping.number))
        send_message(&pong);
    ipc_message_free(m);
}

static void load(void)
{
    const char *name = strrchr(model, '/') ? strrchr(model, '/') + 1 : model;
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    send_message(&hello);
    if (strcmp(name, "die") == 0)
        exit(7);
    if (strcmp(name, "fail") == 0) {
        struct ipc_message failed = {.type = IPC_FAILED};
        failed.failed.code = VLMD_FORMAT;
        failed.failed.field = ipc_string("config.json");
        failed.failed.text = ipc_string("this model fails by order");
        send_message(&failed);
        exit(1);
    }
    struct ipc_message needs = {.type = IPC_NEEDS, .needs = {.kv_bytes = 1000000}};
    if (strncmp(name, "needs-", 6) == 0)
        needs.needs.weight_bytes = (uint64_t)atoi(name + 6) * 1000000 - 1000000;
    send_message(&needs);
    while (!granted)
        attend(-1);
    if (strcmp(name, "stop") == 0)
        raise(SIGSTOP);
    if (strcmp(name, "wedge") == 0)
        wedge();
    bool endless = strcmp(name, "endless") == 0;
    for (int i = 0; endless || (strcmp(name, "slow") == 0 && i < 20); i++) {
        struct ipc_message loading = {.type = IPC_LOADING};
        loading.loading.text = ipc_string("reading nothing");
        loading.loading.fraction = (float)(i % 20) / 20;
        send_message(&loading);
        attend(100);
    }
    bool sees = strcmp(name, "blind") != 0;
    struct ipc_message ready = {.type = IPC_READY};
    ready.ready.architecture = ipc_string("fake");
    ready.ready.isa = ipc_string("none");
    ready.ready.has_vision = sees;
    ready.ready.context_length = 4096;
    ready.ready.kv_tokens = 4096;
    ready.ready.patch_size = sees ? 14 : 0;
    ready.ready.merge_size = sees ? 2 : 0;
    ready.ready.min_pixels = sees ? 3136 : 0;
    ready.ready.max_pixels = sees ? 1003520 : 0;
    send_message(&ready);
}

int main(int argc, char **argv)
{
    struct vlmd_error err;
    if (argc < 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    channel = channel_open(3, IPC_BY_WORKER, IPC_BY_FRONT, &err);
    if (!channel)
        return 1;
    model = argv[2];
    load();
    for (;;) {
        attend(n_jobs > 0 ? 1 : -1);
        advance();
    }
}
