/* The inner loops of resizing in AVX2: pairs of samples times pairs of weights, which are split
 * into 16-bit halves for that. Both sums wrap around where they must; put together they are exact.
 */
#include "media/resize_kernels.h"

#include <stddef.h>

#ifdef __AVX2__
#include <immintrin.h>
#include <string.h>

static __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* upper * 2^RESIZE_LOW_BITS + lower + one half, shifted down to samples that may exceed a byte. */
static __m256i join(__m256i upper, __m256i lower)
{
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(upper, RESIZE_LOW_BITS), lower);
    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << (RESIZE_FRACTION_BITS - 1)));
    return _mm256_srai_epi32(sum, RESIZE_FRACTION_BITS);
}

static void across_avx2(const uint8_t *in, const struct resize_weights *w, int32_t n, uint8_t *out)
{
    /* Of 4 pixels r g b the pairs rr gg bb of the first two, then of the others, as 16-bit. */
    const __m256i pairs =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                         -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i of_upper = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i of_lower = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
    size_t halves = (size_t)w->width * 2;
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *p = in + (size_t)w->first[i] * RESIZE_CHANNELS;
        const int16_t *group = w->halves + (size_t)i * halves;
        __m256i upper = _mm256_setzero_si256(), lower = upper;
        for (int32_t j = 0; j < w->count[i]; j += RESIZE_GROUP) {
            __m256i x = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(p)), pairs);
            __m256i weights = _mm256_broadcastsi128_si256(load16((const uint8_t *)group));
            upper = _mm256_add_epi32(
                upper, _mm256_madd_epi16(x, _mm256_permutevar8x32_epi32(weights, of_upper)));
            lower = _mm256_add_epi32(
                lower, _mm256_madd_epi16(x, _mm256_permutevar8x32_epi32(weights, of_lower)));
            p += RESIZE_GROUP * RESIZE_CHANNELS;
            group += RESIZE_GROUP * 2;
        }
        /* The two lanes hold different pairs: add them before joining. */
        upper = _mm256_add_epi32(upper, _mm256_permute2x128_si256(upper, upper, 1));
        lower = _mm256_add_epi32(lower, _mm256_permute2x128_si256(lower, lower, 1));
        __m128i sum = _mm256_castsi256_si128(join(upper, lower));
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
        int32_t rgb = _mm_cvtsi128_si32(sum);
        memcpy(out, &rgb, RESIZE_CHANNELS);
        out += RESIZE_CHANNELS;
    }
}

/* The weights of rows j and j + 1 as a pair in every 32 bits; `half` 0: upper, 1: lower. */
static __m256i pair_of(const int16_t *group, int32_t j, int half)
{
    const int16_t *p =
        group + j / RESIZE_GROUP * RESIZE_GROUP * 2 + half * RESIZE_GROUP + j % RESIZE_GROUP;
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}

static void down_avx2(const uint8_t *const *rows, const struct resize_weights *w, int32_t i,
                      int32_t bytes, uint8_t *out)
{
    const int16_t *group = w->halves + (size_t)i * (size_t)w->width * 2;
    int32_t count = w->count[i];
    for (int32_t at = 0; at < bytes; at += 16) {
        __m256i upper_a = _mm256_setzero_si256(), lower_a = upper_a;
        __m256i upper_b = upper_a, lower_b = upper_a;
        for (int32_t j = 0; j < count; j += 2) {
            const uint8_t *second = rows[j + 1 < count ? j + 1 : j]; /* its weight is 0 then */
            __m128i x = load16(rows[j] + at), y = load16(second + at);
            __m256i a = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y));
            __m256i b = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y));
            __m256i up = pair_of(group, j, 0), low = pair_of(group, j, 1);
            upper_a = _mm256_add_epi32(upper_a, _mm256_madd_epi16(a, up));
            lower_a = _mm256_add_epi32(lower_a, _mm256_madd_epi16(a, low));
            upper_b = _mm256_add_epi32(upper_b, _mm256_madd_epi16(b, up));
            lower_b = _mm256_add_epi32(lower_b, _mm256_madd_epi16(b, low));
        }
        __m256i words = _mm256_packs_epi32(join(upper_a, lower_a), join(upper_b, lower_b));
        words = _mm256_permute4x64_epi64(words, 0xD8); /* packs works within lanes */
        __m128i samples =
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        uint8_t last[16];
        if (bytes - at >= 16) {
            _mm_storeu_si128((__m128i *)(void *)(out + at), samples);
            continue;
        }
        _mm_storeu_si128((__m128i *)(void *)last, samples);
        memcpy(out + at, last, (size_t)(bytes - at));
    }
}

static const struct resize_kernels kernels = {across_avx2, down_avx2};

const struct resize_kernels *resize_kernels_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? &kernels : NULL;
}

#else

const struct resize_kernels *resize_kernels_avx2(void)
{
    return NULL;
}

#endif
