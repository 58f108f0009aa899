/* What the files of the CPU backend share: the backend itself. Private to backend/cpu. */
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/threads.h"
#include "ops/ops.h"

enum {
    ATTENTION_PARTIALS = 1 << 20
};

struct cpu_backend {
    struct backend base;
    struct ops ops;
    char name[24];
    struct cpu_kernels kernels;
    bool integer; /* activations of affine layers are made integers */
    struct threads *threads;
    float *scratch;  /* KERNEL_SCRATCH floats for each thread */
    float *partials; /* ATTENTION_PARTIALS floats: parts of attention that wait to be merged */
    /* LINEAR_TOKENS prepared rows of x, or tiles_tokens in tiles, for the widest weight that was
     * loaded. */
    float *prepared;
    size_t prepared_bytes;
    struct load_job *jobs; /* what weights_end has to do */
    size_t n_jobs, jobs_room;
};

static inline struct cpu_backend *cpu_backend_of(struct backend *be)
{
    return (struct cpu_backend *)be;
}

static inline float *cpu_scratch(const struct cpu_backend *cpu, int32_t thread)
{
    return cpu->scratch + (size_t)thread * KERNEL_SCRATCH;
}

/* Slots of struct ops, by file. */
int cpu_weight_load(struct backend *be, struct weight *w, const struct weight_source *source,
                    struct vlmd_error *err);
void cpu_weight_free(struct backend *be, struct weight *w);

int cpu_weights_end(struct backend *be, struct vlmd_error *err);

/* Leaves it to weights_end to copy w to `to`: to repack_room(w), or, a vector, to floats. */
int load_later(struct cpu_backend *cpu, const struct weight_source *w, void *to,
               struct vlmd_error *err);
/* `to` is about to be freed. */
void load_forget(struct cpu_backend *cpu, const void *to);

/* Room for w in blocks (integer.h), which the caller frees; NULL with *err. */
void *repack_room(const struct weight_source *w, struct vlmd_error *err);
/* Some rows of a weight, whole blocks but for its last, in blocks. */
void repack_rows(void *blocks, const struct weight_source *w);
/* y = row `row` of repacked w, the same floats as embed_row of w. */
void repacked_row(float *y, const struct weight_source *w, const void *blocks, int32_t row);

void cpu_linear(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                const struct weight *bias);

void cpu_embed(struct backend *be, struct tensor y, const struct weight *table, const int32_t *ids);
void cpu_rms_norm(struct backend *be, struct tensor y, struct tensor x, const struct weight *w,
                  float eps);
void cpu_add(struct backend *be, struct tensor x, struct tensor y);
void cpu_silu_mul(struct backend *be, struct tensor gate, struct tensor up);
void cpu_gelu(struct backend *be, struct tensor x);
void cpu_rope(struct backend *be, struct tensor x, int32_t head_dim, struct tensor cos,
              struct tensor sin);
void cpu_gather_rows(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                     int32_t n);
void cpu_scatter_rows(struct backend *be, struct tensor y, struct tensor x, const int32_t *index,
                      int32_t n);

void cpu_kv_append(struct backend *be, const struct kv_shape *shape, struct kv_layer *layer,
                   const struct kv_batch *batch, struct tensor k, struct tensor v);
void cpu_attention(struct backend *be, const struct kv_shape *shape, const struct kv_layer *layer,
                   const struct kv_batch *batch, struct tensor out, struct tensor q);
void cpu_attention_runs(struct backend *be, struct tensor out, struct tensor q, struct tensor k,
                        struct tensor v, int32_t head_dim, const int32_t *start, int32_t n_runs);

/* The weight's values as kernels read them: the prepared floats of a vector, else the mapping. What
 * was repacked is elsewhere. */
static inline struct weight_source cpu_weight_values(const struct weight *w)
{
    struct weight_source values = w->source;
    if (w->prepared && w->source.type != WEIGHT_AFFINE) {
        values.type = WEIGHT_F32;
        values.data = w->prepared;
    }
    return values;
}

/* The repacked weight (integer.h), or NULL. */
static inline const void *cpu_weight_blocks(const struct weight *w)
{
    return w->source.type == WEIGHT_AFFINE ? w->prepared : NULL;
}
