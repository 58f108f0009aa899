/* Prints what this machine can do at most: read bandwidth, float32 and int8 multiply-adds, for 1,
 * 2, 4
 * ... threads up to the number of processors. */
#include <stdio.h>

#include "backend/cpu/threads.h"
#include "measure.h"

static void report(int threads)
{
    printf("%3d threads: read %7.2f GB/s, float32 %8.1f GFLOP/s, int8 %8.1f GOP/s\n", threads,
           measure_read_bandwidth(threads) * 1e-9, measure_fma_peak(threads) * 1e-9,
           measure_int8_peak(threads) * 1e-9);
}

int main(void)
{
    int available = threads_available();
    for (int threads = 1; threads < available; threads *= 2)
        report(threads);
    report(available);
    printf("one thread's integers: vpmaddwd and vpaddd %.1f, vpdpwssd %.1f, vpdpbusd %.1f GOP/s\n",
           measure_madd_peak() * 1e-9, measure_dpwssd_peak() * 1e-9, measure_dpbusd_peak() * 1e-9);
    return 0;
}
