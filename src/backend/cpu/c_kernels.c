#include "backend/cpu/c_kernels.h"

void kernels_c(struct cpu_kernels *k)
{
    *k = (struct cpu_kernels){
        .name = "c",
        .linear_prepare = c_linear_prepare,
        .linear_rows = c_linear_rows,
        .integer_prepare = c_integer_prepare,
        .integer_rows = c_integer_rows,
        .tile_tokens = 1,
        .tiles_prepare = c_tiles_prepare,
        .tiles_rows = c_tiles_rows,
        .strassen_begin = c_strassen_begin,
        .strassen_prepare = c_strassen_prepare,
        .strassen_rows = c_strassen_rows,
        .embed_row = c_embed_row,
        .rms_norm = c_rms_norm,
        .add = c_add,
        .silu_mul = c_silu_mul,
        .gelu = c_gelu,
        .rope = c_rope,
        .attention = c_attention,
    };
}
