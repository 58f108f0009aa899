#include "front/random_id.h"

#include <stdio.h>
#include <uv.h>

uint64_t random_u64(void)
{
    uint64_t value = 0;
    if (uv_random(NULL, NULL, &value, sizeof value, 0, NULL) < 0)
        value = uv_hrtime() * 0x9E3779B97F4A7C15u; /* no randomness: still different each time */
    return value;
}

void random_id(char out[RANDOM_ID_BYTES], const char *prefix)
{
    snprintf(out, RANDOM_ID_BYTES, "%.15s%016llx%08llx", prefix, (unsigned long long)random_u64(),
             (unsigned long long)random_u64() & 0xFFFFFFFFu);
}
