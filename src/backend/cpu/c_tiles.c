/* Layers of tiles.h in plain C: the oracle, equal to every other version bit for bit. Tiles are one
 * token wide, and their pairs neighbouring columns. */
#include "backend/cpu/tiles.h"

#include "backend/cpu/c_kernels.h"

static float greatest_of(const float *unit)
{
    float greatest = 0.0f;
    for (int32_t c = 0; c < INTEGER_UNIT; c++) {
        float size = fabsf(unit[c]);
        if (!(size <= greatest)) /* a NaN is greater than all, and stays */
            greatest = isnan(greatest) ? greatest : size;
    }
    return greatest;
}

/* Squares in tiles.h's orders, added up in as many lanes as x or w have there. */
static void add_squares(float *lanes, int32_t n_lanes, const float *unit)
{
    for (int32_t c = 0; c < INTEGER_UNIT; c++)
        lanes[c % n_lanes] = fmaf(unit[c], unit[c], lanes[c % n_lanes]);
}

static float squares_of_x(const float *unit)
{
    float l[8] = {0};
    add_squares(l, 8, unit);
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

static float squares_of_w(const float *unit)
{
    float l[4] = {0};
    add_squares(l, 4, unit);
    return (l[0] + l[1]) + (l[2] + l[3]);
}

static void round_unit(int16_t *to, const float *unit, float factor)
{
    for (int32_t c = 0; c < INTEGER_UNIT; c++)
        to[c] = factor > 0.0f ? (int16_t)nearbyintf(unit[c] * factor) : 0;
}

static void prepare_unit(const struct linear_job *job, int32_t token, int32_t u)
{
    const float *x = job->x.data + (size_t)token * (size_t)job->x.stride;
    float unit[INTEGER_UNIT] = {0}, factor;
    int32_t left = job->w.cols - u * INTEGER_UNIT, *to = tiles_unit(job, 1, token, u);
    memcpy(unit, x + (size_t)u * INTEGER_UNIT,
           (size_t)(left < INTEGER_UNIT ? left : INTEGER_UNIT) * sizeof *x);
    float scale = tiles_x_scale(squares_of_x(unit), greatest_of(unit), &factor);
    round_unit((int16_t *)(void *)to, unit, factor);
    memcpy(to + TILES_PAIRS, &scale, sizeof scale);
}

void c_tiles_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    if (job->w.type == WEIGHT_AFFINE) {
        if (run == 0) /* rows are prepared as one */
            c_integer_prepare(job, tile);
        return;
    }
    int32_t units = integer_units(job->w.cols), first = run * TILES_UNITS;
    for (int32_t u = first; u < first + TILES_UNITS && u < units; u++)
        prepare_unit(job, tile, u);
}

static float weights_of(int16_t *to, const struct weight_source *w, int32_t row, int32_t first)
{
    float unit[INTEGER_UNIT] = {0}, factor, scale;
    for (int32_t c = 0; c < INTEGER_UNIT && first + c < w->cols; c++)
        unit[c] =
            dense_at(w->data, w->type, (size_t)row * (size_t)w->cols + (size_t)first + (size_t)c);
    float squares = squares_of_w(unit);
    if (tiles_in_range(squares))
        scale = tiles_weight_scale(squares, &factor);
    else
        scale = tiles_odd_weight_scale(greatest_of(unit), &factor);
    round_unit(to, unit, factor);
    return scale;
}

static void dense_row(const struct linear_job *job, int32_t row)
{
    float sums[TILES_TOKENS] = {0};
    for (int32_t u = 0; u < integer_units(job->w.cols); u++) {
        int16_t w[INTEGER_UNIT];
        float w_scale = weights_of(w, &job->w, row, u * INTEGER_UNIT);
        for (int32_t t = 0; t < job->x.rows; t++) {
            const int32_t *unit = tiles_unit(job, 1, t, u);
            const int16_t *x = (const int16_t *)(const void *)unit;
            float x_scale;
            int32_t sum = 0;
            memcpy(&x_scale, unit + TILES_PAIRS, sizeof x_scale);
            for (int32_t c = 0; c < INTEGER_UNIT; c++)
                sum += w[c] * x[c];
            sums[t] = fmaf((float)sum, w_scale * x_scale, sums[t]);
        }
    }
    for (int32_t t = 0; t < job->x.rows; t++)
        job->y.data[(size_t)t * (size_t)job->y.stride + (size_t)row] =
            sums[t] + (job->bias ? job->bias[row] : 0.0f);
}

void c_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (job->w.type == WEIGHT_AFFINE) {
        c_integer_rows(job, first, n, scratch);
        return;
    }
    for (int32_t row = first; row < first + n; row++)
        dense_row(job, row);
}
