#include "kernels/emulate.h"

#if defined(__x86_64__) && defined(__linux__)
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

bool __real_cpuid_has_avxvnni(void);
bool __real_cpuid_has_amx(void);
bool __real_cpuid_has_amx_bf16(void);
bool __wrap_cpuid_has_avxvnni(void); /* the linker gives these to all who ask for the others */
bool __wrap_cpuid_has_amx(void);
bool __wrap_cpuid_has_amx_bf16(void);

static bool emulated;

bool emulate_does(const char *isa)
{
    bool is_amx = strcmp(isa, "amx") == 0 || strcmp(isa, "amxbf16") == 0;
    return emulated && ((strcmp(isa, "avxvnni") == 0 && !__real_cpuid_has_avxvnni()) ||
                        (is_amx && !__real_cpuid_has_amx()));
}

bool __wrap_cpuid_has_avxvnni(void)
{
    return __real_cpuid_has_avxvnni() || emulated;
}

bool __wrap_cpuid_has_amx(void)
{
    return __real_cpuid_has_amx() || emulated; /* it also asks the system for registers */
}

/* Tiles that the processor has are not to be read from here. */
bool __wrap_cpuid_has_amx_bf16(void)
{
    return __real_cpuid_has_amx_bf16() || (emulated && !__real_cpuid_has_amx());
}

/* ---- an instruction (Intel 64 Architectures Software Developer's Manual 2, 2.3 and 3.1.1) */

enum {
    PREFIX_NONE,
    PREFIX_66,
    PREFIX_F3,
    PREFIX_F2
};

/* VEX.prefix.0F38.W0 opcode /r. Without `in_memory` rm is a register; otherwise memory lies at
 * `at`, and `stride` is the index times its scale, which AMX takes for the way from row to row. */
struct instruction {
    uint8_t opcode;
    int prefix, reg, other, rm;
    bool is_256, in_memory;
    uint64_t at, stride;
    size_t length;
};

static uint64_t general_register(const ucontext_t *from, int number)
{
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};
    return (uint64_t)from->uc_mcontext.gregs[places[number]];
}

static int64_t signed_at(const unsigned char *p, size_t bytes)
{
    int8_t one;
    int32_t four;
    memcpy(&one, p, sizeof one);
    memcpy(&four, p, sizeof four);
    return bytes == 1 ? one : four;
}

/* Where memory lies, and the length, by the bytes from ModRM on. */
static void decode_memory(struct instruction *out, const ucontext_t *from,
                          const unsigned char *code, int index_high, int base_high)
{
    const unsigned char *p = code + 4;
    int mod = *p >> 6, base = *p & 7;
    size_t offset = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    bool from_here = mod == 0 && base == 5, no_base = false;
    uint64_t sum = 0;
    p++;
    if (base == 4) {
        int index = (*p >> 3 & 7) | index_high;
        base = *p & 7;
        if (index != 4)
            out->stride = general_register(from, index) << (*p >> 6);
        no_base = mod == 0 && base == 5;
        p++;
    }
    if (from_here || no_base)
        offset = 4;
    else
        sum = general_register(from, base | base_high);
    if (offset)
        sum += (uint64_t)signed_at(p, offset);
    out->length = (size_t)(p + offset - code);
    out->in_memory = true;
    out->at = from_here ? sum + (uint64_t)(uintptr_t)(code + out->length) : sum;
}

static bool decode(struct instruction *out, const ucontext_t *from)
{
    const unsigned char *code = (const unsigned char *)from->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || code[2] & 0x80)
        return false;
    int reg_high = code[1] & 0x80 ? 0 : 8, index_high = code[1] & 0x40 ? 0 : 8;
    int base_high = code[1] & 0x20 ? 0 : 8;
    *out = (struct instruction){
        .opcode = code[3],
        .prefix = code[2] & 3,
        .reg = (code[4] >> 3 & 7) | reg_high,
        .other = ~code[2] >> 3 & 15,
        .rm = (code[4] & 7) | base_high,
        .is_256 = (code[2] & 4) != 0,
        .length = 5,
    };
    if (code[4] >> 6 != 3)
        decode_memory(out, from, code, index_high, base_high);
    return true;
}

/* ---- AVX-VNNI */

/* Wide registers in a signal frame lie as XSAVE stores them (the same manual, 1, 13.4): which parts
 * are there, and the upper halves of the first sixteen. */
enum {
    XSAVE_PARTS = 512,
    XSAVE_UPPER = 576,
    XSAVE_HAS_UPPER = 4,
};

enum {
    DPWSSD = 0x52,
    BROADCASTD = 0x58
};

static void read_register(unsigned char to[32], const ucontext_t *from, int number)
{
    const unsigned char *area = (const unsigned char *)from->uc_mcontext.fpregs;
    memcpy(to, &from->uc_mcontext.fpregs->_xmm[number], 16);
    memcpy(to + 16, area + XSAVE_UPPER + 16 * number, 16);
}

static void write_register(ucontext_t *to, int number, const unsigned char from[32])
{
    unsigned char *area = (unsigned char *)to->uc_mcontext.fpregs;
    memcpy(&to->uc_mcontext.fpregs->_xmm[number], from, 16);
    memcpy(area + XSAVE_UPPER + 16 * number, from + 16, 16);
    area[XSAVE_PARTS] |= XSAVE_HAS_UPPER;
}

static void dpwssd(int32_t sums[8], const int16_t a[16], const int16_t b[16])
{
    for (int i = 0; i < 8; i++)
        sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)(a[2 * i] * b[2 * i]) +
                            (uint32_t)(a[2 * i + 1] * b[2 * i + 1]));
}

/* vpdpwssd, and vpbroadcastd, which lies between two of those: stopping once more would take a
 * thousand times as long. */
static bool do_vector(ucontext_t *at, const struct instruction *it)
{
    if (it->prefix != PREFIX_66 || !it->is_256 ||
        (it->opcode != DPWSSD && it->opcode != BROADCASTD))
        return false;
    unsigned char bytes[32];
    int16_t a[16], b[16];
    int32_t to[8];
    if (it->in_memory)
        memcpy(bytes, (const void *)(uintptr_t)it->at, it->opcode == DPWSSD ? sizeof bytes : 4);
    else
        read_register(bytes, at, it->rm);
    memcpy(b, bytes, sizeof b);
    if (it->opcode == BROADCASTD) {
        for (int i = 0; i < 8; i++)
            memcpy(&to[i], bytes, sizeof to[i]);
    } else {
        read_register(bytes, at, it->other);
        memcpy(a, bytes, sizeof a);
        read_register(bytes, at, it->reg);
        memcpy(to, bytes, sizeof to);
        dpwssd(to, a, b);
    }
    memcpy(bytes, to, sizeof bytes);
    write_register(at, it->reg, bytes);
    return true;
}

/* ---- AMX */

enum {
    TILES = 8,
    TILE_ROWS = 16,
    TILE_BYTES = 64, /* of a row */
    TILE_CONFIGURE = 0x49,
    TILE_MOVE = 0x4b,
    TILE_MULTIPLY_BF16 = 0x5c,
    TILE_MULTIPLY = 0x5e
};

/* Each thread has its own. */
static _Thread_local struct {
    uint16_t bytes[TILES];
    uint8_t rows[TILES];
    uint8_t data[TILES][TILE_ROWS][TILE_BYTES];
} tiles;

/* As ldtilecfg reads it (the same manual, 1, 18.2). */
static void configure(const unsigned char *from)
{
    memset(&tiles, 0, sizeof tiles);
    memcpy(tiles.bytes, from + 16, sizeof tiles.bytes);
    memcpy(tiles.rows, from + 48, sizeof tiles.rows);
}

static void load_tile(int number, const unsigned char *from, uint64_t stride)
{
    memset(tiles.data[number], 0, sizeof tiles.data[number]);
    for (int r = 0; r < tiles.rows[number]; r++)
        memcpy(tiles.data[number][r], from + (uint64_t)r * stride, tiles.bytes[number]);
}

static void store_tile(unsigned char *to, uint64_t stride, int number)
{
    for (int r = 0; r < tiles.rows[number]; r++)
        memcpy(to + (uint64_t)r * stride, tiles.data[number][r], tiles.bytes[number]);
}

static int32_t byte_of(uint8_t byte, bool is_signed)
{
    return is_signed ? (int8_t)byte : byte;
}

/* to += a b: four bytes of a row of a with four of a row of b. */
static void multiply_tiles(int to, int a, int b, bool a_signed, bool b_signed)
{
    for (int m = 0; m < tiles.rows[to]; m++)
        for (int n = 0; n < tiles.bytes[to] / 4; n++) {
            uint32_t sum;
            memcpy(&sum, &tiles.data[to][m][4 * n], sizeof sum);
            for (int k = 0; k < tiles.bytes[a]; k++)
                sum += (uint32_t)(byte_of(tiles.data[a][m][k], a_signed) *
                                  byte_of(tiles.data[b][k / 4][4 * n + k % 4], b_signed));
            memcpy(&tiles.data[to][m][4 * n], &sum, sizeof sum);
        }
}

/* What is denormal counts as zero. */
static float flushed(float v)
{
    return fabsf(v) < FLT_MIN ? copysignf(0.0f, v) : v;
}

static float float_of_bf16(const uint8_t *at)
{
    uint16_t half;
    float v;
    memcpy(&half, at, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&v, &bits, sizeof v);
    return flushed(v);
}

/* to += a b: two bf16 numbers of a row of a with two of a row of b; those at even places have sums
 * of their own, which begin with zero, and so have the others (the same manual, 2, TDPBF16PS). */
static void multiply_bf16_tiles(int to, int a, int b)
{
    int n_columns = tiles.bytes[to] / 4;
    for (int m = 0; m < tiles.rows[to]; m++) {
        float sums[2][TILE_BYTES / 4] = {{0}};
        for (int k = 0; k < tiles.bytes[a] / 2; k++) {
            float factor = float_of_bf16(&tiles.data[a][m][2 * k]);
            const uint8_t *row = tiles.data[b][k / 2] + k % 2 * 2;
            for (int n = 0; n < n_columns; n++)
                sums[k % 2][n] = flushed(fmaf(factor, float_of_bf16(row + 4 * n), sums[k % 2][n]));
        }
        for (int n = 0; n < n_columns; n++) {
            float sum;
            uint8_t *at = &tiles.data[to][m][4 * n];
            memcpy(&sum, at, sizeof sum);
            sum = flushed(flushed(sum) + flushed(sums[0][n] + sums[1][n]));
            memcpy(at, &sum, sizeof sum);
        }
    }
}

static bool do_tiles(const struct instruction *it)
{
    unsigned char *memory = (unsigned char *)(uintptr_t)it->at;
    if (it->is_256)
        return false;
    if (it->opcode == TILE_CONFIGURE && it->prefix == PREFIX_NONE && it->in_memory)
        configure(memory);
    else if (it->opcode == TILE_CONFIGURE && it->prefix == PREFIX_NONE)
        memset(&tiles, 0, sizeof tiles); /* tilerelease */
    else if (it->opcode == TILE_CONFIGURE && it->prefix == PREFIX_F2 && !it->in_memory)
        memset(tiles.data[it->reg], 0, sizeof tiles.data[it->reg]); /* tilezero */
    else if (it->opcode == TILE_MOVE && it->prefix == PREFIX_F2 && it->in_memory)
        load_tile(it->reg, memory, it->stride);
    else if (it->opcode == TILE_MOVE && it->prefix == PREFIX_F3 && it->in_memory)
        store_tile(memory, it->stride, it->reg);
    else if (it->opcode == TILE_MULTIPLY && !it->in_memory)
        multiply_tiles(it->reg, it->rm, it->other,
                       it->prefix == PREFIX_F2 || it->prefix == PREFIX_F3,
                       it->prefix == PREFIX_F2 || it->prefix == PREFIX_66);
    else if (it->opcode == TILE_MULTIPLY_BF16 && it->prefix == PREFIX_F3 && !it->in_memory)
        multiply_bf16_tiles(it->reg, it->rm, it->other);
    else
        return false;
    return true;
}

/* ---- where the processor stops */

static void on_illegal_instruction(int sig, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *at = context;
    struct instruction it;
    bool any = false;
    while (decode(&it, at)) {
        if (!do_tiles(&it) && !do_vector(at, &it))
            break;
        any = true;
        at->uc_mcontext.gregs[REG_RIP] += (greg_t)it.length;
    }
    if (!any)
        signal(sig, SIG_DFL); /* it stops there again, for good */
}

void emulate_begin(void)
{
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO};
    emulated = sigaction(SIGILL, &action, NULL) == 0;
}
#else
void emulate_begin(void)
{
}

bool emulate_does(const char *isa)
{
    (void)isa;
    return false;
}
#endif
