/* Instructions that the processor at hand lacks, done for it where it stops at them: the kernels
 * that are tested are those that run elsewhere, byte for byte. */
#pragma once

#include <stdbool.h>

/* From now on AVX-VNNI and AMX kernels can be had (cpuid_has_avxvnni, cpuid_has_amx and
 * cpuid_has_amx_bf16 say so). */
void emulate_begin(void);
/* Whether the instructions that make out "avxvnni", "amx" or "amxbf16" are done so. */
bool emulate_does(const char *isa);
