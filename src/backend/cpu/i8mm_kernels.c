#include "backend/cpu/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#include "backend/cpu/simd_tiles_i8mm.h"

bool kernels_i8mm(struct cpu_kernels *k)
{
    if (!cpuid_has_i8mm() || !kernels_neon(k))
        return false;
    k->name = "i8mm";
    k->tile_tokens = I8MM_TOKENS;
    k->tiles_prepare = i8mm_tiles_prepare;
    k->tiles_rows = i8mm_tiles_rows;
    k->strassen_begin = simd_strassen_begin;
    k->strassen_prepare = i8mm_strassen_prepare;
    k->strassen_rows = i8mm_strassen_rows;
    k->some_tokens = 0; /* a panel is worth its while from three tokens on, by count */
    return true;
}
#else
bool kernels_i8mm(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
