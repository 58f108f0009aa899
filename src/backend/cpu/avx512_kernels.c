#include "backend/cpu/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) &&                      \
    defined(__AVX512VNNI__)
#include "backend/cpu/simd_attention.h"
#include "backend/cpu/simd_integer.h"
#include "backend/cpu/simd_linear.h"
#include "backend/cpu/simd_tiles.h"
#include "backend/cpu/simd_tiles_some.h"

bool kernels_avx512(struct cpu_kernels *k)
{
    if (!cpuid_has_avx512() || !kernels_avx2(k))
        return false;
    k->name = "avx512";
    k->linear_prepare = simd_linear_prepare;
    k->linear_rows = simd_linear_rows;
    k->attention = simd_attention;
    k->attention_parts = simd_attention_parts;
    k->attention_merge = simd_attention_merge;
    k->integer_prepare = simd_integer_prepare;
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
    return true;
}
#else
bool kernels_avx512(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
