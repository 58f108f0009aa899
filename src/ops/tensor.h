/* Shapes of what ops work on: activations (tensors), parameters (weights) and the paged kv cache.
 * Memory behind them belongs to a backend; code above ops never reads it directly except through
 * backend upload and download. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_map;

/* Activations: rows x cols float32, row-major. `stride` (elements from row to row) lets a tensor be
 * a view of some columns of a wider one, e.g. q inside a fused qkv. */
struct tensor {
    float *data;
    int32_t rows, cols;
    int32_t stride;
};

/* Columns [first, first + cols) of t, no copy. */
static inline struct tensor tensor_columns(struct tensor t, int32_t first, int32_t cols)
{
    return (struct tensor){t.data + first, t.rows, cols, t.stride};
}

/* Rows [first, first + rows) of t, no copy. */
static inline struct tensor tensor_rows(struct tensor t, int32_t first, int32_t rows)
{
    return (struct tensor){t.data + (size_t)first * (size_t)t.stride, rows, t.cols, t.stride};
}

/* The same memory read as another shape; only for tensors without gaps (stride == cols). */
static inline struct tensor tensor_reshape(struct tensor t, int32_t rows, int32_t cols)
{
    return (struct tensor){t.data, rows, cols, cols};
}

enum weight_type {
    WEIGHT_F32,
    WEIGHT_F16,
    WEIGHT_BF16,
    WEIGHT_AFFINE, /* MLX affine: w = scale * q + bias for each group of `group` columns */
};

/* A parameter as it lies in the checkpoint's mapped files: rows x cols, row-major (HF's
 * [out_features, in_features]); a vector is one row. WEIGHT_AFFINE packs `bits`-bit unsigned
 * integers along the columns into little-endian 32-bit words as mlx.core.quantize does (bits 2, 4,
 * 8: 32/bits values a word; bits 3, 5, 6: a little-endian bit stream, so that 32 values fill `bits`
 * words); scales and biases are rows x (cols / group) of `scale_type`. Alignment of data is what
 * safetensors gives: 1 byte is all that may be assumed. */
struct weight_source {
    enum weight_type type;
    enum weight_type scale_type;
    int32_t rows, cols;
    int32_t bits, group;
    const void *data;
    const void *scales, *biases;
    /* The mapped file that holds data, read-only, whose pages may be given back by who has copied
     * them, as those of scales and biases, which may lie in another; NULL: memory of the caller. */
    const struct file_map *file;
    bool lookup; /* only embed reads it */
    /* The model multiplies it with whole pictures only, never with a row or a batch of strangers'
     * rows: a backend may choose arithmetic that pays with many rows, and in which they depend on
     * each other by rounding. */
    bool many_rows;
};

/* A parameter that a backend has taken over (ops->weight_load). */
struct weight {
    struct weight_source source;
    void *prepared; /* the backend's own form; NULL when it reads the mapping in place */
};

/* The paged kv cache of one layer: blocks of `block_tokens` tokens. Keys and values each lie as
 * [block][kv_head][token in block][head_dim]. */
struct kv_layer {
    float *keys, *values;
};

struct kv_shape {
    int32_t block_tokens;
    int32_t n_blocks;
    int32_t n_kv_heads;
    int32_t head_dim;
};

/* A ragged batch over the kv cache: item i owns rows [row_start[i], row_start[i + 1]) of q, k and
 * v; its first row is token number context[i] of its timeline; token t of the timeline lies in
 * block blocks[i][t / block_tokens]. */
struct kv_batch {
    int32_t n_items;
    const int32_t *row_start; /* n_items + 1 */
    const int32_t *context;   /* n_items */
    const int32_t *const *blocks;
};
