/* Layers of tiles.h in plain C: the oracle, equal to every other version bit for bit. Tiles are one
 * token wide, and their pairs neighbouring columns. */
#include "backend/cpu/tiles.h"

#include "backend/cpu/c_kernels.h"
#include "backend/cpu/strassen.h"

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

static float add_lanes(const float l[8])
{
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

static float squares_of_x(const float *unit)
{
    float lanes[8] = {0};
    add_squares(lanes, 8, unit);
    return add_lanes(lanes);
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

static float x_at(struct tensor x, int32_t token, int32_t col)
{
    return token < x.rows && col < x.cols ? x.data[(size_t)token * (size_t)x.stride + (size_t)col]
                                          : 0.0f;
}

static float w_at(struct linear_part w, size_t stride, int32_t row, int32_t col)
{
    if (row >= w.rows || col >= w.cols)
        return 0.0f;
    return dense_at(w.data + (size_t)row * stride, WEIGHT_BF16, (size_t)col);
}

static float w_of(const struct linear_job *job, int32_t row, int32_t col)
{
    const struct linear_terms *terms = job->terms;
    struct linear_part whole = {job->w.data, job->w.rows, job->w.cols};
    if (!terms)
        return w_at(whole, 2 * (size_t)whole.cols, row, col);
    float first = w_at(terms->w[0], terms->stride, row, col);
    return terms->sign == 0  ? first
           : terms->sign > 0 ? first + w_at(terms->w[1], terms->stride, row, col)
                             : first - w_at(terms->w[1], terms->stride, row, col);
}

/* x becomes unit u of a token. */
static void prepare_unit(const struct linear_job *job, int32_t token, int32_t u,
                         const float x[INTEGER_UNIT])
{
    float factor;
    int32_t *to = tiles_unit(job, 1, token, u);
    float scale = tiles_x_scale(squares_of_x(x), greatest_of(x), &factor);
    round_unit((int16_t *)(void *)to, x, factor);
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
    for (int32_t u = first; u < first + TILES_UNITS && u < units; u++) {
        float x[INTEGER_UNIT];
        for (int32_t c = 0; c < INTEGER_UNIT; c++)
            x[c] = x_at(job->x, tile, u * INTEGER_UNIT + c);
        prepare_unit(job, tile, u, x);
    }
}

static float weights_of(int16_t *to, const struct linear_job *job, int32_t row, int32_t first)
{
    float unit[INTEGER_UNIT], factor, scale;
    for (int32_t c = 0; c < INTEGER_UNIT; c++)
        unit[c] = w_of(job, row, first + c);
    float squares = squares_of_w(unit);
    if (tiles_in_range(squares))
        scale = tiles_weight_scale(squares, &factor);
    else
        scale = tiles_odd_weight_scale(greatest_of(unit), &factor);
    round_unit(to, unit, factor);
    return scale;
}

/* Adds what one row and all tokens give. */
static void add_row(const struct linear_job *job, int32_t row, float *sums)
{
    for (int32_t u = 0; u < integer_units(job->w.cols); u++) {
        int16_t w[INTEGER_UNIT];
        float w_scale = weights_of(w, job, row, u * INTEGER_UNIT);
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
}

static void store_row(const struct linear_job *job, int32_t row, const float *sums)
{
    for (int32_t t = 0; t < job->x.rows; t++)
        job->y.data[(size_t)t * (size_t)job->y.stride + (size_t)row] =
            sums[t] * (job->y_scales ? job->y_scales[t] : 1.0f) +
            (job->bias ? job->bias[row] : 0.0f);
}

void c_tiles_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    if (job->w.type == WEIGHT_AFFINE) {
        c_integer_rows(job, first, n, scratch);
        return;
    }
    for (int32_t row = first; row < first + n; row++) {
        float sums[TILES_TOKENS] = {0};
        add_row(job, row, sums);
        store_row(job, row, sums);
    }
}

/* ---- seven products (strassen.h) */

static float squares_of_row(struct tensor x, int32_t token)
{
    float l[STRASSEN_LANES] = {0}, sums[8];
    for (int32_t c = 0; token < x.rows && c < x.cols; c++) {
        float v = x_at(x, token, c);
        l[c % STRASSEN_LANES] = fmaf(v, v, l[c % STRASSEN_LANES]);
    }
    for (int32_t i = 0; i < 8; i++)
        sums[i] = (l[i] + l[i + 8]) + (l[i + 16] + l[i + 24]);
    return add_lanes(sums);
}

void c_strassen_begin(const struct linear_job *job, int32_t token)
{
    float first = squares_of_row(job->x, token);
    float second = squares_of_row(job->x, strassen_tokens(job) + token);
    strassen_set_factor(job, token, strassen_factor_of(first, second));
}

static float x_of_quarter(const struct linear_job *job, struct strassen_quarter q, int32_t token,
                          int32_t col)
{
    float x = x_at(strassen_x(job, q), token, col);
    return q.row == 1 ? x * strassen_factors(job)[token] : x;
}

static void prepare_product(const struct linear_job *job, enum strassen_number number,
                            int32_t token, int32_t u)
{
    struct strassen_factor sum = strassen_products[number].x;
    struct linear_terms terms;
    struct linear_job product = strassen_job(job, number, &terms);
    float x[INTEGER_UNIT];
    for (int32_t c = 0; c < INTEGER_UNIT; c++) {
        int32_t col = u * INTEGER_UNIT + c;
        x[c] = x_of_quarter(job, sum.first, token, col);
        if (sum.sign > 0)
            x[c] += x_of_quarter(job, sum.second, token, col);
        if (sum.sign < 0)
            x[c] -= x_of_quarter(job, sum.second, token, col);
    }
    prepare_unit(&product, token, u, x);
}

void c_strassen_prepare(const struct linear_job *job, int32_t tile, int32_t run)
{
    int32_t first = run * TILES_UNITS;
    int32_t end = tiles_min(integer_units(strassen_cols(&job->w)), first + TILES_UNITS);
    for (int32_t u = first; u < end; u++)
        for (enum strassen_number i = STRASSEN_M1; i <= STRASSEN_M7; i++)
            prepare_product(job, i, tile, u);
}

static void add_product(const struct linear_job *job, enum strassen_number number, int32_t row,
                        float *sums)
{
    struct linear_terms terms;
    struct linear_job product = strassen_job(job, number, &terms);
    add_row(&product, row, sums);
}

static void store_quarter(const struct linear_job *job, int32_t tokens_half, int32_t rows_half,
                          int32_t row, const float *sums)
{
    struct strassen_quarter quarter = {(uint8_t)tokens_half, (uint8_t)rows_half};
    struct linear_job part = strassen_y(job, quarter);
    if (row < part.w.rows)
        store_row(&part, row, sums);
}

static void strassen_row(const struct linear_job *job, int32_t row)
{
    float m[STRASSEN_PRODUCTS][TILES_TOKENS] = {0}, y[2][2][TILES_TOKENS];
    add_product(job, STRASSEN_M1, row, m[STRASSEN_M1]);
    memcpy(m[STRASSEN_M6], m[STRASSEN_M1], sizeof m[0]);
    memcpy(m[STRASSEN_M7], m[STRASSEN_M1], sizeof m[0]);
    for (enum strassen_number i = STRASSEN_M2; i <= STRASSEN_M7; i++)
        add_product(job, i, row, m[i]);
    for (int32_t t = 0; t < TILES_TOKENS; t++) {
        y[0][0][t] = m[STRASSEN_M7][t] + m[STRASSEN_M4][t] - m[STRASSEN_M5][t];
        y[0][1][t] = m[STRASSEN_M3][t] + m[STRASSEN_M5][t];
        y[1][0][t] = m[STRASSEN_M2][t] + m[STRASSEN_M4][t];
        y[1][1][t] = m[STRASSEN_M6][t] - m[STRASSEN_M2][t] + m[STRASSEN_M3][t];
    }
    for (int32_t i = 0; i < 4; i++)
        store_quarter(job, i / 2, i % 2, row, y[i / 2][i % 2]);
}

void c_strassen_rows(const struct linear_job *job, int32_t first, int32_t n, float *scratch)
{
    (void)scratch;
    for (int32_t row = first; row < first + n; row++)
        strassen_row(job, row);
}
