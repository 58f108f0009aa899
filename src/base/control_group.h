/* What Linux's control groups leave to this process: versions 1 and 2, the group that it is in and
 * those above. Whoever asks knows what the machine itself has. `root` is "" or a folder that stands
 * for / (tests). */
#pragma once

#include <stdint.h>

/* Whole processors (cpu.max, cpu.cfs_quota_us), rounded down and at least 1; 0: without a limit. */
int control_group_processors(const char *root);

/* Bytes (memory.max and memory.high, memory.limit_in_bytes); 0: without a limit. */
uint64_t control_group_memory(const char *root);
