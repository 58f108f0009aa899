/* Weights in the order in which integer layers read them (integer.h), made at load by all threads.
 */
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "backend/cpu/backend.h"
#include "backend/cpu/integer.h"
#include "base/checked.h"

enum {
    REPACK_BLOCKS = 8, /* in a chunk */
    HUGE_PAGE = 2 << 20,
};

struct repack_loop {
    const struct weight_source *w;
    unsigned char *to;
};

/* Values of group g for n_rows rows; those beyond are zeros. */
static void copy_scales(unsigned char *to, const struct weight_source *w, const void *from,
                        int32_t row, int32_t n_rows, int32_t g)
{
    size_t size = dense_size(w->scale_type), groups = (size_t)(w->cols / w->group);
    const unsigned char *at = from;
    at += ((size_t)row * groups + (size_t)g) * size;
    memset(to, 0, integer_scales_bytes(w));
    for (int32_t r = 0; r < n_rows; r++)
        memcpy(to + (size_t)r * size, at + (size_t)r * groups * size, size);
}

/* The lines of a group. from: its integers in the block's first row. */
static void copy_lines(unsigned char *to, const struct weight_source *w, const unsigned char *from,
                       int32_t n_rows)
{
    size_t words = (size_t)w->group / 8, row_bytes = affine_row_bytes(w);
    if (n_rows < INTEGER_BLOCK)
        memset(to, 0, words * INTEGER_LINE);
    for (int32_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < words; i++)
            memcpy(to + i * INTEGER_LINE + (size_t)r * 4, from + (size_t)r * row_bytes + i * 4, 4);
}

static void repack_block(const struct weight_source *w, unsigned char *to, int32_t block)
{
    int32_t row = block * INTEGER_BLOCK, groups = w->cols / w->group;
    int32_t n_rows = w->rows - row < INTEGER_BLOCK ? w->rows - row : INTEGER_BLOCK;
    const unsigned char *from = (const unsigned char *)w->data + (size_t)row * affine_row_bytes(w);
    for (int32_t g = 0; g < groups; g++) {
        copy_scales(to, w, w->scales, row, n_rows, g);
        copy_scales(to + integer_scales_bytes(w), w, w->biases, row, n_rows, g);
        copy_lines(to + 2 * integer_scales_bytes(w), w, from, n_rows);
        to += integer_group_bytes(w);
        from += (size_t)w->group / 8 * (size_t)w->bits;
    }
}

static void repack_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    const struct repack_loop *loop = context;
    int32_t end = (chunk + 1) * REPACK_BLOCKS, blocks = integer_blocks(loop->w);
    for (int32_t b = chunk * REPACK_BLOCKS; b < end && b < blocks; b++)
        repack_block(loop->w, loop->to + (size_t)b * integer_block_bytes(loop->w), b);
}

/* Whole pages of [from, from + bytes) leave this process; the file's cache keeps them. */
static void give_back(const void *from, size_t bytes)
{
#ifdef __linux__
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)from + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)from + bytes) / page * page;
    if (end > start)
        madvise((void *)start, end - start, MADV_DONTNEED);
#else
    (void)from;
    (void)bytes;
#endif
}

static void use_huge_pages(void *memory, size_t bytes)
{
#ifdef __linux__
    if (bytes >= HUGE_PAGE) /* the rest would be bytes that nobody needs */
        madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

void *cpu_repack(struct cpu_backend *cpu, const struct weight_source *w, struct vlmd_error *err)
{
    size_t bytes;
    if (!checked_mul3((size_t)integer_blocks(w), integer_block_bytes(w), 1, &bytes)) {
        err_set(err, VLMD_TOO_LARGE, "weight", "%d x %d is too large", w->rows, w->cols);
        return NULL;
    }
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : INTEGER_LINE;
    unsigned char *to = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!to) {
        err_no_memory(err, bytes);
        return NULL;
    }
    use_huge_pages(to, bytes);
    struct repack_loop loop = {w, to};
    int32_t blocks = integer_blocks(w);
    threads_run(cpu->threads, repack_chunk, &loop, (blocks + REPACK_BLOCKS - 1) / REPACK_BLOCKS);
    if (w->mapped) {
        size_t scales = (size_t)w->rows * (size_t)(w->cols / w->group) * dense_size(w->scale_type);
        give_back(w->data, (size_t)w->rows * affine_row_bytes(w));
        give_back(w->scales, scales);
        give_back(w->biases, scales);
    }
    return to;
}

void repacked_row(float *y, const struct weight_source *w, const void *blocks, int32_t row)
{
    const unsigned char *at = blocks;
    at += (size_t)(row / INTEGER_BLOCK) * integer_block_bytes(w);
    size_t r = (size_t)(row % INTEGER_BLOCK), scales_bytes = integer_scales_bytes(w);
    for (int32_t first = 0; first < w->cols; first += w->group, at += integer_group_bytes(w)) {
        float scale = dense_at(at, w->scale_type, r);
        float bias = dense_at(at + scales_bytes, w->scale_type, r);
        const unsigned char *lines = at + 2 * scales_bytes + 4 * r;
        for (int32_t c = 0; c < w->group; c++) {
            uint32_t q = affine_at(lines + c / 8 * INTEGER_LINE, 4, (size_t)(c % 8));
            y[first + c] = scale * (float)q + bias;
        }
    }
}
