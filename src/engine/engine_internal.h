/* What the engine's files share. Nothing outside src/engine includes this. */
#pragma once

#include "engine/kv_cache.h"
#include "format/checkpoint.h"
#include "format/model_config.h"
#include "model/model.h"
#include "model/mrope.h"
#include "tokenizer/tokenizer.h"

/* Arrays of one step, allocated once. */
struct step_arrays {
    int32_t *tokens;              /* batch_tokens */
    int32_t (*positions)[3];      /* batch_tokens */
    int32_t *output_rows;         /* batch_tokens */
    float **output_to;            /* batch_tokens: where each output row's logits go */
    float **output_also;          /* batch_tokens: a second place, or NULL */
    struct model_insert *inserts; /* batch_tokens */
    int32_t *row_start;           /* batch_tokens + 1 */
    int32_t *context;             /* batch_tokens */
    const int32_t **blocks;       /* batch_tokens */
    struct tensor logits;         /* backend memory, HEAD_ROWS x vocab_size */
};

struct vlmd_engine {
    struct vlmd_engine_info info;
    struct model_config config;
    struct checkpoint checkpoint;
    struct tokenizer *tokenizer;
    struct backend *be;
    struct model *model;
    struct kv_cache kv;
    struct step_arrays step;
};

struct vlmd_image {
    vlmd_engine *engine;
    struct image_grid grid;
    struct tensor embeddings; /* grid.rows * grid.cols x hidden_size, backend memory */
};

/* An image's place in a timeline. */
struct placed_image {
    const vlmd_image *image;
    int32_t at; /* its first token */
};

struct vlmd_session {
    vlmd_engine *engine;
    int32_t *tokens;         /* the timeline */
    int32_t (*positions)[3]; /* of each token */
    int32_t length, capacity;
    int32_t next_position;
    int32_t stepped; /* tokens whose keys and values are in the cache */
    struct placed_image *images;
    int32_t n_images;
    int32_t *blocks; /* block i holds tokens [i, i + 1) * KV_BLOCK_TOKENS */
    int32_t n_blocks, blocks_capacity;
};

/* Rows of logits computed at a time. */
#define HEAD_ROWS 16

int step_arrays_open(vlmd_engine *engine, struct vlmd_error *err);
void step_arrays_close(vlmd_engine *engine);
