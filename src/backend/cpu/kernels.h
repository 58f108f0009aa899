/* The table of kernels: what one thread computes, one version per instruction set. Plain C fills
 * every slot and is the oracle of the tests; a faster set overwrites what it has. No kernel
 * allocates, and the result for a row never depends on which other rows are in the batch: a request
 * gets the same answer, bit for bit, whoever else is being served. (Rows of one picture may depend
 * on each other: strassen.h.) */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ops/tensor.h"

enum {
    LINEAR_TOKENS = 96,          /* most rows of x in one linear_job */
    ATTENTION_QUERIES = 128,     /* most queries in one attention_task */
    ATTENTION_PART = 256,        /* tokens of a part */
    ATTENTION_LANES = 16,        /* most queries of a task that is done part by part, */
    ATTENTION_DIM = 256,         /* and its widest head */
    KERNEL_SCRATCH = 496 * 1024, /* floats of scratch that each thread has, 64-byte aligned */
};

/* Some rows and columns of a weight's. */
struct linear_part {
    const unsigned char *data;
    int32_t rows, cols;
};

/* w[0] + sign w[1], zeros beyond the ends of each; sign is 1, -1 or, for w[0] alone, 0. */
struct linear_terms {
    struct linear_part w[2];
    int32_t sign;
    size_t stride; /* bytes from row to row */
};

/* y = x w^T + bias for at most LINEAR_TOKENS rows of x, tiles_tokens of them in tiles. */
struct linear_job {
    struct weight_source w;
    /* The same weights repacked (integer.h), or NULL; then w.data, scales and biases are slow to
     * read. */
    const unsigned char *blocks;
    const float *bias; /* w.rows floats or NULL */
    struct tensor x, y;
    /* What linear_prepare made of each row of x: linear_prepared_floats(w.cols) floats, 64-byte
     * aligned. */
    float *prepared;
    /* What w is in a product of strassen.h, or NULL; then w.data and x.data are not read. */
    const struct linear_terms *terms;
    const float *y_scales; /* what each token's sums are multiplied by, or NULL */
};

/* Room for a row of x in units of 64, and for as many sums of groups as there can be. */
static inline size_t linear_prepared_floats(int32_t cols)
{
    size_t units = ((size_t)cols + 63) / 64;
    return units * 64 + (units * 2 + 15) / 16 * 16;
}

/* Where the tokens of a timeline lie: in blocks, whose numbers are in `blocks`, or (NULL) all in
 * one. Strides are floats from token to token and from block to block. */
struct attention_keys {
    const float *keys, *values;
    const int32_t *blocks;
    int32_t block_tokens;
    size_t block_stride, key_stride, value_stride;
};

/* Some queries over the same keys: out = softmax(q k^T / sqrt(head_dim)) v over the first
 * visible[i] >= 1 tokens; visible does not decrease with i. */
struct attention_task {
    struct attention_keys kv;
    int32_t head_dim;
    int32_t n_queries; /* 1 to ATTENTION_QUERIES */
    const float *q[ATTENTION_QUERIES];
    float *out[ATTENTION_QUERIES];
    int32_t visible[ATTENTION_QUERIES];
};

static inline int32_t attention_parts(int32_t visible)
{
    return (visible + ATTENTION_PART - 1) / ATTENTION_PART;
}

/* Room for what one part makes of a task's queries. */
static inline size_t attention_partial_floats(int32_t n_queries, int32_t head_dim)
{
    return ((size_t)head_dim + 2) * (n_queries > 8 ? 16 : 8);
}

/* Of a layer's work, what a thread does at a time. */
struct linear_share {
    int32_t rows, tokens;
};

struct cpu_kernels {
    const char *name;
    /* Brings row `token` of job->x into the kernel's own order. */
    void (*linear_prepare)(const struct linear_job *job, int32_t token);
    /* Columns [first, first + n) of y, all tokens, from rows [first, first + n) of w. */
    void (*linear_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    /* The same with integer activations (integer.h), for affine weights. */
    void (*integer_prepare)(const struct linear_job *job, int32_t token);
    bool reads_blocks; /* integer_rows wants weights repacked where they can be */
    void (*integer_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    /* The same for many tokens (tiles.h), and for dense weights: of tile number `tile` of x, of at
     * most tile_tokens tokens, run number `run` of TILES_UNITS units. */
    int32_t tile_tokens;
    void (*tiles_prepare)(const struct linear_job *job, int32_t tile, int32_t run);
    void (*tiles_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    /* The same by seven products (strassen.h): tiles are of half of x's tokens, runs of half of its
     * columns, and rows [first, first + n) of the first half of w's bring those of the second.
     * Before all that come the factors of token `token` of each half. */
    void (*strassen_begin)(const struct linear_job *job, int32_t token);
    void (*strassen_prepare)(const struct linear_job *job, int32_t tile, int32_t run);
    void (*strassen_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    /* For dense weights alone, where that is another way (NULL: it is not). One call may have some
     * of a job's tokens, as dense_share says for so many threads; then x, y and prepared begin
     * there. */
    int32_t dense_tile_tokens;
    void (*dense_prepare)(const struct linear_job *job, int32_t tile, int32_t run);
    void (*dense_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    struct linear_share (*dense_share)(const struct linear_job *job, int threads);
    /* As tiles_prepare and tiles_rows for some_tokens at most (0: never), of 4 bits, in tiles of
     * some_tile_tokens. */
    int32_t some_tokens, some_tile_tokens;
    void (*some_prepare)(const struct linear_job *job, int32_t tile, int32_t run);
    void (*some_rows)(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
    void (*embed_row)(float *y, const struct weight_source *table, int32_t row);
    void (*rms_norm)(float *y, const float *x, const float *w, int32_t n, float eps);
    void (*add)(float *x, const float *y, int32_t n);
    void (*silu_mul)(float *gate, const float *up, int32_t n);
    void (*gelu)(float *x, int32_t n);
    /* One row: n_heads heads of head_dim; cos, sin[head_dim / 2]. */
    void (*rope)(float *x, int32_t n_heads, int32_t head_dim, const float *cos, const float *sin);
    void (*attention)(const struct attention_task *task, float *scratch);
    /* The same to the last bit in pieces that threads share out: first n parts of the tokens from
     * part `first` on, each into its own partial (attention_partial_floats), and then all together.
     * NULL when `attention` is all there is. */
    void (*attention_parts)(const struct attention_task *task, int32_t first, int32_t n,
                            float *partials, float *scratch);
    void (*attention_merge)(const struct attention_task *task, float *partials, float *scratch);
};

/* Fills every slot. */
void kernels_c(struct cpu_kernels *k);
/* Each overwrites what it has and returns true; false, changing nothing, when this processor or
 * this build lacks it. */
bool kernels_avx2(struct cpu_kernels *k);
bool kernels_avxvnni(struct cpu_kernels *k); /* and what AVX2 has */
bool kernels_avx512(struct cpu_kernels *k);  /* and what AVX2 has */
bool kernels_amx(struct cpu_kernels *k);     /* and what AVX-512 has */
bool kernels_amxbf16(struct cpu_kernels *k); /* and what AMX has */
bool kernels_neon(struct cpu_kernels *k);
bool kernels_dotprod(struct cpu_kernels *k); /* and what NEON has */
bool kernels_i8mm(struct cpu_kernels *k);    /* and what NEON has */

bool cpuid_has_avx2(void);     /* and FMA and F16C */
bool cpuid_has_avxvnni(void);  /* VNNI for processors without AVX-512 */
bool cpuid_has_avx512(void);   /* F, BW, VL and VNNI */
bool cpuid_has_amx(void);      /* for bytes; asks the system for the registers, for this process */
bool cpuid_has_amx_bf16(void); /* its products of bf16 */
bool cpuid_has_dotprod(void);  /* Armv8.2's dot products of bytes */
bool cpuid_has_i8mm(void);     /* Armv8.6's matrix instructions for bytes */

static inline const float *attention_token(const struct attention_keys *kv, const float *base,
                                           size_t stride, int32_t token)
{
    if (!kv->blocks)
        return base + (size_t)token * stride;
    return base + (size_t)kv->blocks[token / kv->block_tokens] * kv->block_stride +
           (size_t)(token % kv->block_tokens) * stride;
}

static inline const float *attention_key(const struct attention_keys *kv, int32_t token)
{
    return attention_token(kv, kv->keys, kv->key_stride, token);
}

static inline const float *attention_value(const struct attention_keys *kv, int32_t token)
{
    return attention_token(kv, kv->values, kv->value_stride, token);
}

/* ---- numbers as they lie in files: unaligned, little-endian */

static inline float float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float float_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline size_t dense_size(enum weight_type type)
{
    return type == WEIGHT_F32 ? 4 : 2;
}

/* Element i of an array of dense numbers. */
static inline float dense_at(const void *data, enum weight_type type, size_t i)
{
    const unsigned char *at = (const unsigned char *)data + i * dense_size(type);
    if (type == WEIGHT_F32) {
        float f;
        memcpy(&f, at, sizeof f);
        return f;
    }
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return type == WEIGHT_BF16 ? float_from_bits((uint32_t)half << 16) : float_from_f16(half);
}

static inline size_t affine_row_bytes(const struct weight_source *w)
{
    return (size_t)w->cols / 8 * (size_t)w->bits;
}

/* Integer i of a packed row: MLX's words are one little-endian bit stream for every width. The
 * second byte is read only where the integer reaches into it. */
static inline uint32_t affine_at(const unsigned char *row, int32_t bits, size_t i)
{
    size_t bit = i * (size_t)bits;
    uint32_t value = row[bit / 8];
    uint32_t shift = (uint32_t)(bit % 8);
    if (shift + (uint32_t)bits > 8)
        value |= (uint32_t)row[bit / 8 + 1] << 8;
    return value >> shift & ((1u << bits) - 1);
}
