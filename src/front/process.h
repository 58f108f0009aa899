/* What the system says about a process: memory, processor time, descriptors. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct process_use {
    uint64_t resident_bytes; /* pages of mapped weights count as far as they are in memory */
    uint64_t private_bytes;  /* of these, what is not backed by a file or shared; 0: not known */
    double cpu_seconds;
};

/* Of any process of ours. All 0 when the system does not say or the process has gone. */
struct process_use process_use(pid_t pid);
unsigned process_open_descriptors(void); /* of this process; 0: not known */
unsigned process_max_descriptors(void);
uint64_t process_system_memory(void); /* bytes of the machine; 0: not known */
