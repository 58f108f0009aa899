/* Numbers as they lie in files, become floats. */
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

SIMD_INLINE v8 load_dense(const unsigned char *p, enum weight_type type)
{
    if (type == WEIGHT_BF16)
        return v8_load_bf16(p);
    if (type == WEIGHT_F16)
        return v8_load_f16(p);
    return v8_load_f32(p);
}

/* Elements [first, first + n) of an array of dense numbers, n <= 8; the other lanes are 0. */
SIMD_INLINE v8 load_dense_part(const void *data, enum weight_type type, size_t first, int32_t n)
{
    const unsigned char *at = (const unsigned char *)data + first * dense_size(type);
    if (n == 8)
        return load_dense(at, type);
    unsigned char padded[32] = {0};
    memcpy(padded, at, (size_t)n * dense_size(type));
    return load_dense(padded, type);
}

SIMD_INLINE void widen_type(float *to, const void *data, enum weight_type type, size_t first,
                            int32_t n)
{
    int32_t i = 0;
    for (; i + 8 <= n; i += 8)
        v8_store(to + i, load_dense_part(data, type, first + (size_t)i, 8));
    if (i < n)
        v8_store(to + i, load_dense_part(data, type, first + (size_t)i, n - i));
}

/* n numbers as floats; writes up to 7 zeros beyond. */
SIMD_INLINE void widen(float *to, const void *data, enum weight_type type, size_t first, int32_t n)
{
    if (type == WEIGHT_BF16)
        widen_type(to, data, WEIGHT_BF16, first, n);
    else if (type == WEIGHT_F16)
        widen_type(to, data, WEIGHT_F16, first, n);
    else
        widen_type(to, data, WEIGHT_F32, first, n);
}
