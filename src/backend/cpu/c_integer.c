/* Linear layers with integer activations in plain C: the oracle, equal to every other version bit
 * for bit. */
#include <math.h>

#include "backend/cpu/c_kernels.h"
#include "backend/cpu/integer.h"

static float at_or_zero(const struct linear_job *job, const float *x, int32_t column)
{
    return column < job->w.cols ? x[column] : 0.0f;
}

static void prepare_unit(const struct linear_job *job, const struct integer_row *to, const float *x,
                         int32_t unit)
{
    int32_t first = unit * INTEGER_UNIT;
    float greatest = 0.0f, factor;
    for (int32_t c = 0; c < INTEGER_UNIT; c++) {
        float size = fabsf(at_or_zero(job, x, first + c));
        if (!(size <= greatest)) /* a NaN is greater than all, and stays */
            greatest = isnan(greatest) ? greatest : size;
    }
    float scale = integer_scale(greatest, &factor);
    int32_t sum = 0;
    for (int32_t c = 0; c < INTEGER_UNIT; c++) {
        float value = factor > 0.0f ? nearbyintf(at_or_zero(job, x, first + c) * factor) : 0.0f;
        to->x[first + integer_place(c)] = (int16_t)value;
        sum += (int32_t)value;
        if ((c + 1) % 32 == 0 && (job->w.group == 32 || c + 1 == INTEGER_UNIT)) {
            int32_t group = (first + c) / job->w.group;
            if (group < job->w.cols / job->w.group)
                to->sums[group] += scale * (float)sum;
            sum = 0;
        }
    }
    to->scales[unit] = scale;
}

void c_integer_prepare(const struct linear_job *job, int32_t token)
{
    struct integer_row to = integer_row(job, token);
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    memset(to.sums, 0, (size_t)(job->w.cols / job->w.group) * sizeof *to.sums);
    for (int32_t unit = 0; unit < integer_units(job->w.cols); unit++)
        prepare_unit(job, &to, x, unit);
}

struct decoded_row {
    const struct weight_source *w;
    const unsigned char *packed;
    size_t first_group;
};

static float dense_of_group(const struct decoded_row *row, const void *values, int32_t group)
{
    return dense_at(values, row->w->scale_type, row->first_group + (size_t)group);
}

static int32_t part_sum(const struct decoded_row *row, const int16_t *x, int32_t first, int32_t n)
{
    int32_t sum = 0;
    for (int32_t c = first; c < first + n; c++)
        sum += (int32_t)affine_at(row->packed, row->w->bits, (size_t)c) * x[integer_place(c)];
    return sum;
}

static float element(const struct linear_job *job, const struct decoded_row *row, int32_t token)
{
    const struct weight_source *w = row->w;
    struct integer_row x = integer_row(job, token);
    float y = 0.0f;
    int32_t n = integer_part(w);
    for (int32_t c = 0; c < w->cols; c += n) {
        int32_t group = c / w->group;
        float scale = dense_of_group(row, w->scales, group) * x.scales[c / INTEGER_UNIT];
        y = fmaf((float)part_sum(row, x.x, c, n), scale, y);
        if ((c + n) % w->group == 0)
            y = fmaf(dense_of_group(row, w->biases, group), x.sums[group], y);
    }
    return y;
}

void c_integer_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    (void)scratch;
    for (int32_t r = first; r < first + n; r++) {
        struct decoded_row row = {
            .w = &job->w,
            .packed = (const unsigned char *)job->w.data + (size_t)r * affine_row_bytes(&job->w),
            .first_group = (size_t)r * (size_t)(job->w.cols / job->w.group),
        };
        for (int32_t t = 0; t < job->x.rows; t++)
            job->y.data[(size_t)t * (size_t)job->y.stride + (size_t)r] =
                element(job, &row, t) + (job->bias ? job->bias[r] : 0.0f);
    }
}
