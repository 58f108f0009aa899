/* Linear layers and embedding rows in plain C: the oracle. Weights are made float32 exactly as the
 * format defines them, sums are double. */
#include "backend/cpu/c_kernels.h"

enum {
    CHUNK = 256
}; /* columns decoded at a time; a multiple of every group */

static void decode_affine(float *out, const struct weight_source *w, int32_t row, int32_t first,
                          int32_t n)
{
    const unsigned char *packed =
        (const unsigned char *)w->data + (size_t)row * affine_row_bytes(w);
    size_t groups = (size_t)(w->cols / w->group), row_groups = (size_t)row * groups;
    float scale = 0, bias = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t col = first + i;
        if (i == 0 || col % w->group == 0) {
            size_t group = row_groups + (size_t)(col / w->group);
            scale = dense_at(w->scales, w->scale_type, group);
            bias = dense_at(w->biases, w->scale_type, group);
        }
        out[i] = scale * (float)affine_at(packed, w->bits, (size_t)col) + bias;
    }
}

/* Columns [first, first + n) of a row. */
static void decode(float *out, const struct weight_source *w, int32_t row, int32_t first, int32_t n)
{
    if (w->type == WEIGHT_AFFINE) {
        decode_affine(out, w, row, first, n);
        return;
    }
    size_t at = (size_t)row * (size_t)w->cols + (size_t)first;
    for (int32_t i = 0; i < n; i++)
        out[i] = dense_at(w->data, w->type, at + (size_t)i);
}

void c_embed_row(float *y, const struct weight_source *table, int32_t row)
{
    decode(y, table, row, 0, table->cols);
}

void c_linear_prepare(const struct linear_job *job, int32_t token)
{
    (void)job;
    (void)token;
}

static double dot(const float *a, const float *b, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void linear_row(const struct linear_job *job, int32_t row)
{
    float values[CHUNK];
    double sums[LINEAR_TOKENS] = {0};
    for (int32_t first = 0; first < job->w.cols; first += CHUNK) {
        int32_t n = job->w.cols - first < CHUNK ? job->w.cols - first : CHUNK;
        decode(values, &job->w, row, first, n);
        for (int32_t t = 0; t < job->x.rows; t++)
            sums[t] += dot(job->x.data + (size_t)t * (size_t)job->x.stride + first, values, n);
    }
    for (int32_t t = 0; t < job->x.rows; t++)
        job->y.data[(size_t)t * (size_t)job->y.stride + (size_t)row] =
            (float)(sums[t] + (job->bias ? (double)job->bias[row] : 0.0));
}

void c_linear_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    (void)scratch;
    for (int32_t row = first; row < first + n; row++)
        linear_row(job, row);
}
