/* Copying weights out of their files, all of a model in one loop over chunks, in the files' order.
 *
 * What is in memory is copied out of the mapping. The rest is read past the system's cache into
 * room of each thread: pages of the cache would have to be found, cleared and mapped, which costs
 * more than a fast disk takes to fill them. The price is that the next start finds nothing in
 * memory, which is why a slow disk is read through the cache: there reading is what a load waits
 * for. A thread that reads does not compute, so there are more threads than processors
 * (docs/SPEED.md, Load). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "backend/cpu/backend.h"
#include "backend/cpu/integer.h"
#include "base/clock.h"
#include "base/file.h"

enum {
    CHUNK_BYTES = 2 << 20, /* of packed integers */
    ROOM_LIMIT = 16 << 20, /* a thread's */
    ROOMS_LEAST = 4 << 20, /* alloc has huge pages for it, which a disk fills twice as fast */
    MORE_READERS = 2,      /* threads beside those that compute */
    MOST_READERS = 16,     /* each has room */
    /* MB/s. A disk is slow if none of its first LOOKS looks reaches FAST_LOOK, which SATA's 550
     * does not, or if all of them together do not reach FAST_LOOKS: what is throttled is fast in
     * bursts. */
    FAST_LOOK = 600,
    FAST_LOOKS = 400,
    LOOK_BYTES = 16 << 20,
    LOOKS = 8,
};

struct load_job {
    struct weight_source w;
    void *to;
    int32_t rows;        /* of a chunk */
    int32_t first_chunk; /* among those of all jobs */
};

/* How fast the disk is, by the time in which anyone reads, ns. */
struct meter {
    int readers, looks;
    bool fast; /* one look was */
    uint64_t since;
    uint64_t bytes, busy; /* of this look */
    uint64_t all_bytes, all_busy;
};

struct load_loop {
    const struct load_job *jobs;
    size_t n_jobs;
    unsigned char *rooms; /* room_bytes for each thread */
    size_t room_bytes;
    atomic_bool through_cache, failed;
    pthread_mutex_t mutex; /* for what follows */
    struct meter meter;
    struct vlmd_error err;
};

/* Whether the system reads ahead in the mappings: beside reading past the cache it must not, or
 * what is copied out of a mapping here and there fills the cache with all that follows. */
static void read_ahead(const struct load_loop *loop, bool wanted)
{
#ifdef __linux__
    const struct file_map *last = NULL;
    for (size_t i = 0; i < loop->n_jobs; i++) { /* jobs of a file follow one another */
        const struct file_map *file = loop->jobs[i].w.file;
        if (file && file != last && file->direct >= 0)
            madvise((void *)(uintptr_t)file->data, file->size, wanted ? MADV_NORMAL : MADV_RANDOM);
        last = file;
    }
#else
    (void)loop;
    (void)wanted;
#endif
}

static void use_cache(struct load_loop *loop)
{
    if (!atomic_exchange(&loop->through_cache, true))
        read_ahead(loop, true);
}

static void begin_reading(struct load_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    if (loop->meter.readers++ == 0)
        loop->meter.since = clock_ns();
    pthread_mutex_unlock(&loop->mutex);
}

/* Whether the disk has turned out to be slow. */
static bool look(struct meter *m)
{
    m->fast = m->fast || m->bytes * 1000 >= m->busy * FAST_LOOK;
    m->all_bytes += m->bytes;
    m->all_busy += m->busy;
    m->bytes = m->busy = 0;
    return ++m->looks == LOOKS && !(m->fast && m->all_bytes * 1000 >= m->all_busy * FAST_LOOKS);
}

static void end_reading(struct load_loop *loop, size_t bytes)
{
    pthread_mutex_lock(&loop->mutex);
    struct meter *m = &loop->meter;
    uint64_t now = clock_ns();
    m->busy += now - m->since;
    m->since = now;
    m->readers--;
    m->bytes += bytes;
    bool slow = m->looks < LOOKS && m->bytes >= LOOK_BYTES && look(m);
    pthread_mutex_unlock(&loop->mutex);
    if (slow)
        use_cache(loop);
}

static void fail(struct load_loop *loop, const struct vlmd_error *err)
{
    pthread_mutex_lock(&loop->mutex);
    if (!atomic_exchange(&loop->failed, true))
        loop->err = *err;
    pthread_mutex_unlock(&loop->mutex);
}

/* ---- parts of weights: some of their rows */

static size_t row_bytes(const struct weight_source *w)
{
    return w->type == WEIGHT_AFFINE ? affine_row_bytes(w) : (size_t)w->cols * dense_size(w->type);
}

/* Of scales, and as many of biases. */
static size_t scale_row_bytes(const struct weight_source *w)
{
    return w->type == WEIGHT_AFFINE ? (size_t)(w->cols / w->group) * dense_size(w->scale_type) : 0;
}

static const void *plus(const void *at, size_t bytes)
{
    return at ? (const char *)at + bytes : NULL;
}

static struct weight_source part_of(const struct load_job *job, int32_t row)
{
    struct weight_source part = job->w;
    part.rows = part.rows - row < job->rows ? part.rows - row : job->rows;
    part.data = plus(part.data, (size_t)row * row_bytes(&part));
    part.scales = plus(part.scales, (size_t)row * scale_row_bytes(&part));
    part.biases = plus(part.biases, (size_t)row * scale_row_bytes(&part));
    return part;
}

static size_t part_room(const struct weight_source *part)
{
    size_t rows = (size_t)part->rows;
    return FILE_ROOM(rows * row_bytes(part)) + 2 * FILE_ROOM(rows * scale_row_bytes(part));
}

/* Moves *from, `bytes` bytes, to room that it takes from *room, where it lies in the file. */
static int read_array(const struct file_map *file, const void **from, size_t bytes,
                      unsigned char **room, struct vlmd_error *err)
{
    if (bytes == 0 || !file_map_holds(file, *from, bytes))
        return 0;
    unsigned char *to = *room;
    *room += FILE_ROOM(bytes);
    return file_map_read(file, *from, bytes, to, from, err);
}

/* Reads a part past the cache, when that is the way to read it. */
static int read_part(struct load_loop *loop, struct weight_source *part, int32_t thread,
                     struct vlmd_error *err)
{
    const struct file_map *file = part->file;
    size_t bytes = (size_t)part->rows * row_bytes(part);
    size_t scales = (size_t)part->rows * scale_row_bytes(part);
    if (!file || bytes == 0 || atomic_load(&loop->through_cache) ||
        part_room(part) > loop->room_bytes || file_map_in_memory(file, part->data, bytes))
        return 0;
    const void *mapped = part->data;
    unsigned char *room = loop->rooms + (size_t)thread * loop->room_bytes;
    begin_reading(loop);
    int status = read_array(file, &part->data, bytes, &room, err);
    if (status == 0)
        status = read_array(file, &part->scales, scales, &room, err);
    if (status == 0)
        status = read_array(file, &part->biases, scales, &room, err);
    end_reading(loop, bytes + 2 * scales);
    if (part->data == mapped && status == 0) /* the file's system refused */
        use_cache(loop);
    return status;
}

/* Whole pages of [from, from + bytes) leave this process; the file's cache keeps them. */
static void give_back_array(const struct file_map *file, const void *from, size_t bytes)
{
#ifdef __linux__
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)from + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)from + bytes) / page * page;
    if (end > start && file_map_holds(file, from, bytes))
        madvise((void *)start, end - start, MADV_DONTNEED);
#else
    (void)file;
    (void)from;
    (void)bytes;
#endif
}

static void give_back(const struct weight_source *w)
{
    if (!w->file)
        return;
    size_t scales = (size_t)w->rows * scale_row_bytes(w);
    give_back_array(w->file, w->data, (size_t)w->rows * row_bytes(w));
    give_back_array(w->file, w->scales, scales);
    give_back_array(w->file, w->biases, scales);
}

/* ---- the loop */

static void copy_part(const struct load_job *job, int32_t row, const struct weight_source *part)
{
    if (part->type == WEIGHT_AFFINE) {
        size_t block = (size_t)(row / INTEGER_BLOCK);
        repack_rows((char *)job->to + block * integer_block_bytes(part), part);
        return;
    }
    float *values = job->to;
    for (int32_t i = 0; i < part->cols; i++)
        values[i] = dense_at(part->data, part->type, (size_t)i);
}

static const struct load_job *job_of(const struct load_loop *loop, int32_t chunk)
{
    size_t low = 0, high = loop->n_jobs;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (loop->jobs[middle].first_chunk <= chunk)
            low = middle;
        else
            high = middle;
    }
    return &loop->jobs[low];
}

static void load_chunk(void *context, int32_t chunk, int32_t thread)
{
    struct load_loop *loop = context;
    struct vlmd_error err;
    if (atomic_load(&loop->failed))
        return;
    const struct load_job *job = job_of(loop, chunk);
    int32_t row = (chunk - job->first_chunk) * job->rows;
    const struct weight_source mapped = part_of(job, row);
    struct weight_source part = mapped;
    if (read_part(loop, &part, thread, &err) != 0) {
        fail(loop, &err);
        return;
    }
    copy_part(job, row, &part);
    give_back(&mapped);
}

static int by_place(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct load_job *)a)->w.data;
    uintptr_t y = (uintptr_t)((const struct load_job *)b)->w.data;
    return x < y ? -1 : x > y;
}

/* Sorts and numbers; the number of chunks. */
static int32_t arrange(struct load_job *jobs, size_t n)
{
    int32_t chunks = 0;
    qsort(jobs, n, sizeof *jobs, by_place);
    for (size_t i = 0; i < n; i++) {
        jobs[i].first_chunk = chunks;
        chunks += (jobs[i].w.rows + jobs[i].rows - 1) / jobs[i].rows;
    }
    return chunks;
}

/* The room that a thread needs; 0 when all is in memory, as far as the first page of each weight
 * tells, or when it would be too much. */
static size_t room_needed(const struct load_job *jobs, size_t n)
{
    size_t needed = 0;
    bool wanted = false;
    for (size_t i = 0; i < n; i++) {
        const struct weight_source part = part_of(&jobs[i], 0);
        size_t room = part_room(&part);
        if (!part.file || part.file->direct < 0)
            continue;
        if (room > ROOM_LIMIT)
            return 0;
        wanted = wanted || !file_map_in_memory(part.file, part.data, 1);
        needed = room > needed ? room : needed;
    }
    return wanted ? needed : 0;
}

/* False without memory. */
static bool run_reading(struct load_loop *loop, struct cpu_backend *cpu, int32_t chunks)
{
    int n = threads_count(cpu->threads) + MORE_READERS;
    struct threads *readers = threads_open(n < MOST_READERS ? n : MOST_READERS, NULL);
    if (!readers)
        return false;
    size_t bytes = (size_t)threads_count(readers) * loop->room_bytes;
    loop->rooms = cpu->ops.alloc(&cpu->base, bytes < ROOMS_LEAST ? ROOMS_LEAST : bytes);
    if (loop->rooms) {
        read_ahead(loop, false);
        threads_run(readers, load_chunk, loop, chunks);
        read_ahead(loop, true);
    }
    bool run = loop->rooms != NULL;
    cpu->ops.free(&cpu->base, loop->rooms);
    threads_close(readers);
    return run;
}

static void run(struct load_loop *loop, struct cpu_backend *cpu, int32_t chunks)
{
    loop->room_bytes = room_needed(loop->jobs, loop->n_jobs);
    if (loop->room_bytes > 0 && run_reading(loop, cpu, chunks))
        return;
    atomic_store(&loop->through_cache, true);
    threads_run(cpu->threads, load_chunk, loop, chunks);
}

int cpu_weights_end(struct backend *be, struct vlmd_error *err)
{
    struct cpu_backend *cpu = cpu_backend_of(be);
    if (cpu->n_jobs == 0)
        return 0;
    struct load_loop loop = {.jobs = cpu->jobs, .n_jobs = cpu->n_jobs};
    pthread_mutex_init(&loop.mutex, NULL);
    run(&loop, cpu, arrange(cpu->jobs, cpu->n_jobs));
    for (size_t i = 0; i < cpu->n_jobs; i++)
        give_back(&cpu->jobs[i].w); /* pages that two chunks shared */
    pthread_mutex_destroy(&loop.mutex);
    free(cpu->jobs);
    cpu->jobs = NULL;
    cpu->n_jobs = cpu->jobs_room = 0;
    if (!atomic_load(&loop.failed))
        return 0;
    if (err)
        *err = loop.err;
    return -1;
}

/* Rows of about CHUNK_BYTES, whole blocks. */
static int32_t chunk_rows(const struct weight_source *w)
{
    size_t blocks = CHUNK_BYTES / (row_bytes(w) * INTEGER_BLOCK);
    return (int32_t)(blocks < 1 ? 1 : blocks) * INTEGER_BLOCK;
}

int load_later(struct cpu_backend *cpu, const struct weight_source *w, void *to,
               struct vlmd_error *err)
{
    if (cpu->n_jobs == cpu->jobs_room) {
        size_t room = cpu->jobs_room ? 2 * cpu->jobs_room : 64;
        struct load_job *jobs = realloc(cpu->jobs, room * sizeof *jobs);
        if (!jobs)
            return err_no_memory(err, room * sizeof *jobs);
        cpu->jobs = jobs;
        cpu->jobs_room = room;
    }
    cpu->jobs[cpu->n_jobs++] = (struct load_job){.w = *w, .to = to, .rows = chunk_rows(w)};
    return 0;
}

void load_forget(struct cpu_backend *cpu, const void *to)
{
    for (size_t i = 0; i < cpu->n_jobs; i++)
        if (cpu->jobs[i].to == to) {
            cpu->jobs[i] = cpu->jobs[--cpu->n_jobs];
            return;
        }
}
