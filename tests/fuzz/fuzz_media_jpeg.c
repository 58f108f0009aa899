/* Any bytes as a JPEG. */
#include "media_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return media_format_try(data, size, "\xFF\xD8\xFF", 3);
}
