#include "ops/scratch.h"

#define ALIGNMENT ((size_t)64)

int scratch_open(struct scratch *s, struct backend *be, size_t bytes, struct vlmd_error *err)
{
    *s = (struct scratch){.memory = be->ops->alloc(be, bytes), .size = bytes};
    return s->memory ? 0 : err_no_memory(err, bytes);
}

void scratch_close(struct scratch *s, struct backend *be)
{
    if (s->memory)
        be->ops->free(be, s->memory);
    *s = (struct scratch){0};
}

void scratch_reset(struct scratch *s)
{
    s->used = 0;
}

struct tensor scratch_tensor(struct scratch *s, int32_t rows, int32_t cols)
{
    size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
    size_t at = s->used;
    s->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    float *data = NULL;
    if (s->memory && s->used <= s->size)
        data = (float *)(void *)(s->memory + at);
    return (struct tensor){data, rows, cols, cols};
}
