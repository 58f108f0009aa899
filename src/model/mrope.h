/* M-RoPE: positions of (time, height, width) for text and images, and their rotation angles. Text
 * moves all three together; an image's token at row r and column c of its merged grid stands at (p,
 * p + r, p + c), and the text after it goes on at p + max(rows, cols) (Qwen2-VL, arXiv 2409.12191;
 * transformers' get_rope_index). */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct image_grid {
    int32_t rows, cols; /* after merging: rows * cols tokens */
};

/* Positions of `tokens`, the first at first_position. Every run of image_token is cut into the
 * grids in order. VLMD_INVALID when image tokens and grids do not match. *next_position is where a
 * following token would stand. */
int mrope_positions(const int32_t *tokens, int32_t n, int32_t image_token,
                    const struct image_grid *grids, int32_t n_grids, int32_t first_position,
                    int32_t (*out)[3], int32_t *next_position, struct vlmd_error *err);

/* inv_freq[j] = theta^(-2j / dim) for j < dim / 2 */
void rope_frequencies(float *inv_freq, int32_t dim, double theta);

/* cos, sin[n, head_dim / 2]: frequency j turns by the position whose section it falls in. sections
 * are counts that add up to head_dim / 2. */
void mrope_angles(const int32_t (*positions)[3], int32_t n, const int32_t sections[3],
                  const float *inv_freq, float *cos, float *sin);
