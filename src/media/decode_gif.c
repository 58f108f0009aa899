/* The first frame of a GIF through giflib, on the logical screen, transparency over white. The
 * canvas grows when that frame reaches beyond it, as in Pillow. */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "media/codecs.h"

enum {
    HEADER_BYTES = 13, /* signature and logical screen descriptor */
    FRAME_BYTES = 9,   /* image descriptor without its separator */
    NO_INDEX = -1,
};

static int32_t get16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static size_t palette_bytes(uint8_t flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* The offset behind an extension's sub-blocks, or in.len when they never end. */
static size_t skip_blocks(struct bytes in, size_t at)
{
    while (at < in.len && in.data[at] != 0)
        at += 1 + (size_t)in.data[at];
    return at < in.len ? at + 1 : in.len;
}

int gif_probe(struct bytes in, struct media_info *info, struct vlmd_error *err)
{
    if (in.len < HEADER_BYTES)
        return err_set(err, VLMD_INVALID, NULL, "the GIF is cut short");
    info->stored_width = get16(in.data + 6);
    info->stored_height = get16(in.data + 8);
    size_t at = HEADER_BYTES + palette_bytes(in.data[10]);
    while (at + 2 <= in.len && in.data[at] == '!')
        at = skip_blocks(in, at + 2);
    if (at < in.len && in.data[at] != ',')
        return err_set(err, VLMD_INVALID, NULL, "the GIF holds no picture");
    if (at >= in.len || in.len - at <= FRAME_BYTES)
        return err_set(err, VLMD_INVALID, NULL, "the GIF is cut short");
    const uint8_t *frame = in.data + at + 1;
    int32_t right = get16(frame) + get16(frame + 4);
    int32_t bottom = get16(frame + 2) + get16(frame + 6);
    info->stored_width = right > info->stored_width ? right : info->stored_width;
    info->stored_height = bottom > info->stored_height ? bottom : info->stored_height;
    return 0;
}

static int feed_read(GifFileType *gif, GifByteType *to, int len)
{
    struct bytes *rest = gif->UserData;
    size_t n = (size_t)len < rest->len ? (size_t)len : rest->len;
    memcpy(to, rest->data, n);
    rest->data += n;
    rest->len -= n;
    return (int)n;
}

static int damaged(const GifFileType *gif, struct vlmd_error *err)
{
    const char *text = GifErrorString(gif->Error);
    return err_set(err, VLMD_INVALID, NULL, "the GIF cannot be decoded: %s",
                   text ? text : "it is damaged");
}

/* Reads one extension; a graphic control block sets *transparent. */
static int read_extension(GifFileType *gif, int *transparent)
{
    int code;
    GifByteType *block; /* its length, then its bytes */
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
        return -1;
    while (block) {
        GraphicsControlBlock control;
        if (code == GRAPHICS_EXT_FUNC_CODE &&
            DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
            *transparent = control.TransparentColor;
        if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
            return -1;
    }
    return 0;
}

/* Goes to the next frame's descriptor. Returns 1 there, 0 at the end of the file, -1 on damage. */
static int next_frame(GifFileType *gif, int *transparent)
{
    for (;;) {
        GifRecordType record;
        if (DGifGetRecordType(gif, &record) == GIF_ERROR)
            return -1;
        if (record == IMAGE_DESC_RECORD_TYPE)
            return 1;
        if (record == TERMINATE_RECORD_TYPE)
            return 0;
        if (record == EXTENSION_RECORD_TYPE && read_extension(gif, transparent) < 0)
            return -1;
    }
}

/* Colours for all 256 indexes: white where transparent, black where the palette has none, shades of
 * grey when there is no palette at all. */
static void fill_colours(const ColorMapObject *map, int transparent, uint8_t colours[256][3])
{
    memset(colours, 0, 256 * sizeof *colours);
    for (int i = 0; i < (map ? map->ColorCount : 256) && i < 256; i++) {
        colours[i][0] = map ? map->Colors[i].Red : (uint8_t)i;
        colours[i][1] = map ? map->Colors[i].Green : (uint8_t)i;
        colours[i][2] = map ? map->Colors[i].Blue : (uint8_t)i;
    }
    if (transparent != NO_INDEX)
        memset(colours[transparent], 255, 3);
}

/* The row on which the i-th stored row of an interlaced frame belongs. */
static int32_t interlaced_row(int32_t i, int32_t height)
{
    static const int32_t start[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    for (int pass = 0; pass < 4; pass++) {
        int32_t rows = (height - start[pass] + step[pass] - 1) / step[pass];
        if (i < rows)
            return start[pass] + i * step[pass];
        i -= rows;
    }
    return height - 1;
}

static int read_rows(GifFileType *gif, int transparent, struct picture *out, struct vlmd_error *err)
{
    const GifImageDesc *frame = &gif->Image;
    int32_t width = out->info.stored_width;
    if (frame->Width <= 0 || frame->Height <= 0 || frame->Left < 0 || frame->Top < 0 ||
        frame->Width > width - frame->Left || frame->Height > out->info.stored_height - frame->Top)
        return err_set(err, VLMD_INVALID, NULL, "the GIF's first frame has no valid size");
    GifPixelType *indexes = malloc((size_t)frame->Width);
    if (!indexes)
        return err_no_memory(err, (size_t)frame->Width);
    uint8_t colours[256][3];
    fill_colours(frame->ColorMap ? frame->ColorMap : gif->SColorMap, transparent, colours);
    /* Around the frame the screen is transparent, or has the first colour where none is. */
    int32_t outside = transparent == NO_INDEX ? 0 : transparent;
    size_t pixels = (size_t)width * (size_t)out->info.stored_height;
    size_t stride = (size_t)width * 3;
    for (size_t i = 0; i < stride; i += 3)
        memcpy(out->rgb + i, colours[outside], 3);
    for (size_t at = stride; at < 3 * pixels; at += stride)
        memcpy(out->rgb + at, out->rgb, stride);
    bool see_through =
        transparent != NO_INDEX && (size_t)frame->Width * (size_t)frame->Height < pixels;
    int result = 0;
    for (int32_t i = 0; i < frame->Height && result == 0; i++) {
        if (DGifGetLine(gif, indexes, frame->Width) == GIF_ERROR) {
            result = damaged(gif, err);
            break;
        }
        int32_t y = frame->Top + (frame->Interlace ? interlaced_row(i, frame->Height) : i);
        uint8_t *to = out->rgb + ((size_t)y * (size_t)width + (size_t)frame->Left) * 3;
        for (int32_t x = 0; x < frame->Width; x++, to += 3) {
            memcpy(to, colours[indexes[x]], 3);
            see_through |= indexes[x] == transparent;
        }
    }
    free(indexes);
    out->changes |= see_through ? MEDIA_FLATTENED : 0;
    return result;
}

static int read_picture(GifFileType *gif, struct picture *out, struct vlmd_error *err)
{
    int transparent = NO_INDEX;
    int found = next_frame(gif, &transparent);
    if (found == 0)
        return err_set(err, VLMD_INVALID, NULL, "the GIF holds no picture");
    if (found < 0 || DGifGetImageDesc(gif) == GIF_ERROR)
        return damaged(gif, err);
    if (read_rows(gif, transparent, out, err) < 0)
        return -1;
    int ignored;
    if (next_frame(gif, &ignored) == 1) /* what follows the first frame cannot spoil it */
        out->changes |= MEDIA_FIRST_FRAME;
    return 0;
}

int gif_decode(struct bytes in, struct picture *out, struct vlmd_error *err)
{
    struct bytes rest = in;
    int status = 0;
    GifFileType *gif = DGifOpen(&rest, feed_read, &status);
    if (!gif)
        return err_set(err, VLMD_INVALID, NULL, "the GIF's header is damaged");
    int result = read_picture(gif, out, err);
    DGifCloseFile(gif, &status);
    return result;
}
