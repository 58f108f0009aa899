#include "worker/line.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_MS 200 /* how often the thread looks at what arrived while the loop computes */

struct letter {
    struct ipc_message *message;
    struct letter *next;
};

struct line {
    struct channel *channel;
    /* Held by whoever attends to the channel: the loop also while it waits for messages, so that
     * the thread has nothing to do then. */
    pthread_mutex_t lock;
    struct letter *first, **last; /* arrived and read, but not yet taken by the loop */
    pthread_t thread;
    bool has_thread;
    atomic_uint stall_ms; /* 0: the loop is not watched yet */
    atomic_bool closing;
    atomic_llong attended; /* monotonic ms of the loop's last look */
};

static bool stalled(const struct line *line)
{
    unsigned stall_ms = atomic_load(&line->stall_ms);
    return stall_ms > 0 && clock_ms() - atomic_load(&line->attended) > (long long)stall_ms;
}

/* ---- with the lock */

static int keep(struct line *line, struct ipc_message *message, struct vlmd_error *err)
{
    struct letter *letter = malloc(sizeof *letter);
    if (!letter) {
        ipc_message_free(message);
        return err_no_memory(err, sizeof *letter);
    }
    *letter = (struct letter){.message = message};
    *line->last = letter;
    line->last = &letter->next;
    return 0;
}

static struct ipc_message *take(struct line *line)
{
    struct letter *letter = line->first;
    if (!letter)
        return NULL;
    struct ipc_message *message = letter->message;
    line->first = letter->next;
    if (!line->first)
        line->last = &line->first;
    free(letter);
    return message;
}

static int answer_ping(struct line *line, const struct ipc_ping *ping, struct vlmd_error *err)
{
    struct ipc_message pong = {.type = IPC_PONG, .pong = {.number = ping->number}};
    return stalled(line) ? 0 : channel_send(line->channel, &pong, err);
}

/* Reads what has arrived (waiting for something first when timeout_ms is -1), answers each PING and
 * keeps the rest. -1: the front is gone or broke the rules. */
static int attend(struct line *line, int timeout_ms, struct vlmd_error *err)
{
    struct ipc_message *message;
    int alive = channel_wait(line->channel, timeout_ms, err);
    int got;
    while (alive >= 0 && (got = channel_next(line->channel, &message, err)) != 0) {
        if (got < 0)
            return -1;
        int status;
        if (message->type == IPC_PING) {
            status = answer_ping(line, &message->ping, err);
            ipc_message_free(message);
        } else {
            status = keep(line, message, err);
        }
        if (status < 0)
            return -1;
    }
    if (alive == 0)
        return err_set(err, VLMD_IO, NULL, "the front has gone");
    return alive < 0 ? -1 : 0;
}

/* ---- the thread */

/* Nobody wants what the loop computes, or can be told of it. */
static void leave(const struct vlmd_error *why)
{
    if (why->code == VLMD_IO)
        _exit(0);
    log_write(LOG_ERROR, "the front's channel failed: %s", why->text);
    _exit(1);
}

static void *attend_meanwhile(void *context)
{
    struct line *line = context;
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct vlmd_error err;
    while (!atomic_load(&line->closing)) {
        nanosleep(&pause, NULL);
        if (pthread_mutex_trylock(&line->lock) != 0)
            continue; /* the loop attends */
        int status = atomic_load(&line->closing) ? 0 : attend(line, 0, &err);
        pthread_mutex_unlock(&line->lock);
        if (status < 0)
            leave(&err);
    }
    return NULL;
}

/* ---- life */

struct line *line_open(int channel_fd, struct vlmd_error *err)
{
    struct channel *channel = channel_open(channel_fd, IPC_BY_WORKER, IPC_BY_FRONT, err);
    struct line *line = channel ? calloc(1, sizeof *line) : NULL;
    if (!line) {
        if (channel)
            err_no_memory(err, sizeof *line);
        channel_close(channel);
        return NULL;
    }
    line->channel = channel;
    line->last = &line->first;
    pthread_mutex_init(&line->lock, NULL);
    line->has_thread = pthread_create(&line->thread, NULL, attend_meanwhile, line) == 0;
    if (!line->has_thread) {
        err_set(err, VLMD_NO_MEMORY, NULL, "cannot start the thread that answers the front");
        line_close(line);
        return NULL;
    }
    return line;
}

void line_watch(struct line *line, unsigned stall_ms)
{
    atomic_store(&line->attended, clock_ms());
    atomic_store(&line->stall_ms, stall_ms);
}

void line_close(struct line *line)
{
    if (!line)
        return;
    atomic_store(&line->closing, true);
    if (line->has_thread)
        pthread_join(line->thread, NULL);
    for (struct ipc_message *message; (message = take(line));)
        ipc_message_free(message);
    channel_close(line->channel);
    pthread_mutex_destroy(&line->lock);
    free(line);
}

/* ---- messages */

int line_send(struct line *line, struct ipc_message *message, struct vlmd_error *err)
{
    pthread_mutex_lock(&line->lock);
    int status = channel_send(line->channel, message, err);
    pthread_mutex_unlock(&line->lock);
    return status;
}

int line_next(struct line *line, bool wait, struct ipc_message **message, struct vlmd_error *err)
{
    int status = 0;
    pthread_mutex_lock(&line->lock);
    atomic_store(&line->attended, clock_ms());
    *message = take(line);
    if (!*message) {
        status = attend(line, wait ? -1 : 0, err);
        *message = take(line);
    }
    atomic_store(&line->attended, clock_ms());
    pthread_mutex_unlock(&line->lock);
    return *message ? 1 : status;
}

void line_flush(struct line *line)
{
    struct vlmd_error err;
    pthread_mutex_lock(&line->lock);
    while (channel_wants_write(line->channel) && attend(line, -1, &err) == 0)
        ;
    pthread_mutex_unlock(&line->lock);
}
