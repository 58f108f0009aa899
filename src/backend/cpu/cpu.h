/* The CPU backend: every slot of struct ops on a pool of threads, over a table of kernels that the
 * instruction set decides. */
#pragma once

#include "ops/ops.h"

struct cpu_options {
    int threads; /* 0: threads_available() */
    /* NULL or "auto" takes the best that this processor has; "c", "avx2", "avxvnni", "avx512",
     * "amx", "amxbf16", "neon", "dotprod", "i8mm" ask for one (VLMD_UNSUPPORTED when it is not
     * there). */
    const char *isa;
    /* What affine-quantized linear layers multiply with: NULL, "auto" or "int16" (integer.h), or
     * "float32". */
    const char *activations;
};

/* The caller closes with ops->close. */
struct backend *backend_cpu_open(const struct cpu_options *options, struct vlmd_error *err);
