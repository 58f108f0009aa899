/* One safetensors file, mapped: an 8-byte little-endian header length, a JSON header, tensor bytes
 * (https://huggingface.co/docs/safetensors). Every offset and shape is checked against the file
 * before use. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

#define SAFETENSORS_MAX_DIMS 8

enum safetensors_dtype {
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_U32,
    SAFETENSORS_OTHER, /* well-formed, of no use to us: bytes are known, values are not */
};

struct safetensors_tensor {
    const char *name;
    enum safetensors_dtype dtype;
    int n_dims;
    int64_t shape[SAFETENSORS_MAX_DIMS];
    const uint8_t *data; /* in the mapping; any alignment */
    size_t bytes;
};

struct safetensors {
    struct file_map map;
    struct safetensors_tensor *tensors; /* sorted by name */
    size_t n_tensors;
};

int safetensors_open(struct safetensors *st, const char *path, struct vlmd_error *err);
/* The same for bytes that the caller keeps alive; `name` stands in errors. */
int safetensors_parse(struct safetensors *st, const uint8_t *bytes, size_t size, const char *name,
                      struct vlmd_error *err);
void safetensors_close(struct safetensors *st);
/* NULL when there is none. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *st, const char *name);
