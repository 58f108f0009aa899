/* The workers: one process for each model that is loaded, at the start or when somebody waits for
 * it, brought back when it dies, ended when its memory is wanted elsewhere. Knows nothing of HTTP.
 * Requests are jobs here: each job ends with exactly one done, failed or lost,
 * unless it is let go before. */
#pragma once

#include <uv.h>

#include "front/link.h"
#include "front/metrics.h"

struct workers;
struct worker_job;

/* What may change while the server runs. */
struct workers_limits {
    uint64_t memory_bytes; /* for all models together */
    uint64_t idle_ms;      /* after which a model that nobody uses is unloaded; 0: never */
    bool named_too;        /* also one that was named at the start */
    uint64_t load_ms;      /* for loading a model */
};

struct workers_options {
    const char *program;
    int threads;
    const char *cpus; /* processors that they may use; NULL: all */
    int32_t kv_tokens;
    uint64_t image_cache; /* bytes of images that each model keeps */
    const char *isa, *activations;
    struct metrics *metrics; /* NULL: nobody counts */
    unsigned silence_ms;     /* after which a worker that does not answer is killed; 0: never */
    struct workers_limits limits;
    bool on_demand; /* models that are found on the disk may be asked for */
};

struct worker_model {
    const char *id;
    const char *path;
};

enum worker_state {
    WORKER_UNLOADED,
    WORKER_LOADING,
    WORKER_READY,
    WORKER_RESTARTING, /* it died; a new one starts soon */
    WORKER_UNLOADING,  /* its process is being ended */
    WORKER_FAILED,     /* the model cannot be loaded; tried again after a minute, if it is wanted */
};

/* Memory that it takes, told by its process before it takes it. */
struct worker_needs {
    uint64_t weight_bytes, kv_bytes;
    uint64_t work_bytes;  /* of a step */
    uint64_t image_bytes; /* of one image in the vision tower */
    uint64_t cache_bytes; /* of images that are kept */
};

/* Images that its process keeps; the first three since its start. */
struct worker_image_cache {
    uint64_t hits, misses, evictions;
    uint64_t bytes;
    uint32_t images;
};

/* What the model is; texts are owned by the worker. */
struct worker_info {
    char architecture[64];
    char isa[32];
    bool has_vision;
    int32_t context_length;
    int32_t kv_tokens;
    uint64_t weight_bytes;
    int32_t image_factor; /* patch size x merge size */
    uint64_t min_pixels, max_pixels;
    uint64_t affordable_pixels; /* of one image, by this machine's memory */
};

struct worker_status {
    const char *id;
    const char *path;
    enum worker_state state;
    const char *progress; /* while loading */
    float fraction;
    const struct vlmd_error *failure; /* when failed */
    const struct worker_info *info;   /* when ready */
    pid_t pid;
    uint64_t memory_bytes; /* of the budget, held by its process */
    bool named;
    uint64_t last_use;   /* a larger number than that of a model used before */
    double idle_seconds; /* since somebody used it; 0 while somebody does */
    unsigned jobs;
    unsigned restarts;
    double load_seconds;                   /* the last time, 0 before */
    int64_t kv_tokens_used;                /* by its jobs, as far as it has told */
    struct worker_image_cache image_cache; /* the same */
};

/* The models are those that were named: they are loaded at once. */
struct workers *workers_open(uv_loop_t *loop, const struct workers_options *options,
                             const struct worker_model *models, size_t n_models,
                             struct vlmd_error *err);
/* Kills the processes. The memory is given back when the loop has seen their end. */
void workers_close(struct workers *workers);
void workers_configure(struct workers *workers, const struct workers_limits *limits);
/* Called whenever a worker's state changes. */
void workers_on_change(struct workers *workers, void (*fn)(void *context), void *context);

size_t workers_count(const struct workers *workers);
/* Index of a model by its id or its folder as it was given, or -1. */
int workers_find(const struct workers *workers, const char *name);
/* The same for what a client asks for: a model that is found on the disk is added. */
int workers_discover(struct workers *workers, const char *name);
/* One more model, not loaded yet. Its index, or -1 with *err. */
int workers_add(struct workers *workers, const struct worker_model *model, struct vlmd_error *err);
/* An operator's word: a model that failed or keeps dying is started again at once, and what it did
 * before is forgotten. To wait for it there is workers_wait. */
void workers_retry(struct workers *workers, size_t index);
/* Ends the process of a model. VLMD_BUSY: it is being used; VLMD_INVALID: it is not loaded. */
int workers_unload(struct workers *workers, size_t index, struct vlmd_error *err);
struct worker_status workers_status(const struct workers *workers, size_t index);
const char *worker_state_name(enum worker_state state);

/* Waiting for a model, which is loaded if it is not: embedded in what waits. Called once, with info
 * or with err, possibly before workers_wait returns. From then until workers_stop_waiting, which
 * must follow in any case, the model counts as used and is not unloaded. */
struct worker_wait {
    void *context;
    void (*done)(void *context, const struct worker_info *info, const struct vlmd_error *err);
    struct worker_wait *next;
    bool waiting, holds;
};
void workers_wait(struct workers *workers, size_t index, struct worker_wait *wait);
/* Seconds until a model that cannot be had is tried again; at least 1. */
unsigned workers_retry_after(const struct workers *workers, size_t index);
void workers_stop_waiting(struct workers *workers, size_t index, struct worker_wait *wait);

struct worker_events {
    void *context;
    void (*started)(void *context, int32_t prompt_tokens);
    void (*seen)(void *context, uint64_t cached); /* bit i: image i was found among those kept */
    void (*text)(void *context, const char *text, size_t len);
    void (*done)(void *context, const struct ipc_done *done);
    void (*failed)(void *context, const struct vlmd_error *err);
    /* The worker died. Another try, from the beginning, may be waited for with workers_wait. */
    void (*lost)(void *context, const struct vlmd_error *err);
    void (*estimated)(void *context, const struct ipc_estimated *estimate); /* of ESTIMATE alone */
};
/* Sends a GENERATE, or an ESTIMATE, which ends with `estimated`, `failed` or `lost` (its id is set
 * here; descriptors are taken over in any case). NULL with *err; VLMD_BUSY: the worker has just
 * died, and may be waited for again. */
struct worker_job *workers_generate(struct workers *workers, size_t index,
                                    struct ipc_message *generate,
                                    const struct worker_events *events, struct vlmd_error *err);
/* No more events; the worker is told to stop. */
void workers_let_go(struct worker_job *job);
