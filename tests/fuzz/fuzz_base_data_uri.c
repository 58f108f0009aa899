/* Any text to the data URI reader and the base64 decoder under it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/data_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_base64(const char *text, size_t len, unsigned flags)
{
    uint8_t *out = malloc(base64_decoded_max(len));
    require(out != NULL);
    size_t written, bad;
    if (base64_decode(text, len, flags, out, &written, &bad) == 0)
        require(written <= base64_decoded_max(len));
    else
        require(bad <= len);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    check_base64(text, size, 0);
    check_base64(text, size, BASE64_SPACES);
    for (size_t room = 4; room <= 4096; room *= 32) {
        struct data_uri uri;
        struct vlmd_error err = {0};
        int result = data_uri_decode(text, size, room, &uri, &err);
        require((result == 0) == (err.code == VLMD_OK));
        if (result == 0) {
            require(uri.len <= room && strchr(uri.mime, '/') && data_uri_is(text, size));
            volatile unsigned sum = 0;
            for (size_t i = 0; i < uri.len; i++)
                sum += uri.bytes[i];
            (void)sum;
        } else {
            require(!uri.bytes && err.text[0]);
        }
        data_uri_free(&uri);
    }
    return 0;
}
