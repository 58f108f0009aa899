#include "backend/cpu/kernels.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__)
#include "backend/cpu/simd_dense_amx.h"

bool kernels_amxbf16(struct cpu_kernels *k)
{
    if (!cpuid_has_amx_bf16() || !kernels_amx(k))
        return false;
    k->name = "amxbf16";
    k->dense_tile_tokens = DENSE_TOKENS;
    k->dense_prepare = amx_dense_prepare;
    k->dense_rows = amx_dense_rows;
    k->dense_share = amx_dense_share;
    return true;
}
#else
bool kernels_amxbf16(struct cpu_kernels *k)
{
    (void)k;
    return false;
}
#endif
