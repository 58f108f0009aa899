/* The fetcher: one process that gets images from URLs and files that users name, many at once. It
 * is started when the first image is wanted. A fetch whose fetcher dies is tried again, twice at
 * most; a fetcher that is late with an answer is killed. */
#pragma once

#include <uv.h>

#include "front/link.h"

struct fetchers;
struct fetch_job;

struct fetchers_options {
    const char *program;
    const char *ports;  /* "80,443"; "": nothing is fetched over the network */
    const char *blocks; /* networks that are blocked in addition, or "" */
    unsigned redirects;
    unsigned seconds;           /* for one image */
    const char *const *folders; /* whose files may be named */
    size_t n_folders;
    bool sandbox; /* false: tell it not to narrow what it can do */
};

struct fetch_order {
    const char *url; /* copied */
    size_t max_bytes;
    const char *request_id; /* for the log; copied */
};

/* Called once: with shared memory of `len` bytes, whose size and contents are fixed and which is
 * the callee's, or with fd -1 and err, which may be told to the client. */
typedef void (*fetched_fn)(void *context, int fd, size_t len, const struct vlmd_error *err);

/* Texts are copied. NULL with *err. */
struct fetchers *fetchers_open(uv_loop_t *loop, const struct fetchers_options *options,
                               struct vlmd_error *err);
void fetchers_close(struct fetchers *fetchers); /* NULL is fine */
/* `done` is called from the loop, never from within. NULL with *err. */
struct fetch_job *fetchers_fetch(struct fetchers *fetchers, const struct fetch_order *order,
                                 fetched_fn done, void *context, struct vlmd_error *err);
/* No call any more, and no more work on it. */
void fetchers_let_go(struct fetch_job *job);

struct fetchers_status {
    bool ready, sandboxed;
    unsigned restarts;
    size_t fetching, queued;
    uint64_t fetched, failed; /* since the start */
};
struct fetchers_status fetchers_status(const struct fetchers *fetchers);
pid_t fetchers_pid(const struct fetchers *fetchers); /* 0 while there is none */
