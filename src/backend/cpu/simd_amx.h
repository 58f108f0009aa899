/* What all kernels with AMX need: the shapes of tiles. */
#pragma once

#include <immintrin.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

enum {
    AMX_TILES = 8,
    AMX_TOKENS = 16,    /* a tile has at most 16 rows, */
    AMX_ROW_BYTES = 64, /* of 64 bytes */
};

/* TILECFG of palette 1. */
struct amx_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
};

/* gcc does not know what memory instructions for tiles read: what was written before is to be
 * there. */
SIMD_INLINE void amx_see_memory(void)
{
    __asm__ volatile("" ::: "memory");
}
