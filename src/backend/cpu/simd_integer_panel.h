/* Linear layers with integer activations (integer.h) from weights as they lie in files, of any
 * width: sixteen rows and some columns become lines of 16-bit pairs, the order in which x lies. */
#pragma once

#include "backend/cpu/integer.h"
#include "backend/cpu/simd_linear.h"
#include "backend/cpu/simd_lines.h"

enum {
    INTEGER_PANEL_UNITS = 4,                        /* 256 columns: 8 KiB of lines */
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

SIMD_INLINE void integer_unpack(float columns[8][8], const unsigned char *packed, int bits)
{
    v8u values[8];
    v8u_unpack64(values, packed, bits);
    SIMD_UNROLL
    for (int j = 0; j < 4; j++)
        v8u_store(columns[j], v8u_or(values[j], v8u_shift_left(values[4 + j], 16)));
}

/* Pair j of octet o goes to pairs[j][o], for a unit of a row. */
static inline void integer_unpack_unit(float pairs[8][8], const unsigned char *packed, int32_t bits)
{
    switch (bits) {
    case 2:
        integer_unpack(pairs, packed, 2);
        return;
    case 3:
        integer_unpack(pairs, packed, 3);
        return;
    case 4:
        integer_unpack(pairs, packed, 4);
        return;
    case 5:
        integer_unpack(pairs, packed, 5);
        return;
    case 6:
        integer_unpack(pairs, packed, 6);
        return;
    default:
        integer_unpack(pairs, packed, 8);
        return;
    }
}

/* A unit of n_rows <= 8 rows from `row` on becomes half of its lines. */
static void integer_fill_unit(uint32_t (*lines)[INTEGER_BLOCK], const struct weight_source *w,
                              int32_t row, int32_t n_rows, int32_t unit)
{
    float pairs[4][8][8] = {0}; /* j, row, octet */
    size_t at = (size_t)unit * (size_t)w->bits * 8;
    int32_t left = w->cols - unit * INTEGER_UNIT;
    for (int32_t r = 0; r < n_rows; r++) {
        const unsigned char *packed =
            (const unsigned char *)w->data + (size_t)(row + r) * affine_row_bytes(w) + at;
        unsigned char padded[INTEGER_UNIT + 8] = {0};
        if (left <= INTEGER_UNIT) { /* unpacking reads beyond a unit: not at the row's end */
            memcpy(padded, packed, (size_t)left / 8 * (size_t)w->bits);
            packed = padded;
        }
        float unpacked[8][8];
        integer_unpack_unit(unpacked, packed, w->bits);
        for (int j = 0; j < 4; j++)
            memcpy(pairs[j][r], unpacked[j], sizeof unpacked[j]);
    }
    for (int j = 0; j < 4; j++) {
        v8 octets[8];
        v8_transpose64(octets, pairs[j][0]);
        SIMD_UNROLL
        for (int o = 0; o < 8; o++)
            v8u_store(lines[4 * o + j], v8_bits(octets[o]));
    }
}

/* Scales or biases of groups [first, first + n) for n_rows rows, each group's side by side. */
static void integer_fill_groups(float (*to)[INTEGER_BLOCK], const struct weight_source *w,
                                const void *values, int32_t row, int32_t n_rows, int32_t first,
                                int32_t n)
{
    size_t groups = (size_t)(w->cols / w->group);
    for (int32_t r = 0; r < n_rows; r++) {
        float floats[INTEGER_PANEL_GROUPS + 8];
        widen(floats, values, w->scale_type, (size_t)(row + r) * groups + (size_t)first, n);
        for (int32_t g = 0; g < n; g++)
            to[g][r] = floats[g];
    }
    for (int32_t r = n_rows; r < INTEGER_BLOCK; r++)
        for (int32_t g = 0; g < n; g++)
            to[g][r] = 0.0f;
}

static void integer_fill(struct integer_panel *panel, const struct weight_source *w, int32_t row,
                         int32_t n_rows, struct integer_run run)
{
    int32_t low = n_rows < 8 ? n_rows : 8;
    for (int32_t u = 0; u * INTEGER_UNIT < run.n; u++) {
        uint32_t(*lines)[INTEGER_BLOCK] = panel->lines + (size_t)u * INTEGER_UNIT_LINES;
        int32_t unit = run.first / INTEGER_UNIT + u;
        integer_fill_unit(lines, w, row, low, unit);
        integer_fill_unit((uint32_t(*)[INTEGER_BLOCK])(void *)(lines[0] + 8), w, row + low,
                          n_rows - low, unit);
    }
    int32_t group = run.first / w->group, n_groups = run.n / w->group;
    integer_fill_groups(panel->scales, w, w->scales, row, n_rows, group, n_groups);
    integer_fill_groups(panel->biases, w, w->biases, row, n_rows, group, n_groups);
}
