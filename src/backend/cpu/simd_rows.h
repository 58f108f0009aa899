/* Row-wise kernels on eight lanes; included by one file per instruction set. */
#pragma once

#include <math.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

static float sum_of_squares(const float *x, int32_t n)
{
    v8 sums[4] = {v8_zero(), v8_zero(), v8_zero(), v8_zero()};
    int32_t i = 0;
    for (; i + 32 <= n; i += 32) {
        SIMD_UNROLL
        for (int k = 0; k < 4; k++) {
            v8 v = v8_load(x + i + 8 * k);
            sums[k] = v8_fma(v, v, sums[k]);
        }
    }
    for (; i < n; i += 8) {
        v8 v = v8_load_partial(x + i, n - i < 8 ? n - i : 8);
        sums[0] = v8_fma(v, v, sums[0]);
    }
    return v8_sum(v8_add(v8_add(sums[0], sums[1]), v8_add(sums[2], sums[3])));
}

static void simd_rms_norm(float *y, const float *x, const float *w, int32_t n, float eps)
{
    float scale = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    v8 scales = v8_set1(scale);
    int32_t i = 0;
    for (; i + 8 <= n; i += 8)
        v8_store(y + i, v8_mul(v8_mul(v8_load(x + i), scales), v8_load(w + i)));
    for (; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

static void simd_add(float *x, const float *y, int32_t n)
{
    int32_t i = 0;
    for (; i + 8 <= n; i += 8)
        v8_store(x + i, v8_add(v8_load(x + i), v8_load(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

SIMD_INLINE v8 silu(v8 x)
{
    v8 e = v8_exp(v8_sub(v8_zero(), x));
    return v8_div(x, v8_add(v8_set1(1.0f), e));
}

static void simd_silu_mul(float *gate, const float *up, int32_t n)
{
    int32_t i = 0;
    for (; i + 8 <= n; i += 8)
        v8_store(gate + i, v8_mul(silu(v8_load(gate + i)), v8_load(up + i)));
    if (i == n)
        return;
    v8 last = v8_mul(silu(v8_load_partial(gate + i, n - i)), v8_load_partial(up + i, n - i));
    v8_store_partial(gate + i, last, n - i);
}

static void simd_rope(float *x, int32_t n_heads, int32_t head_dim, const float *cos,
                      const float *sin)
{
    int32_t half = head_dim / 2;
    for (int32_t h = 0; h < n_heads; h++, x += head_dim) {
        int32_t j = 0;
        for (; j + 8 <= half; j += 8) {
            v8 a = v8_load(x + j), b = v8_load(x + half + j);
            v8 c = v8_load(cos + j), s = v8_load(sin + j);
            v8_store(x + j, v8_sub(v8_mul(a, c), v8_mul(b, s)));
            v8_store(x + half + j, v8_fma(b, c, v8_mul(a, s)));
        }
        for (; j < half; j++) {
            float a = x[j], b = x[j + half];
            x[j] = a * cos[j] - b * sin[j];
            x[j + half] = b * cos[j] + a * sin[j];
        }
    }
}
