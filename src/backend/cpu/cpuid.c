#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* F16C is bit 29 of leaf 1's ecx (AMD64 Architecture Programmer's Manual 3, appendix D), which not
 * every compiler knows by name. __builtin_cpu_supports also asks whether the system saves the wide
 * registers. */
bool cpuid_has_avx2(void)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return false;
    bool has_f16c = ecx >> 29 & 1;
    return has_f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool cpuid_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#else
bool cpuid_has_avx2(void)
{
    return false;
}

bool cpuid_has_avx512(void)
{
    return false;
}
#endif
