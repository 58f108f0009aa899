/* The integer part of measure.h: each loop is compiled for its instructions and run where the
 * processor has them. */
#include "measure.h"

#include "backend/cpu/kernels.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <stdint.h>

enum {
    LOOPS = 1 << 20,
    PASSES = 5,
    CHAINS = 12, /* hide the latency of two multiplications a cycle */
};

#define TARGET_AVX2 __attribute__((target("avx2")))
#define TARGET_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

static volatile int32_t sink; /* keeps the compiler from leaving the work out */

TARGET_AVX2 static void madd_loop(void)
{
    __m256i sums[CHAINS], x = _mm256_set1_epi16(3), w = _mm256_set1_epi16(5);
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sums[k] = _mm256_set1_epi32(k);
    for (int n = 0; n < LOOPS; n++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++) {
            __asm__("" : "+x"(w)); /* or the products would be made once */
            sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(w, x));
            __asm__("" : "+x"(sums[k])); /* or gcc would add in another order */
        }
    }
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sink += _mm256_extract_epi32(sums[k], 0);
}

#if defined(__clang__) || __GNUC__ >= 11 /* which know the instruction */
TARGET_AVX2 static void short_dpwssd_loop(void)
{
    __m256i sums[CHAINS], x = _mm256_set1_epi16(3), w = _mm256_set1_epi16(5);
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sums[k] = _mm256_set1_epi32(k);
    for (int n = 0; n < LOOPS; n++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            __asm__("%{vex%} vpdpwssd %[x], %[w], %[sum]"
                    : [sum] "+x"(sums[k])
                    : [x] "x"(x), [w] "x"(w));
    }
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sink += _mm256_extract_epi32(sums[k], 0);
}
#endif

TARGET_VNNI static void dpwssd_loop(void)
{
    __m512i sums[CHAINS], x = _mm512_set1_epi16(3), w = _mm512_set1_epi16(5);
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sums[k] = _mm512_set1_epi32(k);
    for (int n = 0; n < LOOPS; n++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++) {
            sums[k] = _mm512_dpwssd_epi32(sums[k], w, x);
            __asm__("" : "+v"(sums[k])); /* or gcc would copy registers */
        }
    }
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sink += _mm512_reduce_add_epi32(sums[k]);
}

TARGET_VNNI static void dpbusd_loop(void)
{
    __m512i sums[CHAINS], x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sums[k] = _mm512_set1_epi32(k);
    for (int n = 0; n < LOOPS; n++) {
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++) {
            sums[k] = _mm512_dpbusd_epi32(sums[k], w, x);
            __asm__("" : "+v"(sums[k]));
        }
    }
#pragma GCC unroll 12
    for (int k = 0; k < CHAINS; k++)
        sink += _mm512_reduce_add_epi32(sums[k]);
}

static double operations_a_second(void (*loop)(void), int products)
{
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        double start = measure_seconds();
        loop();
        double rate = 2.0 * products * CHAINS * LOOPS / (measure_seconds() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

double measure_madd_peak(void)
{
    return __builtin_cpu_supports("avx2") ? operations_a_second(madd_loop, 16) : 0;
}

double measure_dpwssd_peak(void)
{
    if (__builtin_cpu_supports("avx512vnni"))
        return operations_a_second(dpwssd_loop, 32);
#if defined(__clang__) || __GNUC__ >= 11
    if (cpuid_has_avxvnni())
        return operations_a_second(short_dpwssd_loop, 16);
#endif
    return 0;
}

double measure_dpbusd_peak(void)
{
    return __builtin_cpu_supports("avx512vnni") ? operations_a_second(dpbusd_loop, 64) : 0;
}
#else
double measure_madd_peak(void)
{
    return 0;
}

double measure_dpwssd_peak(void)
{
    return 0;
}

double measure_dpbusd_peak(void)
{
    return 0;
}
#endif
