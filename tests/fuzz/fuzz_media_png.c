/* Any bytes as a PNG. */
#include "media_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return media_format_try(data, size, "\x89PNG\r\n\x1A\n", 8);
}
