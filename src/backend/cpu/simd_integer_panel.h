/* A panel: sixteen rows and some columns of weights as lines of 16-bit pairs, the order in which x
 * lies (integer.h), for kernels that meet it with many tokens. */
#pragma once

#include "backend/cpu/simd_lines.h"
#include "backend/cpu/simd_widen.h"
#include "backend/cpu/tiles.h"

enum {
    INTEGER_PANEL_UNITS = TILES_UNITS,              /* 256 columns: 8 KiB of lines */
    INTEGER_UNIT_LINES = 32,                        /* of 16-bit pairs */
    INTEGER_PANEL_GROUPS = 2 * INTEGER_PANEL_UNITS, /* at most */
};

struct integer_panel {
    uint32_t lines[INTEGER_PANEL_UNITS * INTEGER_UNIT_LINES][INTEGER_BLOCK];
    float scales[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
    float biases[INTEGER_PANEL_GROUPS][INTEGER_BLOCK];
};

/* Columns of a row that a panel holds. */
struct integer_run {
    int32_t first, n;
};
