#include "backend/cpu/kernels.h"

#if defined(__AVX2__) && defined(__AVXVNNI__)
#include "backend/cpu/simd_integer.h"
#include "backend/cpu/simd_tiles.h"
#include "backend/cpu/simd_tiles_some.h"

bool kernels_avxvnni(struct cpu_kernels *k)
{
    if (!cpuid_has_avxvnni() || !kernels_avx2(k))
        return false;
    k->name = "avxvnni";
    k->integer_prepare = simd_integer_prepare;
    k->integer_rows = simd_integer_rows;
    k->tiles_prepare = simd_tiles_prepare;
    k->tiles_rows = simd_tiles_rows;
    k->strassen_begin = simd_strassen_begin;
    k->strassen_prepare = simd_strassen_prepare;
    k->strassen_rows = simd_strassen_rows;
    k->some_prepare = simd_tiles_prepare;
    k->some_rows = simd_some_rows;
    return true;
}
#else
bool kernels_avxvnni(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
