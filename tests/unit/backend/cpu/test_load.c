/* Weights copied out of their files by weights_end: what was read past the system's cache is what
 * the mapping says, and what cannot be read is an error. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/cpu/backend.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/integer.h"
#include "base/file.h"

/* pread, counted, with a fault when a test wants one. */
static atomic_int reads;
static atomic_int broken_read; /* this one fails, counted from 1; 0: none */
static bool refused, slow;

ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
    if (atomic_fetch_add(&reads, 1) + 1 == broken_read || refused) {
        errno = refused ? EINVAL : EIO;
        return -1;
    }
    if (slow)
        nanosleep(&(struct timespec){0, 40000000}, NULL);
    return (ssize_t)syscall(SYS_pread64, fd, to, bytes, at);
}

static const struct shape {
    enum weight_type type;
    int32_t rows, cols, bits, group;
} shapes[] = {
    {WEIGHT_AFFINE, 2100, 4096, 4, 64}, /* more than two chunks */
    {WEIGHT_BF16, 1, 777, 0, 0},        {WEIGHT_AFFINE, 49, 256, 8, 32},
    {WEIGHT_AFFINE, 16, 128, 3, 128},   {WEIGHT_F32, 1, 1, 0, 0},
    {WEIGHT_AFFINE, 700, 8192, 6, 64},  {WEIGHT_F16, 1, 65536, 0, 0},
};

enum {
    N_WEIGHTS = sizeof shapes / sizeof *shapes,
    SEPARATE = 2 /* the weight whose scales and biases lie in another file */
};

/* Two files, and what they hold also in memory. */
struct files {
    char paths[2][32];
    struct file_map maps[2];
    unsigned char *bytes[2];
    size_t sizes[2];
    struct weight_source in_file[N_WEIGHTS], in_memory[N_WEIGHTS];
};

static size_t data_bytes(const struct shape *s)
{
    size_t n = (size_t)s->rows * (size_t)s->cols;
    return s->type == WEIGHT_AFFINE ? n / 8 * (size_t)s->bits : n * dense_size(s->type);
}

static size_t scales_bytes(const struct shape *s)
{
    return s->type == WEIGHT_AFFINE ? (size_t)(s->rows * (s->cols / s->group)) * 2 : 0;
}

/* Every array begins at an odd place. */
static size_t place(size_t *end, size_t bytes)
{
    size_t at = *end | 1;
    *end = at + bytes;
    return at;
}

static void place_weight(struct files *f, int i, bool write)
{
    const struct shape *s = &shapes[i];
    int of_scales = i == SEPARATE;
    size_t data = place(&f->sizes[0], data_bytes(s));
    size_t scales = place(&f->sizes[of_scales], scales_bytes(s));
    size_t biases = place(&f->sizes[of_scales], scales_bytes(s));
    if (!write)
        return;
    struct weight_source w = {.type = s->type,
                              .scale_type = WEIGHT_BF16,
                              .rows = s->rows,
                              .cols = s->cols,
                              .bits = s->bits,
                              .group = s->group};
    w.data = f->bytes[0] + data;
    w.scales = f->bytes[of_scales] + scales;
    w.biases = f->bytes[of_scales] + biases;
    f->in_memory[i] = w;
    w.data = f->maps[0].data + data;
    w.scales = f->maps[of_scales].data + scales;
    w.biases = f->maps[of_scales].data + biases;
    w.file = &f->maps[0];
    f->in_file[i] = w;
}

static void write_file(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(fsync(fileno(file)), 0);
    assert_int_equal(fclose(file), 0);
}

static void forget_pages(const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

static void open_files(struct files *f)
{
    struct vlmd_error err;
    *f = (struct files){0};
    for (int i = 0; i < N_WEIGHTS; i++)
        place_weight(f, i, false);
    for (int i = 0; i < 2; i++) {
        strcpy(f->paths[i], "/tmp/vlmd-test-load-XXXXXX");
        close(mkstemp(f->paths[i]));
        f->bytes[i] = malloc(f->sizes[i]);
        assert_non_null(f->bytes[i]);
        for (size_t k = 0; k < f->sizes[i]; k++) /* no NaN as scales */
            f->bytes[i][k] = (unsigned char)(k * 2654435761u >> 21 & 0x3f);
        write_file(f->paths[i], f->bytes[i], f->sizes[i]);
        forget_pages(f->paths[i]);
        assert_int_equal(file_map_open(&f->maps[i], f->paths[i], &err), 0);
        f->sizes[i] = 0;
    }
    for (int i = 0; i < N_WEIGHTS; i++)
        place_weight(f, i, true);
    reads = broken_read = 0;
    refused = slow = false;
}

static void close_files(struct files *f)
{
    for (int i = 0; i < 2; i++) {
        file_map_close(&f->maps[i]);
        unlink(f->paths[i]);
        free(f->bytes[i]);
    }
}

static struct backend *open_backend(void)
{
    struct vlmd_error err;
    struct backend *be = backend_cpu_open(&(struct cpu_options){2, NULL, "int16"}, &err);
    assert_non_null(be);
    return be;
}

static void begin(struct backend *be, struct weight *ws, const struct weight_source *sources)
{
    struct vlmd_error err;
    for (int i = N_WEIGHTS - 1; i >= 0; i--) /* not in the file's order */
        assert_int_equal(be->ops->weight_load(be, &ws[i], &sources[i], &err), 0);
}

static void free_all(struct backend *be, struct weight *ws)
{
    for (int i = 0; i < N_WEIGHTS; i++)
        be->ops->weight_free(be, &ws[i]);
}

/* What a weight becomes, from one piece of memory. */
static void says(const struct weight *w, const struct weight_source *source)
{
    if (source->type != WEIGHT_AFFINE) {
        const float *values = w->prepared;
        for (int32_t i = 0; i < source->cols; i++)
            assert_true(values[i] == dense_at(source->data, source->type, (size_t)i));
    } else if (w->prepared) {
        size_t bytes = (size_t)integer_blocks(source) * integer_block_bytes(source);
        void *want = repack_room(source, NULL);
        assert_non_null(want);
        repack_rows(want, source);
        assert_memory_equal(w->prepared, want, bytes);
        free(want);
    }
}

static void loads_all(struct files *f)
{
    const struct weight_source *sources[] = {f->in_file, f->in_memory};
    for (int k = 0; k < 2; k++) {
        struct vlmd_error err;
        struct weight ws[N_WEIGHTS];
        struct backend *be = open_backend();
        begin(be, ws, sources[k]);
        assert_int_equal(be->ops->weights_end(be, &err), 0);
        for (int i = 0; i < N_WEIGHTS; i++)
            says(&ws[i], &f->in_memory[i]);
        free_all(be, ws);
        be->ops->close(be);
    }
}

/* Where the system keeps files in memory, or this processor repacks nothing, faults cannot be. */
static bool reads_past_the_cache(const struct files *f)
{
    struct cpu_options options = {1, NULL, "int16"};
    struct backend *be = backend_cpu_open(&options, NULL);
    bool repacks = strncmp(be->ops->name, "cpu/c", 5) != 0;
    be->ops->close(be);
    bool does = repacks && f->maps[0].direct >= 0 &&
                !file_map_in_memory(&f->maps[0], f->maps[0].data, f->maps[0].size);
    if (!does)
        print_message("SKIPPED: nothing is read past the cache here\n");
    return does;
}

static void files_say_the_same_past_the_cache(void **state)
{
    (void)state;
    struct files f;
    open_files(&f);
    bool past = reads_past_the_cache(&f);
    loads_all(&f);
    if (past)
        assert_true(reads >= N_WEIGHTS);
    reads = 0;
    for (size_t i = 0; i < f.sizes[0]; i++) /* now all is in memory */
        assert_int_equal(f.maps[0].data[i], f.bytes[0][i]);
    loads_all(&f);
    assert_int_equal(reads, 0);
    close_files(&f);
}

static void a_refused_read_is_not_tried_for_ever(void **state)
{
    (void)state;
    struct files f;
    open_files(&f);
    bool past = reads_past_the_cache(&f);
    refused = true;
    loads_all(&f);
    assert_in_range(reads, past ? 1 : 0, 3 * 4); /* arrays of a part, threads */
    close_files(&f);
}

static void a_broken_read_is_an_error(void **state)
{
    (void)state;
    struct files f;
    open_files(&f);
    bool past = reads_past_the_cache(&f);
    struct backend *be = open_backend();
    for (int n = 1; past && n <= 12; n += 3) {
        struct weight ws[N_WEIGHTS];
        struct vlmd_error err = {0};
        forget_pages(f.paths[0]);
        reads = 0;
        broken_read = n;
        begin(be, ws, f.in_file);
        assert_int_equal(be->ops->weights_end(be, &err), -1);
        assert_int_equal(err.code, VLMD_IO);
        assert_string_equal(err.field, f.paths[0]);
        free_all(be, ws);
    }
    broken_read = 0;
    be->ops->close(be);
    loads_all(&f);
    close_files(&f);
}

static void weights_freed_before_the_end_are_left_alone(void **state)
{
    (void)state;
    struct files f;
    open_files(&f);
    struct vlmd_error err;
    struct weight ws[N_WEIGHTS], one;
    struct backend *be = open_backend();
    begin(be, ws, f.in_file);
    assert_int_equal(be->ops->weight_load(be, &one, &f.in_memory[1], &err), 0);
    free_all(be, ws);
    assert_int_equal(be->ops->weights_end(be, &err), 0);
    says(&one, &f.in_memory[1]);
    be->ops->weight_free(be, &one);
    be->ops->close(be);
    close_files(&f);
}

static void a_slow_disk_is_read_through_the_cache(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct file_map map;
    char path[] = "/tmp/vlmd-test-load-XXXXXX";
    const struct shape shape = {WEIGHT_AFFINE, 40000, 8192, 4, 64}; /* 160 MB, a hole of a file */
    const size_t packed = data_bytes(&shape), scales = scales_bytes(&shape);
    int fd = mkstemp(path);
    assert_int_equal(ftruncate(fd, (off_t)(packed + 2 * scales)), 0);
    close(fd);
    assert_int_equal(file_map_open(&map, path, &err), 0);
    struct weight_source source = {.type = WEIGHT_AFFINE,
                                   .scale_type = WEIGHT_BF16,
                                   .rows = shape.rows,
                                   .cols = shape.cols,
                                   .bits = 4,
                                   .group = 64,
                                   .data = map.data,
                                   .scales = map.data + packed,
                                   .biases = map.data + packed + scales,
                                   .file = &map};
    struct weight w;
    struct backend *be = open_backend();
    bool past = be->ops->weight_load(be, &w, &source, &err) == 0 && w.prepared && map.direct >= 0 &&
                !file_map_in_memory(&map, map.data, packed);
    slow = true;
    reads = 0;
    assert_int_equal(be->ops->weights_end(be, &err), 0);
    slow = false;
    if (past) /* 128 MB as parts of 2 MB, those that other threads had begun, three arrays of each
               */
        assert_in_range(reads, 3, (64 + 4) * 3);
    be->ops->weight_free(be, &w);
    be->ops->close(be);
    file_map_close(&map);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_say_the_same_past_the_cache),
        cmocka_unit_test(a_refused_read_is_not_tried_for_ever),
        cmocka_unit_test(a_broken_read_is_an_error),
        cmocka_unit_test(weights_freed_before_the_end_are_left_alone),
        cmocka_unit_test(a_slow_disk_is_read_through_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
