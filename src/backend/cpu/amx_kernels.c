#include "backend/cpu/kernels.h"

#if defined(__AMX_TILE__) && defined(__AMX_INT8__)
#include "backend/cpu/simd_tiles_amx.h"

bool kernels_amx(struct cpu_kernels *k)
{
    if (!cpuid_has_amx() || !kernels_avx512(k))
        return false;
    k->name = "amx";
    k->tile_tokens = AMX_TOKENS;
    k->tiles_prepare = amx_tiles_prepare;
    k->tiles_rows = amx_tiles_rows;
    k->strassen_begin = simd_strassen_begin;
    k->strassen_prepare = amx_strassen_prepare;
    k->strassen_rows = amx_strassen_rows;
    k->some_tokens = AMX_TOKENS; /* a tile that is not full is no faster than AVX-512 */
    return true;
}
#else
bool kernels_amx(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
