/* Names for requests and answers that nobody can guess. */
#pragma once

#include <stdint.h>

#define RANDOM_ID_BYTES 48

/* Writes `prefix` (at most 15 bytes) and 24 hexadecimal digits. */
void random_id(char out[RANDOM_ID_BYTES], const char *prefix);
uint64_t random_u64(void);
