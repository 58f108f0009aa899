/* The order in which Qwen2.5-VL's vision tower sees a picture's merged tokens: window by window,
 * row by row inside a window, so that each window is one run of rows. Windows at the right and
 * lower edge may be smaller (transformers' get_window_index). */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct vit_windows {
    int32_t n_tokens; /* rows * cols of the merged grid */
    int32_t *order;   /* n_tokens: order[i] is the raster index of the i-th token in window order */
    int32_t *run_start; /* n_runs + 1, in tokens */
    int32_t n_runs;
};

/* rows, cols: the merged grid; side: a window's side in merged tokens. -1 with VLMD_NO_MEMORY. */
int vit_windows_open(struct vit_windows *w, int32_t rows, int32_t cols, int32_t side,
                     struct vlmd_error *err);
void vit_windows_close(struct vit_windows *w);
