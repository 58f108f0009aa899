#include "model/vit_windows.h"

#include <stdlib.h>

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

int vit_windows_open(struct vit_windows *w, int32_t rows, int32_t cols, int32_t side,
                     struct vlmd_error *err)
{
    int32_t down = (rows + side - 1) / side, across = (cols + side - 1) / side;
    *w = (struct vit_windows){.n_tokens = rows * cols, .n_runs = down * across};
    w->order = malloc((size_t)w->n_tokens * sizeof *w->order);
    w->run_start = malloc(((size_t)w->n_runs + 1) * sizeof *w->run_start);
    if (!w->order || !w->run_start) {
        vit_windows_close(w);
        return err_no_memory(err, (size_t)rows * (size_t)cols * sizeof *w->order);
    }
    int32_t n = 0, run = 0;
    for (int32_t top = 0; top < rows; top += side)
        for (int32_t left = 0; left < cols; left += side) {
            w->run_start[run++] = n;
            for (int32_t r = top; r < smaller(top + side, rows); r++)
                for (int32_t c = left; c < smaller(left + side, cols); c++)
                    w->order[n++] = r * cols + c;
        }
    w->run_start[run] = n;
    return 0;
}

void vit_windows_close(struct vit_windows *w)
{
    free(w->order);
    free(w->run_start);
    *w = (struct vit_windows){0};
}
