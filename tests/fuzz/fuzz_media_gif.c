/* Any bytes as a GIF. */
#include "media_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return media_format_try(data, size, "GIF89a", 6);
}
