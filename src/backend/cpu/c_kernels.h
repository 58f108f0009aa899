/* The plain C kernels, for the table of kernels and for sets that lack one. */
#pragma once

#include "backend/cpu/kernels.h"

void c_linear_prepare(const struct linear_job *job, int32_t token); /* nothing to prepare */
void c_linear_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
void c_integer_prepare(const struct linear_job *job, int32_t token);
void c_integer_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
void c_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run);
void c_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
void c_strassen_begin(const struct linear_job *job, int32_t token);
void c_strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run);
void c_strassen_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch);
void c_embed_row(float *y, const struct weight_source *table, int32_t row);
void c_rms_norm(float *y, const float *x, const float *w, int32_t n, float eps);
void c_add(float *x, const float *y, int32_t n);
void c_silu_mul(float *gate, const float *up, int32_t n);
void c_gelu(float *x, int32_t n);
void c_rope(float *x, int32_t n_heads, int32_t head_dim, const float *cos, const float *sin);
void c_attention(const struct attention_task *task, float *scratch);
