/* Everything that works on one row at a time, in plain C with double inside: the oracle. */
#include <math.h>

#include "backend/cpu/c_kernels.h"

void c_rms_norm(float *y, const float *x, const float *w, int32_t n, float eps)
{
    double squares = 0;
    for (int32_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    double scale = 1.0 / sqrt(squares / n + (double)eps);
    for (int32_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] * scale * (double)w[i]);
}

void c_add(float *x, const float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        x[i] += y[i];
}

void c_silu_mul(float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        double g = (double)gate[i];
        gate[i] = (float)(g / (1.0 + exp(-g)) * (double)up[i]);
    }
}

void c_gelu(float *x, int32_t n)
{
    const double sqrt_half = 0.70710678118654752440;
    for (int32_t i = 0; i < n; i++)
        x[i] = (float)(0.5 * (double)x[i] * (1.0 + erf((double)x[i] * sqrt_half)));
}

void c_rope(float *x, int32_t n_heads, int32_t head_dim, const float *cos, const float *sin)
{
    int32_t half = head_dim / 2;
    for (int32_t h = 0; h < n_heads; h++, x += head_dim)
        for (int32_t j = 0; j < half; j++) {
            double a = (double)x[j], b = (double)x[j + half];
            x[j] = (float)(a * (double)cos[j] - b * (double)sin[j]);
            x[j + half] = (float)(b * (double)cos[j] + a * (double)sin[j]);
        }
}
