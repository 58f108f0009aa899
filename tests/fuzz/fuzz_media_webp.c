/* Any bytes as a WebP. */
#include "media_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return media_format_try(data, size, "RIFF\0\4\0\0WEBP", 12);
}
