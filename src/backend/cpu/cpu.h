/* The CPU backend: every slot of struct ops on a pool of threads, over a table of kernels that the
 * instruction set decides. */
#pragma once

#include "ops/ops.h"

/* threads: 0 means one per processor this process may use. isa: NULL or "auto" takes the best that
 * this processor has; "c", "avx2", "neon" ask for one (VLMD_UNSUPPORTED when it is not there). The
 * caller closes with ops->close. */
struct backend *backend_cpu_open(int threads, const char *isa, struct vlmd_error *err);
