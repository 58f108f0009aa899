#include "fetch/fetcher.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fetch/local.h"
#include "fetch/lockdown.h"
#include "fetch/transfer.h"
#include "ipc/channel.h"
#include "ipc/shared_memory.h"

#define MAX_FETCHES 256 /* at once; the front sends fewer */
#define POLL_MS     1000

struct fetch {
    uint64_t id;
    struct transfer *transfer;
    struct fetch *next;
};

struct fetcher {
    struct channel *channel;
    CURLM *multi;
    bool network;
    struct transfer_rules rules;
    struct local_folders folders;
    struct fetch *first;
    unsigned running;
};

/* ---- answers */

static int send_error(struct fetcher *f, uint64_t id, bool tell, const struct vlmd_error *why,
                      struct vlmd_error *err)
{
    struct ipc_message m = {.type = IPC_FETCH_ERROR};
    m.fetch_error.id = id;
    m.fetch_error.code = why->code;
    m.fetch_error.tell = tell;
    m.fetch_error.text = ipc_string(why->text);
    return channel_send(f->channel, &m, err);
}

static int send_bytes(struct fetcher *f, uint64_t id, const struct buf *body,
                      struct vlmd_error *err)
{
    struct vlmd_error why;
    int fd = shared_memory_copy(body->data, body->len, &why);
    if (fd < 0)
        return send_error(f, id, false, &why, err);
    struct ipc_message m = {.type = IPC_FETCHED, .fetched = {id, body->len, fd}};
    return channel_send(f->channel, &m, err);
}

/* ---- fetches */

static void forget(struct fetcher *f, struct fetch *fetch)
{
    struct fetch **at = &f->first;
    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    transfer_end(fetch->transfer);
    free(fetch);
    f->running--;
}

/* A URL's own faults may be told to whoever wrote it; what the network says may not. */
static int begin(struct fetcher *f, const struct ipc_fetch *order, struct vlmd_error *err)
{
    struct vlmd_error why;
    if (!f->network || f->running == MAX_FETCHES) {
        err_set(&why, f->network ? VLMD_BUSY : VLMD_UNSUPPORTED, NULL, "%s",
                f->network ? "too many images are being fetched"
                           : "images are not fetched from URLs here");
        return send_error(f, order->id, true, &why, err);
    }
    CURLU *url = url_parse(order->url.data, order->url.len, &f->rules.ports, &why);
    if (!url)
        return send_error(f, order->id, true, &why, err);
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) {
        curl_url_cleanup(url);
        err_no_memory(&why, sizeof *fetch);
        return send_error(f, order->id, false, &why, err);
    }
    fetch->id = order->id;
    fetch->transfer = transfer_begin(f->multi, url, &f->rules, (size_t)order->max_bytes, &why);
    fetch->next = f->first;
    f->first = fetch;
    f->running++;
    if (fetch->transfer)
        return 0;
    forget(f, fetch);
    return send_error(f, order->id, false, &why, err);
}

static int read_file(struct fetcher *f, const struct ipc_fetch *order, struct vlmd_error *err)
{
    struct buf bytes = {0};
    struct vlmd_error why;
    int status;
    if (strlen(order->url.data) != order->url.len) {
        err_set(&why, VLMD_INVALID, NULL, "the path holds a zero byte");
        return send_error(f, order->id, true, &why, err);
    }
    if (local_read(&f->folders, order->url.data, (size_t)order->max_bytes, &bytes, &why) < 0)
        status = send_error(f, order->id, false, &why, err);
    else
        status = send_bytes(f, order->id, &bytes, err);
    buf_free(&bytes);
    return status;
}

static void cancel(struct fetcher *f, uint64_t id)
{
    for (struct fetch *fetch = f->first; fetch; fetch = fetch->next) {
        if (fetch->id == id) {
            forget(f, fetch);
            return;
        }
    }
}

static int finish(struct fetcher *f, CURL *easy, CURLcode result, struct vlmd_error *err)
{
    struct fetch *fetch = f->first;
    struct vlmd_error why;
    while (fetch && fetch->transfer != transfer_of(easy))
        fetch = fetch->next;
    if (!fetch)
        return 0;
    int step = transfer_step(fetch->transfer, result, &why);
    if (step == 0)
        return 0;
    int status = step < 0 ? send_error(f, fetch->id, false, &why, err)
                          : send_bytes(f, fetch->id, transfer_body(fetch->transfer), err);
    forget(f, fetch);
    return status;
}

/* ---- the loop */

static int on_message(struct fetcher *f, const struct ipc_message *m, struct vlmd_error *err)
{
    if (m->type == IPC_FETCH)
        return local_is(m->fetch.url.data) ? read_file(f, &m->fetch, err)
                                           : begin(f, &m->fetch, err);
    if (m->type == IPC_CANCEL)
        cancel(f, m->cancel.id);
    if (m->type == IPC_PING) {
        struct ipc_message pong = {.type = IPC_PONG, .pong = {m->ping.number}};
        return channel_send(f->channel, &pong, err);
    }
    return 0;
}

static int take_orders(struct fetcher *f, struct vlmd_error *err)
{
    int there = channel_receive(f->channel, err);
    for (;;) {
        struct ipc_message *m;
        int got = channel_next(f->channel, &m, err);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        int status = on_message(f, m, err);
        ipc_message_free(m);
        if (status < 0)
            return -1;
    }
    if (there == 0)
        return err_set(err, VLMD_IO, NULL, "the front has gone");
    return there;
}

static int advance(struct fetcher *f, struct vlmd_error *err)
{
    int running, waiting;
    CURLMsg *m;
    if (curl_multi_perform(f->multi, &running) != CURLM_OK)
        return err_set(err, VLMD_INTERNAL, NULL, "curl lost its way");
    while ((m = curl_multi_info_read(f->multi, &waiting)))
        if (m->msg == CURLMSG_DONE && finish(f, m->easy_handle, m->data.result, err) < 0)
            return -1;
    return 0;
}

static int serve(struct fetcher *f, struct vlmd_error *err)
{
    for (;;) {
        struct curl_waitfd channel = {.fd = channel_fd(f->channel), .events = CURL_WAIT_POLLIN};
        if (channel_wants_write(f->channel))
            channel.events |= CURL_WAIT_POLLOUT;
        if (curl_multi_poll(f->multi, &channel, 1, POLL_MS, NULL) != CURLM_OK)
            return err_set(err, VLMD_INTERNAL, NULL, "curl cannot wait");
        if (take_orders(f, err) < 0 || advance(f, err) < 0)
            return -1;
        if (channel_wants_write(f->channel) && channel_flush(f->channel, err) < 0)
            return -1;
    }
}

/* ---- life */

/* Says which setting it is. */
static int wrong(const char *setting, struct vlmd_error *err)
{
    struct vlmd_error why = *err;
    return err_set(err, why.code, setting, "%s: %s", setting, why.text);
}

static int read_options(struct fetcher *f, const struct fetcher_options *o, struct vlmd_error *err)
{
    f->network = *o->ports != '\0';
    f->rules.max_redirects = o->redirects;
    f->rules.total_ms = o->seconds * 1000;
    if (f->network && url_ports_parse(&f->rules.ports, o->ports, err) < 0)
        return wrong("--fetch-ports", err);
    if (address_blocks_parse(&f->rules.blocks, o->blocks, err) < 0)
        return wrong("--fetch-block", err);
    for (int i = 0; i < o->n_folders; i++)
        if (local_add(&f->folders, o->folders[i], err) < 0)
            return wrong("--image-dir", err);
    return 0;
}

int fetcher_check(const struct fetcher_options *options, struct vlmd_error *err)
{
    struct fetcher f = {0};
    int status = read_options(&f, options, err);
    local_close(&f.folders);
    return status;
}

static int open_curl(struct fetcher *f, struct vlmd_error *err)
{
    /* A resolver that asks a dead server for long outlives the fetch that asked. */
    setenv("RES_OPTIONS", "timeout:2 attempts:2", 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, VLMD_INTERNAL, NULL, "curl cannot be used");
    f->multi = curl_multi_init();
    return f->multi ? 0 : err_no_memory(err, 0);
}

static uint8_t lock_in(const struct fetcher *f, bool wanted)
{
    struct vlmd_error err;
    if (!wanted)
        return IPC_SANDBOX_OFF;
    switch (lockdown_enter(&f->folders, &err)) {
    case 1:
        return IPC_SANDBOX_ON;
    case 0:
        log_write(LOG_WARN, "there is no sandbox on this platform yet");
        return IPC_SANDBOX_OFF;
    default:
        log_write(LOG_ERROR, "%s", err.text);
        return IPC_SANDBOX_REFUSED;
    }
}

static int greet(struct fetcher *f, bool sandbox, struct vlmd_error *err)
{
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    struct ipc_message ready = {.type = IPC_FETCHER_READY};
    if (channel_send(f->channel, &hello, err) < 0)
        return -1;
    ready.fetcher_ready.sandbox = lock_in(f, sandbox);
    return channel_send(f->channel, &ready, err);
}

static void close_all(struct fetcher *f)
{
    while (f->first)
        forget(f, f->first);
    if (f->multi)
        curl_multi_cleanup(f->multi);
    local_close(&f->folders);
    channel_close(f->channel);
}

int fetcher_main(int channel_fd, const struct fetcher_options *options)
{
    struct vlmd_error err;
    struct fetcher f = {0};
    bool gone = false; /* the front closed the channel: the ordinary end */
    log_set_role("fetcher");
    f.channel = channel_open(channel_fd, IPC_BY_FETCHER, IPC_BY_FRONT, &err);
    if (f.channel && read_options(&f, options, &err) == 0 && open_curl(&f, &err) == 0) {
        if (greet(&f, options->sandbox, &err) == 0)
            serve(&f, &err);
        gone = err.code == VLMD_IO;
    }
    if (!gone)
        log_write(LOG_ERROR, "%s", err.text);
    close_all(&f);
    return gone ? 0 : 1;
}
