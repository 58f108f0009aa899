/* A checkpoint folder's weights: one safetensors file, or the shards that
 * model.safetensors.index.json lists; and MLX's affine quantization on top of them (packed `weight`
 * with `scales` and `biases` beside it). */
#pragma once

#include <stdbool.h>

#include "format/safetensors.h"
#include "ops/tensor.h"

struct checkpoint {
    struct safetensors *shards;
    size_t n_shards;
};

int checkpoint_open(struct checkpoint *cp, const char *folder, struct vlmd_error *err);
void checkpoint_close(struct checkpoint *cp);
/* Bytes of all mapped shards. */
size_t checkpoint_bytes(const struct checkpoint *cp);
const struct safetensors_tensor *checkpoint_find(const struct checkpoint *cp, const char *name);
bool checkpoint_has(const struct checkpoint *cp, const char *name);

/* The matrix "<name>.weight" of rows x cols (dimensions after the second are folded into the
 * columns), dense or quantized: bits and group size follow from the tensors' shapes, which makes
 * per-tensor overrides of config.json hold by themselves. VLMD_NOT_FOUND when absent, VLMD_FORMAT
 * with the tensor's name when shape or dtype differ. */
int checkpoint_matrix(const struct checkpoint *cp, const char *name, int32_t rows, int32_t cols,
                      struct weight_source *out, struct vlmd_error *err);
/* The vector called `name` (whole tensor name) of n elements. */
int checkpoint_vector(const struct checkpoint *cp, const char *name, int32_t n,
                      struct weight_source *out, struct vlmd_error *err);
