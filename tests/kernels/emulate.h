/* Instructions that the processor at hand lacks, done for it: the kernels that are tested are those
 * that run elsewhere, byte for byte. */
#pragma once

#include <stdbool.h>

/* From now on the AVX-VNNI kernels can be had (cpuid_has_avxvnni says so), and their vpdpwssd, at
 * which this processor stops, is done by plain C. False where that is not built or not needed. */
bool emulate_avxvnni(void);
