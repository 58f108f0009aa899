#include "backend/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "backend/cpu/backend.h"

enum {
    HUGE_PAGE = 2 << 20 /* as on x86-64, and on AArch64 with pages of 4 KB */
};

static void cpu_close(struct backend *be)
{
    struct cpu_backend *cpu = cpu_backend_of(be);
    threads_close(cpu->threads);
    free(cpu->scratch);
    free(cpu->partials);
    free(cpu->prepared);
    free(cpu->jobs);
    free(cpu);
}

static void *cpu_alloc(struct backend *be, size_t bytes)
{
    (void)be;
    size_t alignment = bytes < 2 * HUGE_PAGE ? 64 : HUGE_PAGE;
    if (bytes > SIZE_MAX - alignment)
        return NULL;
    bytes = (bytes + (bytes == 0) + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, bytes);
#ifdef MADV_HUGEPAGE
    if (memory && alignment == HUGE_PAGE)
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* good to have, not needed */
#endif
    return memory;
}

static void cpu_free(struct backend *be, void *memory)
{
    (void)be;
    free(memory);
}

static void cpu_copy(struct backend *be, void *to, const void *from, size_t bytes)
{
    (void)be;
    if (bytes > 0)
        memcpy(to, from, bytes);
}

static const struct ops cpu_ops = {
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .weight_load = cpu_weight_load,
    .weights_end = cpu_weights_end,
    .weight_free = cpu_weight_free,
    .embed = cpu_embed,
    .linear = cpu_linear,
    .rms_norm = cpu_rms_norm,
    .add = cpu_add,
    .silu_mul = cpu_silu_mul,
    .gelu = cpu_gelu,
    .rope = cpu_rope,
    .kv_append = cpu_kv_append,
    .attention = cpu_attention,
    .attention_runs = cpu_attention_runs,
    .gather_rows = cpu_gather_rows,
    .scatter_rows = cpu_scatter_rows,
};

static int choose_kernels(struct cpu_kernels *k, const char *isa, struct vlmd_error *err)
{
    kernels_c(k);
    if (!isa || strcmp(isa, "auto") == 0) {
        if (!kernels_amxbf16(k) && !kernels_amx(k) && !kernels_avx512(k) && !kernels_avxvnni(k) &&
            !kernels_avx2(k) && !kernels_i8mm(k) && !kernels_dotprod(k))
            kernels_neon(k);
        return 0;
    }
    if (strcmp(isa, "c") == 0)
        return 0;
    if (strcmp(isa, "avx2") == 0 && kernels_avx2(k))
        return 0;
    if (strcmp(isa, "avxvnni") == 0 && kernels_avxvnni(k))
        return 0;
    if (strcmp(isa, "avx512") == 0 && kernels_avx512(k))
        return 0;
    if (strcmp(isa, "amx") == 0 && kernels_amx(k))
        return 0;
    if (strcmp(isa, "amxbf16") == 0 && kernels_amxbf16(k))
        return 0;
    if (strcmp(isa, "neon") == 0 && kernels_neon(k))
        return 0;
    if (strcmp(isa, "dotprod") == 0 && kernels_dotprod(k))
        return 0;
    if (strcmp(isa, "i8mm") == 0 && kernels_i8mm(k))
        return 0;
    return err_set(
        err, VLMD_UNSUPPORTED, "isa",
        "no \"%s\" kernels on this processor (there are auto, c, avx2, avxvnni, avx512, amx, "
        "amxbf16, neon, dotprod, i8mm)",
        isa);
}

static int choose_activations(bool *integer, const char *name, struct vlmd_error *err)
{
    *integer = !name || strcmp(name, "auto") == 0 || strcmp(name, "int16") == 0;
    if (*integer || strcmp(name, "float32") == 0)
        return 0;
    return err_set(err, VLMD_UNSUPPORTED, "activations",
                   "activations are auto, int16 or float32, not \"%s\"", name);
}

static int open_parts(struct cpu_backend *cpu, const struct cpu_options *options,
                      struct vlmd_error *err)
{
    if (choose_kernels(&cpu->kernels, options->isa, err) != 0 ||
        choose_activations(&cpu->integer, options->activations, err) != 0)
        return -1;
    cpu->threads = threads_open(options->threads, err);
    if (!cpu->threads)
        return -1;
    size_t bytes = (size_t)threads_count(cpu->threads) * KERNEL_SCRATCH * sizeof(float);
    cpu->scratch = aligned_alloc(64, bytes);
    cpu->partials = aligned_alloc(64, ATTENTION_PARTIALS * sizeof(float));
    return cpu->scratch && cpu->partials ? 0 : err_no_memory(err, bytes);
}

struct backend *backend_cpu_open(const struct cpu_options *options, struct vlmd_error *err)
{
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (!cpu) {
        err_no_memory(err, sizeof *cpu);
        return NULL;
    }
    cpu->ops = cpu_ops;
    cpu->base.ops = &cpu->ops;
    if (open_parts(cpu, options, err) != 0) {
        cpu_close(&cpu->base);
        return NULL;
    }
    snprintf(cpu->name, sizeof cpu->name, "cpu/%s%s", cpu->kernels.name,
             cpu->integer ? "+int16" : "");
    cpu->ops.name = cpu->name;
    return &cpu->base;
}
