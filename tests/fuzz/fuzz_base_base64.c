/* Any bytes as base64, with and without spaces: never more than announced, and what decodes is the
 * same when it is decoded in place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    unsigned flags = data[0] & 1 ? BASE64_SPACES : 0;
    size_t len = size - 1, room = base64_decoded_max(len), got, again, bad;
    char *text = malloc(len + 1);
    uint8_t *out = malloc(room + 1);
    if (!text || !out)
        abort();
    memcpy(text, data + 1, len);
    text[len] = '\0';
    int status = base64_decode(text, len, flags, out, &got, &bad);
    if (status == 0 && got > room)
        abort();
    if (status < 0 && bad > len)
        abort();
    if (base64_decode(text, len, flags, (uint8_t *)text, &again, &bad) != status)
        abort();
    if (status == 0 && (again != got || memcmp(text, out, got) != 0))
        abort();
    free(text);
    free(out);
    return 0;
}
