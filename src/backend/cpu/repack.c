/* Weights in the order in which integer layers read them (integer.h). */
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "backend/cpu/backend.h"
#include "backend/cpu/integer.h"
#include "base/checked.h"

enum {
    HUGE_PAGE = 2 << 20
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

/* Integers of `bits` bits, the bits from `shift` on of 32 values, as one row's 32 bits of each
 * line. */
static inline void pack_lines(uint32_t *words, const uint8_t values[32], int32_t shift,
                              int32_t bits)
{
    int32_t pairs = 16 / bits;
    uint32_t mask = (1u << bits) - 1;
    for (int32_t p = 0; p < 16; p++) {
        int32_t at = p % pairs * bits, column = p / 4 * 8 + p % 4;
        uint32_t low = values[column] >> shift & mask, high = values[column + 4] >> shift & mask;
        words[p / pairs] |= low << at | high << (at + 16);
    }
}

/* 32 columns of a row. */
static inline void repack_columns(unsigned char *to, const unsigned char *from, int32_t bits)
{
    uint32_t words[8] = {0};
    int32_t low = integer_low_bits(bits);
    uint8_t values[32];
    for (size_t i = 0; i < 32; i++)
        values[i] = (uint8_t)affine_at(from, bits, i);
    pack_lines(words, values, 0, low);
    if (bits > low)
        pack_lines(words + low, values, low, bits - low);
    for (int32_t i = 0; i < bits; i++)
        memcpy(to + (size_t)i * INTEGER_LINE, &words[i], sizeof words[i]);
}

/* The lines of a group. from: its integers in the block's first row. */
static inline void copy_lines_of(unsigned char *to, const struct weight_source *w,
                                 const unsigned char *from, int32_t n_rows, int32_t bits)
{
    size_t row_bytes = affine_row_bytes(w), n = (size_t)w->group / 32, step = (size_t)bits * 4;
    if (n_rows < INTEGER_BLOCK)
        memset(to, 0, n * (size_t)bits * INTEGER_LINE);
    for (size_t r = 0; r < (size_t)n_rows; r++)
        for (size_t i = 0; i < n; i++)
            repack_columns(to + i * (size_t)bits * INTEGER_LINE + r * 4,
                           from + r * row_bytes + i * step, bits);
}

/* Four bits lie as in the file. */
static void copy_nibbles(unsigned char *to, const struct weight_source *w,
                         const unsigned char *from, int32_t n_rows)
{
    size_t words = (size_t)w->group / 8, row_bytes = affine_row_bytes(w);
    if (n_rows < INTEGER_BLOCK)
        memset(to, 0, words * INTEGER_LINE);
    for (size_t r = 0; r < (size_t)n_rows; r++)
        for (size_t i = 0; i < words; i++)
            memcpy(to + i * INTEGER_LINE + r * 4, from + r * row_bytes + i * 4, 4);
}

static void copy_lines(unsigned char *to, const struct weight_source *w, const unsigned char *from,
                       int32_t n_rows)
{
    switch (w->bits) { /* constants, so that each becomes a few shifts */
    case 2:
        copy_lines_of(to, w, from, n_rows, 2);
        return;
    case 3:
        copy_lines_of(to, w, from, n_rows, 3);
        return;
    case 4:
        copy_nibbles(to, w, from, n_rows);
        return;
    case 5:
        copy_lines_of(to, w, from, n_rows, 5);
        return;
    case 6:
        copy_lines_of(to, w, from, n_rows, 6);
        return;
    default:
        copy_lines_of(to, w, from, n_rows, 8);
        return;
    }
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

void repack_rows(void *blocks, const struct weight_source *w)
{
    int32_t n = integer_blocks(w);
    for (int32_t b = 0; b < n; b++)
        repack_block(w, (unsigned char *)blocks + (size_t)b * integer_block_bytes(w), b);
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

void *repack_room(const struct weight_source *w, struct vlmd_error *err)
{
    size_t bytes;
    if (!checked_mul3((size_t)integer_blocks(w), integer_block_bytes(w), 1, &bytes)) {
        err_set(err, VLMD_TOO_LARGE, "weight", "%d x %d is too large", w->rows, w->cols);
        return NULL;
    }
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : INTEGER_LINE;
    void *room = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!room) {
        err_no_memory(err, bytes);
        return NULL;
    }
    use_huge_pages(room, bytes);
    return room;
}

/* Integer c of 32 columns, of the row whose 32 bits of the first line are at `lines`. */
static uint32_t integer_at(const unsigned char *lines, int32_t bits, int32_t c)
{
    int32_t pair = c / 8 * 4 + c % 4, half = c % 8 / 4, low = integer_low_bits(bits), first = 0;
    uint32_t value = 0;
    for (int32_t n = low; n > 0; first += n, n = first < bits ? bits - low : 0) {
        uint32_t word;
        memcpy(&word, lines + (first + pair * n / 16) * INTEGER_LINE, sizeof word);
        int32_t at = pair % (16 / n) * n + 16 * half;
        value |= (word >> at & ((1u << n) - 1)) << first;
    }
    return value;
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
            const unsigned char *from = lines + c / 32 * w->bits * INTEGER_LINE;
            y[first + c] = scale * (float)integer_at(from, w->bits, c % 32) + bias;
        }
    }
}
