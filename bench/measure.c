#include "measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "backend/cpu/threads.h"

enum {
    BUFFER = 512 << 20,
    PASSES = 8,
    CHUNK = 1 << 20,
    FMA_LOOPS = 4 << 20,
    MOST_THREADS = 256
};

/* Sixteen lanes: as many registers as it takes on the machine at hand. */
typedef uint64_t wide_int __attribute__((vector_size(64), aligned(8), may_alias));
typedef float wide_float __attribute__((vector_size(32)));

double measure_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct measure_reader {
    struct threads *pool;
    unsigned char *buffer;
    uint64_t sums[MOST_THREADS * 8]; /* a cache line each */
};

static void fill_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    memset((unsigned char *)context + (size_t)chunk * CHUNK, chunk + 1, CHUNK);
}

/* A thread's share, from its beginning to its end. Prefetching makes it slower. */
static void read_share(void *context, int32_t share, int32_t thread)
{
    struct measure_reader *reader = context;
    size_t bytes = BUFFER / (size_t)threads_count(reader->pool) / 256 * 256;
    const unsigned char *at = reader->buffer + (size_t)share * bytes;
    wide_int sums[4] = {{0}};
    for (size_t i = 0; i < bytes; i += sizeof sums)
        for (size_t k = 0; k < 4; k++)
            sums[k] ^= *(const wide_int *)(at + i + k * sizeof *sums);
    wide_int all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    for (int k = 0; k < 8; k++)
        reader->sums[thread * 8] ^= all[k];
}

static volatile uint64_t sink; /* keeps the compiler from leaving the work out */

struct measure_reader *measure_reader_open(int n_threads)
{
    struct measure_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->pool = threads_open(n_threads, NULL);
    reader->buffer = aligned_alloc(2 << 20, BUFFER);
    if (!reader->pool || !reader->buffer) {
        measure_reader_close(reader);
        return NULL;
    }
#ifdef __linux__
    madvise(reader->buffer, BUFFER, MADV_HUGEPAGE); /* as weights that are repacked */
#endif
    threads_run(reader->pool, fill_chunk, reader->buffer, BUFFER / CHUNK);
    return reader;
}

void measure_reader_close(struct measure_reader *reader)
{
    if (!reader)
        return;
    threads_close(reader->pool);
    free(reader->buffer);
    free(reader);
}

double measure_read(struct measure_reader *reader)
{
    double start = measure_seconds();
    threads_run(reader->pool, read_share, reader, threads_count(reader->pool));
    double rate = BUFFER / (measure_seconds() - start);
    sink = reader->sums[0];
    return rate;
}

double measure_read_bandwidth(int n_threads)
{
    struct measure_reader *reader = measure_reader_open(n_threads);
    double best = 0;
    for (int pass = 0; reader && pass < PASSES; pass++) {
        double rate = measure_read(reader);
        best = rate > best ? rate : best;
    }
    measure_reader_close(reader);
    return best;
}

/* Twelve chains hide the latency of two multiply-adds a cycle. */
static void fma_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    wide_float sums[12], x, y;
    for (int i = 0; i < 8; i++) {
        x[i] = 0.999f;
        y[i] = 0.001f * (float)(chunk + 1); /* sums stay far from zero */
    }
    for (int k = 0; k < 12; k++)
        sums[k] = y + (float)k;
    for (int n = 0; n < FMA_LOOPS; n++) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            sums[k] = sums[k] * x + y;
    }
    float *out = context;
    for (int k = 0; k < 12; k++)
        out[chunk * 16] += sums[k][0];
}

/* How often a second all threads together do what `chunk` does once. */
static double passes_a_second(threads_fn chunk, int n_threads)
{
    struct threads *pool = threads_open(n_threads, NULL);
    float *out = calloc(MOST_THREADS * 16, sizeof *out);
    double best = 0;
    if (!pool || !out)
        goto done;
    for (int pass = 0; pass < PASSES; pass++) {
        double start = measure_seconds();
        threads_run(pool, chunk, out, n_threads);
        double rate = n_threads / (measure_seconds() - start);
        best = rate > best ? rate : best;
        sink = (uint64_t)out[0];
    }
done:
    free(out);
    threads_close(pool);
    return best;
}

double measure_fma_peak(int n_threads)
{
    return passes_a_second(fma_chunk, n_threads) * 2.0 * 8 * 12 * FMA_LOOPS;
}

#ifdef __AVX2__
/* Unsigned times signed bytes, pairs to 16 bits, pairs of those to 32, added up. */
static void int8_chunk(void *context, int32_t chunk, int32_t thread)
{
    (void)thread;
    __m256i sums[8], x = _mm256_set1_epi8(3), w = _mm256_set1_epi8((char)(chunk + 1));
    __m256i ones = _mm256_set1_epi16(1);
    for (int k = 0; k < 8; k++)
        sums[k] = _mm256_set1_epi32(k);
    for (int n = 0; n < FMA_LOOPS; n++) {
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            __asm__("" : "+x"(w)); /* or the products would be made once */
            __m256i products = _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones);
            sums[k] = _mm256_add_epi32(sums[k], products);
        }
    }
    float *out = context;
    for (int k = 0; k < 8; k++)
        out[chunk * 16] += (float)_mm256_extract_epi32(sums[k], 0);
}

double measure_int8_peak(int n_threads)
{
    return passes_a_second(int8_chunk, n_threads) * 2.0 * 32 * 8 * FMA_LOOPS;
}
#else
double measure_int8_peak(int n_threads)
{
    (void)n_threads;
    return 0;
}
#endif
