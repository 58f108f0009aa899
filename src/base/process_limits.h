/* Resource limits of a child process that reads what strangers send. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Defined where a sanitizer is compiled in: its shadow memory is larger than any limit, and it
 * makes system calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROCESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROCESS_SANITIZED 1
#endif
#endif

/* Bounds this process's address space (bytes; not under a sanitizer) and descriptors; a file it
 * makes, in memory too, has at most 1 GiB, and it leaves no core dump. */
int process_limit(uint64_t memory, unsigned descriptors, struct vlmd_error *err);
