#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__)
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

/* Bit 4 of eax of the second part of leaf 7, which only the first part says there is. */
bool cpuid_has_avxvnni(void)
{
    unsigned parts, eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &parts, &ebx, &ecx, &edx) || parts < 1)
        return false;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1) != 0;
}

bool cpuid_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

/* Bits 24 and 25 of edx of leaf 7 (Intel 64 Architectures Software Developer's Manual 2, CPUID).
 * Linux gives the registers, eight kilobytes a thread, to processes that ask for them
 * (Documentation/arch/x86/xstate.rst), and refuses where it or the processor does not have them. */
bool cpuid_has_amx(void)
{
#ifdef __linux__
    enum {
        REQUEST_PERMISSION = 0x1023,
        TILE_DATA = 18
    };
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx >> 24 & 3) != 3)
        return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

/* Bit 22, the same leaf; the registers are those. */
bool cpuid_has_amx_bf16(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx >> 22 & 1) != 0;
}
#else
bool cpuid_has_avx2(void)
{
    return false;
}

bool cpuid_has_avxvnni(void)
{
    return false;
}

bool cpuid_has_avx512(void)
{
    return false;
}

bool cpuid_has_amx(void)
{
    return false;
}

bool cpuid_has_amx_bf16(void)
{
    return false;
}
#endif

#if defined(__aarch64__) && defined(__APPLE__)
static bool has_feature(const char *name)
{
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname(name, &has, &size, NULL, 0) == 0 && has != 0;
}
#endif

bool cpuid_has_dotprod(void)
{
#if defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    return has_feature("hw.optional.arm.FEAT_DotProd");
#else
    return false;
#endif
}

bool cpuid_has_i8mm(void)
{
#if defined(__aarch64__) && defined(__linux__) && defined(HWCAP2_I8MM)
    return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    return has_feature("hw.optional.arm.FEAT_I8MM");
#else
    return false;
#endif
}
