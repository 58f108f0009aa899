#include "media/orient.h"

#include <stdlib.h>
#include <string.h>

enum {
    ORIENTATION_TAG = 0x0112,
    ENTRY_BYTES = 12,
    TYPE_BYTE = 1,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    CHANNELS = 3,
};

struct tiff {
    const uint8_t *bytes;
    size_t len;
    bool big_endian;
};

static uint32_t get16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->bytes + at;
    return t->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const struct tiff *t, size_t at)
{
    uint32_t a = get16(t, at), b = get16(t, at + 2);
    return t->big_endian ? a << 16 | b : b << 16 | a;
}

/* The value of one directory entry when it is a single number; 0 otherwise. */
static uint32_t entry_value(const struct tiff *t, size_t at)
{
    if (get32(t, at + 4) != 1)
        return 0;
    switch (get16(t, at + 2)) {
    case TYPE_BYTE:
        return t->bytes[at + 8];
    case TYPE_SHORT:
        return get16(t, at + 8);
    case TYPE_LONG:
        return get32(t, at + 8);
    default:
        return 0;
    }
}

int32_t orient_from_exif(const uint8_t *bytes, size_t len)
{
    if (len >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        bytes += 6;
        len -= 6;
    }
    if (len < 8)
        return 1;
    struct tiff t = {bytes, len, bytes[0] == 'M'};
    if (memcmp(bytes, t.big_endian ? "MM\0*" : "II*\0", 4) != 0)
        return 1;
    size_t at = get32(&t, 4);
    if (at > len - 2)
        return 1;
    size_t entries = get16(&t, at);
    at += 2;
    for (size_t i = 0; i < entries && len - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
        if (get16(&t, at) != ORIENTATION_TAG)
            continue;
        uint32_t value = entry_value(&t, at);
        return value >= 1 && value <= 8 ? (int32_t)value : 1;
    }
    return 1;
}

bool orient_swaps(int32_t orientation)
{
    return orientation >= 5 && orientation <= 8;
}

/* Where the upright picture's pixel (0, 0) stands in the stored one, and how many pixels further
 * its right-hand and lower neighbours are. */
struct walk {
    int64_t origin, right, down;
};

static struct walk walk_for(int32_t orientation, int64_t width, int64_t height)
{
    int64_t last_column = width - 1, last_row = (height - 1) * width;
    switch (orientation) {
    case 2: /* mirrored left to right */
        return (struct walk){last_column, -1, width};
    case 3: /* upside down */
        return (struct walk){last_row + last_column, -1, -width};
    case 4: /* mirrored top to bottom */
        return (struct walk){last_row, 1, -width};
    case 5: /* mirrored along the diagonal */
        return (struct walk){0, width, 1};
    case 6: /* to be turned clockwise */
        return (struct walk){last_row, -width, 1};
    case 7: /* mirrored along the other diagonal */
        return (struct walk){last_row + last_column, -width, -1};
    case 8: /* to be turned counter-clockwise */
        return (struct walk){last_column, width, -1};
    default:
        return (struct walk){0, 1, width};
    }
}

void orient_row(const uint8_t *stored, const struct media_info *info, int32_t y, uint8_t *row)
{
    struct walk walk = walk_for(info->orientation, info->stored_width, info->stored_height);
    int64_t at = walk.origin + y * walk.down;
    if (walk.right == 1) {
        memcpy(row, stored + at * CHANNELS, (size_t)info->width * CHANNELS);
        return;
    }
    for (int32_t x = 0; x < info->width; x++, at += walk.right, row += CHANNELS)
        memcpy(row, stored + at * CHANNELS, CHANNELS);
}

int orient_apply(struct picture *picture, struct vlmd_error *err)
{
    const struct media_info *info = &picture->info;
    picture->width = info->width;
    picture->height = info->height;
    if (info->orientation == 1)
        return 0;
    size_t stride = (size_t)info->width * CHANNELS, bytes = stride * (size_t)info->height;
    uint8_t *upright = malloc(bytes);
    if (!upright)
        return err_no_memory(err, bytes);
    for (int32_t y = 0; y < info->height; y++)
        orient_row(picture->rgb, info, y, upright + (size_t)y * stride);
    free(picture->rgb);
    picture->rgb = upright;
    picture->changes |= MEDIA_ORIENTED;
    return 0;
}
