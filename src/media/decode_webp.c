/* WebP through libwebp: lossy, lossless, with alpha, and the first frame of an animation, which the
 * demultiplexer finds. Transparency and what the frame leaves uncovered become white. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "media/codecs.h"
#include "media/orient.h"

static WebPDemuxer *open_container(struct bytes in, struct vlmd_error *err)
{
    WebPData data = {in.data, in.len};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (!demuxer)
        err_set(err, VLMD_INVALID, NULL, "the WebP is damaged or cut short");
    return demuxer;
}

int webp_probe(struct bytes in, struct media_info *info, struct vlmd_error *err)
{
    WebPDemuxer *demuxer = open_container(in, err);
    if (!demuxer)
        return -1;
    /* 24 bits each. */
    info->stored_width = (int32_t)WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
    info->stored_height = (int32_t)WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    WebPChunkIterator exif;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &exif)) {
        info->orientation = orient_from_exif(exif.chunk.bytes, exif.chunk.size);
        WebPDemuxReleaseChunkIterator(&exif);
    }
    WebPDemuxDelete(demuxer);
    return 0;
}

static int damaged(struct vlmd_error *err)
{
    return err_set(err, VLMD_INVALID, NULL, "the WebP's picture cannot be decoded");
}

static bool covers(const WebPIterator *frame, const struct picture *out)
{
    return frame->x_offset == 0 && frame->y_offset == 0 && frame->width == out->info.stored_width &&
           frame->height == out->info.stored_height;
}

static bool fits(const WebPIterator *frame, const struct picture *out)
{
    return frame->width > 0 && frame->height > 0 && frame->x_offset >= 0 && frame->y_offset >= 0 &&
           frame->width <= out->info.stored_width - frame->x_offset &&
           frame->height <= out->info.stored_height - frame->y_offset;
}

static int decode_opaque(const WebPIterator *frame, struct picture *out, struct vlmd_error *err)
{
    size_t stride = (size_t)frame->width * 3;
    if (!WebPDecodeRGBInto(frame->fragment.bytes, frame->fragment.size, out->rgb,
                           stride * (size_t)frame->height, (int)stride))
        return damaged(err);
    return 0;
}

/* Decodes onto a canvas of transparent pixels in the same memory. */
static int decode_over_white(const WebPIterator *frame, struct picture *out, struct vlmd_error *err)
{
    size_t stride = (size_t)out->info.stored_width * 4;
    size_t size = stride * (size_t)out->info.stored_height;
    size_t at = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 4;
    if (!covers(frame, out))
        memset(out->rgb, 0, size);
    if (!WebPDecodeRGBAInto(frame->fragment.bytes, frame->fragment.size, out->rgb + at, size - at,
                            (int)stride))
        return damaged(err);
    out->changes |= rgba_over_white(out->rgb, size / 4, out->rgb);
    return 0;
}

int webp_decode(struct bytes in, struct picture *out, struct vlmd_error *err)
{
    WebPDemuxer *demuxer = open_container(in, err);
    if (!demuxer)
        return -1;
    WebPIterator frame;
    int result;
    if (!WebPDemuxGetFrame(demuxer, 1, &frame)) {
        WebPDemuxDelete(demuxer);
        return err_set(err, VLMD_INVALID, NULL, "the WebP holds no picture");
    }
    if (!frame.complete || !fits(&frame, out))
        result = damaged(err);
    else if (!frame.has_alpha && covers(&frame, out))
        result = decode_opaque(&frame, out, err);
    else
        result = decode_over_white(&frame, out, err);
    if (WebPDemuxGetI(demuxer, WEBP_FF_FRAME_COUNT) > 1)
        out->changes |= MEDIA_FIRST_FRAME;
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demuxer);
    return result;
}

uint8_t *webp_profile(struct bytes in, size_t *len)
{
    WebPDemuxer *demuxer = open_container(in, NULL);
    WebPChunkIterator chunk;
    uint8_t *icc = NULL;
    if (!demuxer)
        return NULL;
    if (WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk)) {
        *len = chunk.chunk.size;
        icc = *len > 0 && *len <= MAX_PROFILE ? malloc(*len) : NULL;
        if (icc)
            memcpy(icc, chunk.chunk.bytes, *len);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
    return icc;
}
