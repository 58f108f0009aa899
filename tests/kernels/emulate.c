#include "kernels/emulate.h"

#if defined(__x86_64__) && defined(__linux__)
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

/* Wide registers in a signal frame lie as XSAVE stores them (Intel 64 Architectures Software
 * Developer's Manual 1, 13.4): which parts are there, and the upper halves of the first sixteen. */
enum {
    XSAVE_PARTS = 512,
    XSAVE_UPPER = 576,
    XSAVE_HAS_UPPER = 4,
};

static bool emulated;

bool __real_cpuid_has_avxvnni(void);
bool __wrap_cpuid_has_avxvnni(void); /* the linker gives this to all who ask for the other */

bool __wrap_cpuid_has_avxvnni(void)
{
    return emulated || __real_cpuid_has_avxvnni();
}

/* vpdpwssd: to = to + a b; or vpbroadcastd, which lies between two of those and is done too, since
 * stopping takes a thousand times as long: to = eight times b (the same manual, 2). `to` and `a`
 * are registers, b is given as bytes. */
struct instruction {
    enum {
        DPWSSD = 0x52,
        BROADCASTD = 0x58
    } code;
    int to, a;
    unsigned char b[32];
    size_t length;
};

static void read_register(unsigned char to[32], const ucontext_t *at, int number)
{
    const unsigned char *area = (const unsigned char *)at->uc_mcontext.fpregs;
    memcpy(to, &at->uc_mcontext.fpregs->_xmm[number], 16);
    memcpy(to + 16, area + XSAVE_UPPER + 16 * number, 16);
}

static void write_register(ucontext_t *at, int number, const unsigned char from[32])
{
    unsigned char *area = (unsigned char *)at->uc_mcontext.fpregs;
    memcpy(&at->uc_mcontext.fpregs->_xmm[number], from, 16);
    memcpy(area + XSAVE_UPPER + 16 * number, from + 16, 16);
    area[XSAVE_PARTS] |= XSAVE_HAS_UPPER;
}

static uint64_t general_register(const ucontext_t *at, int number)
{
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};
    return (uint64_t)at->uc_mcontext.gregs[places[number]];
}

static int64_t signed_at(const unsigned char *p, size_t bytes)
{
    int8_t one;
    int32_t four;
    memcpy(&one, p, sizeof one);
    memcpy(&four, p, sizeof four);
    return bytes == 1 ? one : four;
}

/* The address that the bytes from ModRM on give; *length grows by what they take. */
static uint64_t address(const ucontext_t *at, const unsigned char *code, size_t *length,
                        int index_high, int base_high)
{
    const unsigned char *p = code + *length;
    int mod = *p >> 6, rm = *p & 7;
    uint64_t sum = 0;
    size_t offset = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    bool from_here = mod == 0 && rm == 5, no_base = false;
    p++;
    if (rm == 4) {
        int index = (*p >> 3 & 7) | index_high, base = *p & 7;
        if (index != 4)
            sum += general_register(at, index) << (*p >> 6);
        no_base = mod == 0 && base == 5;
        rm = base;
        p++;
    }
    if (from_here || no_base)
        offset = 4;
    else
        sum += general_register(at, rm | base_high);
    if (offset)
        sum += (uint64_t)signed_at(p, offset);
    *length = (size_t)(p + offset - code);
    return from_here ? sum + (uint64_t)(uintptr_t)(code + *length) : sum;
}

/* VEX.256.66.0F38.W0 52 /r, and 58 /r */
static bool decode(struct instruction *out, const ucontext_t *at)
{
    const unsigned char *code = (const unsigned char *)at->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x87) != 5 ||
        (code[3] != DPWSSD && code[3] != BROADCASTD))
        return false;
    int reg_high = code[1] & 0x80 ? 0 : 8, index_high = code[1] & 0x40 ? 0 : 8;
    int base_high = code[1] & 0x20 ? 0 : 8;
    out->code = code[3];
    out->to = (code[4] >> 3 & 7) | reg_high;
    out->a = ~code[2] >> 3 & 15;
    out->length = 4;
    if (code[4] >> 6 == 3) {
        read_register(out->b, at, (code[4] & 7) | base_high);
        out->length = 5;
        return true;
    }
    uint64_t b = address(at, code, &out->length, index_high, base_high);
    memcpy(out->b, (const void *)(uintptr_t)b, out->code == DPWSSD ? sizeof out->b : 4);
    return true;
}

static void dpwssd(int32_t sums[8], const int16_t a[16], const int16_t b[16])
{
    for (int i = 0; i < 8; i++)
        sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)(a[2 * i] * b[2 * i]) +
                            (uint32_t)(a[2 * i + 1] * b[2 * i + 1]));
}

static void execute(ucontext_t *at, const struct instruction *it)
{
    unsigned char bytes[32];
    int16_t a[16], b[16];
    int32_t to[8];
    if (it->code == BROADCASTD) {
        for (int i = 0; i < 8; i++)
            memcpy(&to[i], it->b, sizeof to[i]);
    } else {
        read_register(bytes, at, it->a);
        memcpy(a, bytes, sizeof a);
        memcpy(b, it->b, sizeof b);
        read_register(bytes, at, it->to);
        memcpy(to, bytes, sizeof to);
        dpwssd(to, a, b);
    }
    memcpy(bytes, to, sizeof bytes);
    write_register(at, it->to, bytes);
    at->uc_mcontext.gregs[REG_RIP] += (greg_t)it->length;
}

static void on_illegal_instruction(int sig, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *at = context;
    struct instruction it;
    if (!decode(&it, at) || it.code != DPWSSD)
        signal(sig, SIG_DFL); /* it stops there again, for good */
    else
        do
            execute(at, &it);
        while (decode(&it, at));
}

bool emulate_avxvnni(void)
{
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO};
    emulated = !__real_cpuid_has_avxvnni() && sigaction(SIGILL, &action, NULL) == 0;
    return emulated;
}
#else
bool emulate_avxvnni(void)
{
    return false;
}
#endif
