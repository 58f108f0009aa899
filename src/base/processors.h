/* The processors of this machine: which a process may use, lists of them as people write them
 * ("0-3,8"), and how many threads they are good for. Knows nothing of pools of threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define PROCESSORS_MAX 1024

/* A set of processors by number. */
struct processors {
    uint64_t words[PROCESSORS_MAX / 64];
};

bool processors_has(const struct processors *set, int cpu); /* false for any other number too */
int processors_count(const struct processors *set);

/* Numbers and ranges with commas between them, as taskset takes them. VLMD_INVALID says what is
 * wrong with it. */
int processors_parse(struct processors *out, const char *text, struct vlmd_error *err);

/* Those that this process may run on. False where the system has no such set (macOS). */
bool processors_allowed(struct processors *out);

/* What `text` lists, all of them allowed. VLMD_INVALID names one that is not; VLMD_UNSUPPORTED
 * where the system cannot bind processes to processors. */
int processors_choose(struct processors *out, const char *text, struct vlmd_error *err);

/* Binds the calling thread, and threads that it starts later, to what `text` lists. */
int processors_bind(const char *text, struct vlmd_error *err);

/* Cores among `set`: threads of one core (SMT) count once. Where /sys does not tell, every
 * processor is a core. `root` is "" or a folder that stands for / (tests). */
int processors_cores(const struct processors *set, const char *root);
