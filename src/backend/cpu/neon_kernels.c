#include "backend/cpu/kernels.h"

#if defined(__aarch64__) && defined(__ARM_NEON)
#include "backend/cpu/simd_attention.h"
#include "backend/cpu/simd_integer.h"
#include "backend/cpu/simd_linear.h"
#include "backend/cpu/simd_rows.h"
#include "backend/cpu/simd_tiles.h"
#include "backend/cpu/simd_tiles_some.h"

/* Every AArch64 processor has it. */
bool kernels_neon(struct cpu_kernels *k)
{
    k->name = "neon";
    k->linear_prepare = simd_linear_prepare;
    k->linear_rows = simd_linear_rows;
    k->integer_prepare = simd_integer_prepare;
    k->reads_blocks = true;
    k->integer_rows = simd_integer_rows;
    k->tile_tokens = TILES_WIDTH;
    k->tiles_prepare = simd_tiles_prepare;
    k->tiles_rows = simd_tiles_rows;
    k->strassen_begin = simd_strassen_begin;
    k->strassen_prepare = simd_strassen_prepare;
    k->strassen_rows = simd_strassen_rows;
    k->some_tokens = SOME_TOKENS;
    k->some_tile_tokens = TILES_WIDTH;
    k->some_prepare = simd_tiles_prepare;
    k->some_rows = simd_some_rows;
    k->rms_norm = simd_rms_norm;
    k->add = simd_add;
    k->silu_mul = simd_silu_mul;
    k->rope = simd_rope;
    k->attention = simd_attention;
    k->attention_parts = simd_attention_parts;
    k->attention_merge = simd_attention_merge;
    return true;
}
#else
bool kernels_neon(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
