/* Any bytes as a safetensors file; whatever parses is asked for as matrices, and every byte of it
 * is read. */
#include <stddef.h>
#include <stdint.h>

#include "format/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors st;
    struct vlmd_error err;
    if (safetensors_parse(&st, data, size, "fuzz", &err) < 0)
        return 0;
    volatile unsigned sum = 0;
    for (size_t i = 0; i < st.n_tensors; i++)
        for (size_t j = 0; j < st.tensors[i].bytes; j++)
            sum += st.tensors[i].data[j];
    struct checkpoint cp = {.shards = &st, .n_shards = 1};
    struct weight_source source;
    const char *const names[] = {"w", "x"};
    const int32_t cols[] = {32, 64, 128, 256, 3};
    for (size_t n = 0; n < 2; n++)
        for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
            checkpoint_matrix(&cp, names[n], 1 + (int32_t)n, cols[c], &source, &err);
    checkpoint_vector(&cp, "v", 4, &source, &err);
    safetensors_close(&st);
    return 0;
}
