/* Repacked weights: they say what the file says, and memory holds them once. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"
#include "base/file.h"

enum {
    ROWS = 4096,
    COLS = 8192,
    BITS = 4,
    GROUP = 64,
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static const size_t packed = (size_t)ROWS * COLS / 8 * BITS;
static const size_t scales = (size_t)ROWS * COLS / GROUP * 2;

/* Packed integers, scales and biases, as a file that is mapped; numbers that are no NaN. */
static struct file_map map_file(void)
{
    struct file_map map;
    struct vlmd_error err;
    char path[] = "/tmp/vlmd-test-repack-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "wb");
    assert_non_null(file);
    for (size_t i = 0; i < packed + 2 * scales; i++)
        assert_true(fputc((int)(i * 2654435761u >> 24 & 0x3f), file) != EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(file_map_open(&map, path, &err), 0);
    unlink(path);
    return map;
}

static struct weight_source source_of(const struct file_map *map)
{
    return (struct weight_source){
        .type = WEIGHT_AFFINE,
        .scale_type = WEIGHT_BF16,
        .rows = ROWS,
        .cols = COLS,
        .bits = BITS,
        .group = GROUP,
        .data = map->data,
        .scales = map->data + packed,
        .biases = map->data + packed + scales,
        .file = map,
    };
}

static size_t resident(const char *name)
{
    char line[128];
    size_t kb = 0, found = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, name, strlen(name)) == 0)
            found = (size_t)sscanf(line + strlen(name), " %zu", &kb);
    if (status)
        fclose(status);
    return found ? kb * 1024 : 0;
}

static struct backend *open_backend(const char *activations)
{
    struct vlmd_error err;
    struct backend *be = backend_cpu_open(&(struct cpu_options){2, NULL, activations}, &err);
    assert_non_null(be);
    return be;
}

static void load(struct backend *be, struct weight *w, const struct weight_source *source)
{
    struct vlmd_error err;
    assert_int_equal(be->ops->weight_load(be, w, source, &err), 0);
    assert_int_equal(be->ops->weights_end(be, &err), 0);
}

static void memory_holds_a_weight_once(void **state)
{
    (void)state;
    struct file_map map = map_file();
    struct weight_source source = source_of(&map);
    struct backend *be = open_backend("int16"), *plain = open_backend("float32");
    struct weight w, in_file;
    size_t before = resident("VmRSS:");
    load(be, &w, &source);
    size_t after = resident("VmRSS:"), bytes = packed + 2 * scales;
    /* Linux, a processor whose kernels want it, and no sanitizer's memory beside */
    if (before > 0 && w.prepared && !sanitized)
        assert_in_range(after - before, bytes, bytes + bytes / 20 + (1 << 20));

    load(plain, &in_file, &source);
    static float want[COLS], got[COLS];
    for (int32_t row = 0; row < ROWS; row += 333) {
        struct tensor a = {want, 1, COLS, COLS}, b = {got, 1, COLS, COLS};
        plain->ops->embed(plain, a, &in_file, &row);
        be->ops->embed(be, b, &w, &row);
        assert_memory_equal(want, got, sizeof want);
    }
    be->ops->weight_free(be, &w);
    plain->ops->weight_free(plain, &in_file);
    be->ops->close(be);
    plain->ops->close(plain);
    file_map_close(&map);
}

static void what_is_looked_up_stays_in_the_file(void **state)
{
    (void)state;
    struct file_map map = map_file();
    struct weight_source source = source_of(&map);
    source.lookup = true;
    struct backend *be = open_backend("int16");
    struct weight w;
    load(be, &w, &source);
    assert_null(w.prepared);
    be->ops->weight_free(be, &w);
    be->ops->close(be);
    file_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_holds_a_weight_once),
        cmocka_unit_test(what_is_looked_up_stays_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
