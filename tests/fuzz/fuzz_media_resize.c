/* Any sizes to smart_resize and to the resizer. Input: four 32-bit sizes (from, to), then bytes
 * that the picture repeats. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/smart_resize.h"
#include "media/resize.h"

enum {
    MAX_PIXELS = 1 << 16, /* of the larger picture: more only takes longer */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_smart_resize(const int32_t sizes[4])
{
    int32_t height, width;
    struct vlmd_error err = {0};
    if (smart_resize(sizes[0], sizes[1], 28, sizes[2], sizes[3], &height, &width, &err) < 0) {
        if (err.code != VLMD_INVALID)
            abort();
        return;
    }
    if (height <= 0 || width <= 0 || height % 28 || width % 28)
        abort();
}

static bool affordable(int32_t a, int32_t b)
{
    return a <= 0 || b <= 0 || (int64_t)a * b <= MAX_PIXELS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t sizes[4];
    if (size < sizeof sizes)
        return 0;
    memcpy(sizes, data, sizeof sizes);
    check_smart_resize(sizes);
    struct picture picture = {.width = sizes[0], .height = sizes[1]};
    if (!affordable(sizes[0], sizes[1]) || !affordable(sizes[2], sizes[3]) ||
        !affordable(sizes[0], sizes[3]) || !affordable(sizes[1], sizes[2]))
        return 0;
    bool sane = sizes[0] > 0 && sizes[1] > 0 && sizes[2] > 0 && sizes[3] > 0;
    uint8_t *out = NULL;
    if (sane) {
        size_t bytes = (size_t)sizes[0] * (size_t)sizes[1] * 3;
        picture.rgb = malloc(bytes);
        out = malloc((size_t)sizes[2] * (size_t)sizes[3] * 3);
        if (!picture.rgb || !out)
            abort();
        for (size_t i = 0; i < bytes; i++)
            picture.rgb[i] = data[i % size];
    }
    struct vlmd_error err = {0};
    int result = media_resize(&picture, sizes[2], sizes[3], out, &err);
    if (!sane && result == 0)
        abort();
    if (result < 0 && (err.code == VLMD_OK || !err.text[0]))
        abort();
    free(out);
    free(picture.rgb);
    return 0;
}
