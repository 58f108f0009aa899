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
    memset(to.sums, 0, integer_sums_floats(&job->w) * sizeof *to.sums);
    for (int32_t unit = 0; unit < integer_units(job->w.cols); unit++)
        prepare_unit(job, &to, x, unit);
}

struct decoded_row {
    const struct weight_source *w;
    const unsigned char *packed;
    size_t first_group;
};

static void add_unit(float lanes[8], const struct decoded_row *row, const struct integer_row *x,
                     int32_t unit)
{
    const struct weight_source *w = row->w;
    for (int32_t lane = 0; lane < 8; lane++) {
        int32_t first = unit * INTEGER_UNIT + 8 * lane, sum = 0;
        if (first >= w->cols)
            continue;
        for (int32_t c = first; c < first + 8; c++)
            sum += (int32_t)affine_at(row->packed, w->bits, (size_t)c) *
                   x->x[unit * INTEGER_UNIT + integer_place(c % INTEGER_UNIT)];
        float scale =
            dense_at(w->scales, w->scale_type, row->first_group + (size_t)(first / w->group));
        lanes[lane] = fmaf((float)sum, scale * x->scales[unit], lanes[lane]);
    }
}

static void add_biases(float lanes[8], const struct decoded_row *row, const struct integer_row *x)
{
    int32_t groups = row->w->cols / row->w->group;
    for (int32_t g = 0; g < (groups + 7) / 8 * 8; g++) {
        float bias =
            g < groups ? dense_at(row->w->biases, row->w->scale_type, row->first_group + (size_t)g)
                       : 0.0f;
        lanes[g % 8] = fmaf(bias, x->sums[g], lanes[g % 8]);
    }
}

static float element(const struct linear_job *job, const struct decoded_row *row, int32_t token)
{
    struct integer_row x = integer_row(job, token);
    float l[8] = {0};
    for (int32_t unit = 0; unit < integer_units(job->w.cols); unit++)
        add_unit(l, row, &x, unit);
    add_biases(l, row, &x);
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
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
