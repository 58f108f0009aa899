#include "backend/cpu/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "backend/cpu/simd_tiles_dotprod.h"

bool kernels_dotprod(struct cpu_kernels *k)
{
    if (!cpuid_has_dotprod() || !kernels_neon(k))
        return false;
    k->name = "dotprod";
    k->tiles_prepare = dot_tiles_prepare;
    k->tiles_rows = dot_tiles_rows;
    k->strassen_begin = simd_strassen_begin;
    k->strassen_prepare = simd_strassen_prepare;
    k->strassen_rows = simd_strassen_rows;
    k->some_tokens = 0; /* a panel is worth its while from three tokens on, by count */
    return true;
}
#else
bool kernels_dotprod(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
