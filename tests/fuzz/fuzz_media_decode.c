/* Any bytes to the decoder: probe and decode must agree, and a picture must be whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct media_limits limits = {.bytes = 1 << 20, .pixels = 1 << 18};
    struct vlmd_error err = {0};
    struct media_info info;
    int probed = media_probe(data, size, &limits, &info, &err);
    require((probed == 0) == (err.code == VLMD_OK));

    struct picture picture;
    err = (struct vlmd_error){0};
    int decoded = media_decode(data, size, &limits, &picture, &err);
    require((decoded == 0) == (err.code == VLMD_OK));
    require(err.field[0] == '\0');
    if (decoded < 0) {
        require(!picture.rgb && err.text[0]);
        return 0;
    }
    require(probed == 0 && memcmp(&info, &picture.info, sizeof info) == 0);
    require(picture.width == info.width && picture.height == info.height);
    require((int64_t)picture.width * picture.height <= limits.pixels);
    /* Every byte was written and may be read: the sum keeps the reads. */
    volatile unsigned sum = 0;
    for (size_t i = 0; i < (size_t)picture.width * (size_t)picture.height * 3; i++)
        sum += picture.rgb[i];
    (void)sum;
    picture_free(&picture);
    return 0;
}
