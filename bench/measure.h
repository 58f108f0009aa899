/* What the benchmarks share: the clock, and the two floors of this machine, measured in the same
 * run as whatever is compared with them. */
#pragma once

#include <stddef.h>

double measure_seconds(void); /* of a monotonic clock */
/* A buffer far larger than the caches and the threads that read it. NULL when memory or threads
 * are refused; the caller owns it. */
struct measure_reader;
struct measure_reader *measure_reader_open(int n_threads);
void measure_reader_close(struct measure_reader *reader); /* NULL is fine */
/* Reads the buffer once; bytes a second. */
double measure_read(struct measure_reader *reader);
/* The best of some passes; 0 when memory or threads are refused. */
double measure_read_bandwidth(int n_threads);
/* float32 operations a second in registers, a fused multiply-add counted as two; the best of some
 * passes. */
double measure_fma_peak(int n_threads);
/* Operations a second of unsigned with signed bytes summed to 32 bits, without the instructions
 * that do that in one; 0 where it is not written for the processor. */
double measure_int8_peak(int n_threads);

/* One thread's operations a second on 16-bit integers with vpmaddwd and vpaddd (AVX2) and with
 * vpdpwssd (AVX-512 VNNI, or AVX-VNNI), and on 8-bit ones with vpdpbusd; a multiplication and an
 * addition count as two. The best of some passes; 0 where the processor has no such instruction. */
double measure_madd_peak(void);
double measure_dpwssd_peak(void);
double measure_dpbusd_peak(void);
