#include "model/mrope.h"

#include <math.h>

static int mismatch(struct vlmd_error *err)
{
    return err_set(err, VLMD_INVALID, "images",
                   "the prompt's image placeholders do not match its images");
}

int mrope_positions(const int32_t *tokens, int32_t n, int32_t image_token,
                    const struct image_grid *grids, int32_t n_grids, int32_t first_position,
                    int32_t (*out)[3], int32_t *next_position, struct vlmd_error *err)
{
    int32_t position = first_position, grid = 0;
    for (int32_t i = 0; i < n;) {
        if (tokens[i] != image_token) {
            out[i][0] = out[i][1] = out[i][2] = position++;
            i++;
            continue;
        }
        if (grid == n_grids)
            return mismatch(err);
        const struct image_grid g = grids[grid++];
        for (int32_t r = 0; r < g.rows; r++)
            for (int32_t c = 0; c < g.cols; c++, i++) {
                if (i == n || tokens[i] != image_token)
                    return mismatch(err);
                out[i][0] = position;
                out[i][1] = position + r;
                out[i][2] = position + c;
            }
        position += g.rows > g.cols ? g.rows : g.cols;
    }
    if (grid != n_grids)
        return mismatch(err);
    *next_position = position;
    return 0;
}

void rope_frequencies(float *inv_freq, int32_t dim, double theta)
{
    for (int32_t j = 0; j < dim / 2; j++)
        inv_freq[j] = (float)(1.0 / pow(theta, 2.0 * j / dim));
}

void mrope_angles(const int32_t (*positions)[3], int32_t n, const int32_t sections[3],
                  const float *inv_freq, float *cos, float *sin)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t j = 0;
        for (int axis = 0; axis < 3; axis++)
            for (int32_t end = j + sections[axis]; j < end; j++) {
                float angle = (float)positions[i][axis] * inv_freq[j];
                *cos++ = cosf(angle);
                *sin++ = sinf(angle);
            }
    }
}
