/* Repacked weights (integer.h) in registers: the sixteen pairs of 32 columns of a block. */
#pragma once

#include "backend/cpu/integer.h"
#include "backend/cpu/simd_lines.h"

enum {
    BLOCK_PAIRS = 16, /* of 32 columns */
};

SIMD_INLINE line block_field(const unsigned char *lines, int pair, int to, int bits)
{
    int pairs = 16 / bits;
    line words = line_load(lines + pair / pairs * INTEGER_LINE);
    return line_field(words, pair % pairs * bits, to, bits);
}

/* Pair number `pair` of the 32 columns whose lines begin at `lines`, integers of `bits` bits: both
 * are to be constants. */
SIMD_INLINE line block_pair(const unsigned char *lines, int pair, int bits)
{
    const int low = bits == 8 ? 8 : bits >= 4 ? 4 : 2; /* integer_low_bits */
    line q = block_field(lines, pair, 0, low);
    if (bits == low)
        return q;
    return line_or(q, block_field(lines + low * INTEGER_LINE, pair, low, bits - low));
}

/* All sixteen of them, as panels for many tokens have them. */
SIMD_INLINE void block_unpack_bits(uint32_t (*to)[INTEGER_BLOCK], const unsigned char *lines,
                                   int bits)
{
    SIMD_UNROLL
    for (int p = 0; p < BLOCK_PAIRS; p++)
        line_store(to[p], block_pair(lines, p, bits));
}

static inline void block_unpack(uint32_t (*to)[INTEGER_BLOCK], const unsigned char *lines,
                                int32_t bits)
{
    switch (bits) {
    case 2:
        block_unpack_bits(to, lines, 2);
        return;
    case 3:
        block_unpack_bits(to, lines, 3);
        return;
    case 4:
        block_unpack_bits(to, lines, 4);
        return;
    case 5:
        block_unpack_bits(to, lines, 5);
        return;
    case 6:
        block_unpack_bits(to, lines, 6);
        return;
    default:
        block_unpack_bits(to, lines, 8);
        return;
    }
}

/* From two words of 16-bit pairs, a and b, the low bytes in the order a b a b. */
SIMD_INLINE line line_low_bytes(line a, line b)
{
    return line_or(line_and(a, 0x00ff00ff), line_field(b, 0, 8, 8));
}

SIMD_INLINE line line_high_bytes(line a, line b)
{
    return line_or(line_field(a, 8, 0, 8), line_and(b, 0xff00ff00));
}

/* Quad number `quad` of the 32 columns, pairs 2 quad and 2 quad + 1, as bytes. */
SIMD_INLINE line block_quad(const unsigned char *lines, int quad, int bits)
{
    return line_low_bytes(block_pair(lines, 2 * quad, bits), block_pair(lines, 2 * quad + 1, bits));
}

/* All eight of them. */
SIMD_INLINE void block_unpack_quads_bits(uint32_t (*to)[INTEGER_BLOCK], const unsigned char *lines,
                                         int bits)
{
    SIMD_UNROLL
    for (int q = 0; q < BLOCK_PAIRS / 2; q++)
        line_store(to[q], block_quad(lines, q, bits));
}

static inline void block_unpack_quads(uint32_t (*to)[INTEGER_BLOCK], const unsigned char *lines,
                                      int32_t bits)
{
    switch (bits) {
    case 2:
        block_unpack_quads_bits(to, lines, 2);
        return;
    case 3:
        block_unpack_quads_bits(to, lines, 3);
        return;
    case 4:
        block_unpack_quads_bits(to, lines, 4);
        return;
    case 5:
        block_unpack_quads_bits(to, lines, 5);
        return;
    case 6:
        block_unpack_quads_bits(to, lines, 6);
        return;
    default:
        block_unpack_quads_bits(to, lines, 8);
        return;
    }
}
