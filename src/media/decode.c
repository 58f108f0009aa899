#include "media/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/image_limits.h"
#include "media/codecs.h"
#include "media/orient.h"
#include "media/profile.h"
#include "media/resize.h"

static const struct media_limits defaults = {
    .bytes = IMAGE_MAX_BYTES,
    .width = IMAGE_MAX_SIDE,
    .height = IMAGE_MAX_SIDE,
    .pixels = IMAGE_MAX_PIXELS,
};

struct codec {
    const char *name;
    int (*probe)(struct bytes in, struct media_info *info, struct vlmd_error *err);
    int (*decode)(struct bytes in, struct picture *out, struct vlmd_error *err);
    /* Instead of decode, for codecs that give one row after the other. */
    int (*read)(struct bytes in, const struct rows *rows, unsigned *changes,
                struct vlmd_error *err);
};

static const struct codec codecs[] = {
    [MEDIA_UNKNOWN] = {"unknown", NULL, NULL, NULL},
    [MEDIA_JPEG] = {"image/jpeg", jpeg_probe, NULL, jpeg_read},
    [MEDIA_PNG] = {"image/png", png_probe, png_decode, NULL},
    [MEDIA_GIF] = {"image/gif", gif_probe, gif_decode, NULL},
    [MEDIA_WEBP] = {"image/webp", webp_probe, webp_decode, NULL},
};

/* First bytes, and what they announce. */
struct signature {
    size_t offset;
    size_t len;
    const char *bytes;
    const char *name;
};

static const struct signature refused[] = {
    {0, 4, "II*\0", "image/tiff"},
    {0, 4, "MM\0*", "image/tiff"},
    {0, 4, "II+\0", "image/tiff"},
    {0, 4, "MM\0+", "image/tiff"},
    {0, 2, "BM", "image/bmp"},
    {4, 8, "ftypavif", "image/avif"},
    {4, 8, "ftypavis", "image/avif"},
    {4, 8, "ftypheic", "image/heic"},
    {4, 8, "ftypheix", "image/heic"},
    {4, 8, "ftyphevc", "image/heic"},
    {4, 8, "ftypmif1", "image/heif"},
    {4, 8, "ftypmsf1", "image/heif"},
    {4, 4, "ftyp", "video/mp4"},
    {0, 2, "\xFF\x0A", "image/jxl"},
    {0, 12, "\0\0\0\x0CJXL \r\n\x87\n", "image/jxl"},
    {0, 12, "\0\0\0\x0CjP  \r\n\x87\n", "image/jp2"},
    {0, 4, "\xFF\x4F\xFF\x51", "image/jp2"},
    {0, 4, "\0\0\1\0", "image/x-icon"},
    {0, 4, "8BPS", "image/vnd.adobe.photoshop"},
    {0, 4, "\x76\x2F\x31\x01", "image/x-exr"},
    {0, 4, "qoif", "image/qoi"},
    {0, 10, "#?RADIANCE", "image/vnd.radiance"},
    {0, 4, "%PDF", "application/pdf"},
    {0, 4, "<svg", "image/svg+xml"},
    {0, 5, "<?xml", "image/svg+xml"},
    {0, 4, "\x1A\x45\xDF\xA3", "video/webm"},
};

static bool has(struct bytes in, size_t offset, const char *bytes, size_t len)
{
    return in.len >= offset + len && memcmp(in.data + offset, bytes, len) == 0;
}

enum media_format media_format_of(const uint8_t *bytes, size_t len)
{
    struct bytes in = {bytes, len};
    if (has(in, 0, "\xFF\xD8\xFF", 3))
        return MEDIA_JPEG;
    if (has(in, 0, "\x89PNG\r\n\x1A\n", 8))
        return MEDIA_PNG;
    if (has(in, 0, "GIF87a", 6) || has(in, 0, "GIF89a", 6))
        return MEDIA_GIF;
    if (has(in, 0, "RIFF", 4) && has(in, 8, "WEBP", 4))
        return MEDIA_WEBP;
    return MEDIA_UNKNOWN;
}

const char *media_format_name(enum media_format format)
{
    return codecs[format].name;
}

static int refuse(struct bytes in, struct vlmd_error *err)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct signature *s = &refused[i];
        if (has(in, s->offset, s->bytes, s->len))
            return err_set(err, VLMD_UNSUPPORTED, NULL,
                           "%s is not supported; send JPEG, PNG, GIF or WebP", s->name);
    }
    return err_set(err, VLMD_INVALID, NULL, "these bytes are not a JPEG, PNG, GIF or WebP picture");
}

static struct media_limits effective(const struct media_limits *wanted)
{
    struct media_limits l = wanted ? *wanted : defaults;
    l.bytes = l.bytes ? l.bytes : defaults.bytes;
    l.width = l.width ? l.width : defaults.width;
    l.height = l.height ? l.height : defaults.height;
    l.pixels = l.pixels ? l.pixels : defaults.pixels;
    return l;
}

static int check_size(const struct media_info *info, const struct media_limits *l,
                      struct vlmd_error *err)
{
    if (info->stored_width <= 0 || info->stored_height <= 0)
        return err_set(err, VLMD_INVALID, NULL, "the picture's header says %d x %d pixels",
                       info->stored_width, info->stored_height);
    if (info->width > l->width || info->height > l->height)
        return err_set(err, VLMD_TOO_LARGE, NULL,
                       "the picture has %d x %d pixels; at most %d x %d are allowed", info->width,
                       info->height, l->width, l->height);
    if ((int64_t)info->width * info->height > l->pixels)
        return err_set(err, VLMD_TOO_LARGE, NULL,
                       "the picture has %lld pixels (%d x %d); at most %lld are allowed",
                       (long long)info->width * info->height, info->width, info->height,
                       (long long)l->pixels);
    return 0;
}

int media_probe(const uint8_t *bytes, size_t len, const struct media_limits *limits,
                struct media_info *info, struct vlmd_error *err)
{
    struct bytes in = {bytes, len};
    struct media_limits l = effective(limits);
    *info = (struct media_info){.orientation = 1};
    if (len == 0)
        return err_set(err, VLMD_INVALID, NULL, "the picture is empty");
    if (len > l.bytes)
        return err_set(err, VLMD_TOO_LARGE, NULL,
                       "the picture has %zu bytes; at most %zu are allowed", len, l.bytes);
    info->format = media_format_of(bytes, len);
    if (info->format == MEDIA_UNKNOWN)
        return refuse(in, err);
    if (codecs[info->format].probe(in, info, err) < 0)
        return -1;
    bool swap = orient_swaps(info->orientation);
    info->width = swap ? info->stored_height : info->stored_width;
    info->height = swap ? info->stored_width : info->stored_height;
    return check_size(info, &l, err);
}

/* ---- pixels */

/* Rows into a picture's own memory. */
struct filling {
    uint8_t *at;
    size_t stride;
};

static uint8_t *filling_next(void *context)
{
    return ((struct filling *)context)->at;
}

static void filling_take(void *context)
{
    struct filling *f = context;
    f->at += f->stride;
}

/* Rows into a resizer, converted on the way when there is a profile. */
struct resizing {
    struct resizer *resizer;
    const struct profile *profile; /* or NULL */
    int32_t width;
};

static uint8_t *resizing_next(void *context)
{
    return resizer_row(((struct resizing *)context)->resizer);
}

static void resizing_take(void *context)
{
    struct resizing *r = context;
    if (r->profile)
        profile_apply(r->profile, resizer_row(r->resizer), r->width);
    resizer_take(r->resizer);
}

/* Decodes as the file has it: out->info is set, width and height are not. */
static int decode_stored(struct bytes in, struct picture *out, struct vlmd_error *err)
{
    const struct codec *codec = &codecs[out->info.format];
    size_t size;
    if (!checked_mul3((size_t)out->info.width, (size_t)out->info.height, codec->read ? 3 : 4,
                      &size))
        return err_set(err, VLMD_TOO_LARGE, NULL, "the picture is larger than memory can be");
    out->rgb = malloc(size);
    if (!out->rgb)
        return err_no_memory(err, size);
    if (!codec->read)
        return codec->decode(in, out, err);
    struct filling filling = {out->rgb, (size_t)out->info.stored_width * 3};
    struct rows rows = {filling_next, filling_take, &filling};
    return codec->read(in, &rows, &out->changes, err);
}

int media_decode(const uint8_t *bytes, size_t len, const struct media_limits *limits,
                 struct picture *out, struct vlmd_error *err)
{
    struct bytes in = {bytes, len};
    *out = (struct picture){0};
    if (media_probe(bytes, len, limits, &out->info, err) < 0 || decode_stored(in, out, err) < 0 ||
        orient_apply(out, err) < 0) {
        picture_free(out);
        return -1;
    }
    return 0;
}

/* By way of the whole picture, and upright row by row. */
static int resize_stored(struct bytes in, const struct media_info *info, const struct rows *rows,
                         unsigned *changes, struct vlmd_error *err)
{
    struct picture stored = {.info = *info};
    int status = decode_stored(in, &stored, err);
    for (int32_t y = 0; status == 0 && y < info->height; y++) {
        orient_row(stored.rgb, info, y, rows->next(rows->context));
        rows->take(rows->context);
    }
    *changes = stored.changes | (info->orientation == 1 ? 0 : MEDIA_ORIENTED);
    picture_free(&stored);
    return status;
}

int media_decode_resized(const uint8_t *bytes, size_t len, const struct media_info *info,
                         const struct media_target *target, unsigned *changes,
                         struct vlmd_error *err)
{
    const struct codec *codec = &codecs[info->format];
    struct bytes in = {bytes, len};
    struct resizing resizing = {.width = info->width};
    resizing.resizer =
        resizer_open(info->width, info->height, target->width, target->height, target->rgb, err);
    if (!resizing.resizer)
        return -1;
    struct profile *profile = target->to_srgb ? profile_open(in, info->format) : NULL;
    resizing.profile = profile;
    struct rows rows = {resizing_next, resizing_take, &resizing};
    *changes = 0;
    int status = codec->read && info->orientation == 1
                     ? codec->read(in, &rows, changes, err)
                     : resize_stored(in, info, &rows, changes, err);
    *changes |= profile ? MEDIA_FROM_PROFILE : 0;
    profile_close(profile);
    resizer_close(resizing.resizer);
    return status;
}

void picture_free(struct picture *picture)
{
    free(picture->rgb);
    *picture = (struct picture){0};
}

unsigned rgba_over_white(const uint8_t *rgba, size_t n, uint8_t *rgb)
{
    unsigned changes = 0;
    for (size_t i = 0; i < n; i++, rgba += 4, rgb += 3) {
        uint8_t alpha = rgba[3];
        if (alpha != 255)
            changes = MEDIA_FLATTENED;
        rgb[0] = over_white(rgba[0], alpha);
        rgb[1] = over_white(rgba[1], alpha);
        rgb[2] = over_white(rgba[2], alpha);
    }
    return changes;
}
