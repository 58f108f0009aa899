/* PNG through libspng, which gets to see only the chunks that make pixels: no compressed text, no
 * profile and no unknown chunk reaches a decompressor or an allocator. gAMA and iCCP are not
 * applied, as in Pillow. */
#include <stdlib.h>
#include <string.h>

#include <spng.h>
#include <zlib.h>

#include "media/codecs.h"
#include "media/orient.h"

enum {
    SIGNATURE_BYTES = 8,
    CHUNK_OVERHEAD = 12, /* length, type, check sum */
    IHDR_BYTES = 13,
    NO_GREY = -1,
};

struct chunk {
    const uint8_t *data; /* its content */
    size_t len;
    char type[5];
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The chunk that begins at `at`; false when none lies there whole. */
static bool chunk_at(struct bytes in, size_t at, struct chunk *chunk)
{
    if (at > in.len || in.len - at < CHUNK_OVERHEAD)
        return false;
    chunk->len = get32(in.data + at);
    if (chunk->len > in.len - at - CHUNK_OVERHEAD)
        return false;
    memcpy(chunk->type, in.data + at + 4, 4);
    chunk->type[4] = '\0';
    chunk->data = in.data + at + 8;
    return true;
}

static bool is(const struct chunk *chunk, const char *type)
{
    return memcmp(chunk->type, type, 4) == 0;
}

/* First chunk of that type, wherever it stands before IEND. */
static bool find_chunk(struct bytes in, const char *type, struct chunk *chunk)
{
    size_t at = SIGNATURE_BYTES;
    while (chunk_at(in, at, chunk)) {
        if (is(chunk, type))
            return true;
        if (is(chunk, "IEND"))
            return false;
        at += chunk->len + CHUNK_OVERHEAD;
    }
    return false;
}

int png_probe(struct bytes in, struct media_info *info, struct vlmd_error *err)
{
    struct chunk chunk;
    if (!chunk_at(in, SIGNATURE_BYTES, &chunk) || !is(&chunk, "IHDR") || chunk.len != IHDR_BYTES)
        return err_set(err, VLMD_INVALID, NULL, "the PNG's header is damaged");
    uint32_t width = get32(chunk.data), height = get32(chunk.data + 4);
    if (width > INT32_MAX || height > INT32_MAX)
        return err_set(err, VLMD_INVALID, NULL, "the PNG's header says %u x %u pixels", width,
                       height);
    info->stored_width = (int32_t)width;
    info->stored_height = (int32_t)height;
    if (find_chunk(in, "eXIf", &chunk))
        info->orientation = orient_from_exif(chunk.data, chunk.len);
    return 0;
}

/* Feeds libspng and leaves chunks out. */
struct feed {
    struct bytes in;
    size_t at;  /* next byte to hand out */
    size_t end; /* of the chunk (or signature) being handed out */
};

static bool makes_pixels(const struct chunk *chunk)
{
    return is(chunk, "IHDR") || is(chunk, "PLTE") || is(chunk, "tRNS") || is(chunk, "IDAT") ||
           is(chunk, "IEND");
}

/* Moves to the next wanted chunk; false at the end. Of a chunk that is cut short only pixels are
 * handed out: for others the library asks for the memory that their length promises. */
static bool feed_next(struct feed *f)
{
    struct chunk chunk;
    while (chunk_at(f->in, f->at, &chunk)) {
        size_t end = f->at + chunk.len + CHUNK_OVERHEAD;
        if (makes_pixels(&chunk)) {
            f->end = end;
            return true;
        }
        f->at = end;
    }
    if (f->in.len - f->at < 8 || memcmp(f->in.data + f->at + 4, "IDAT", 4) != 0)
        return false;
    f->end = f->in.len;
    return true;
}

static int feed_read(spng_ctx *png, void *user, void *to, size_t len)
{
    (void)png;
    struct feed *f = user;
    uint8_t *out = to;
    while (len > 0) {
        if (f->at == f->end && !feed_next(f))
            return SPNG_IO_EOF;
        size_t n = f->end - f->at < len ? f->end - f->at : len;
        memcpy(out, f->in.data + f->at, n);
        f->at += n;
        out += n;
        len -= n;
    }
    return 0;
}

static int damaged(int status, struct vlmd_error *err)
{
    if (status == SPNG_EMEM)
        return err_set(err, VLMD_NO_MEMORY, NULL, "out of memory for the PNG");
    if (status == SPNG_IO_EOF || status == SPNG_EIDAT_TOO_SHORT)
        return err_set(err, VLMD_INVALID, NULL, "the PNG is cut short");
    return err_set(err, VLMD_INVALID, NULL, "the PNG cannot be decoded: %s", spng_strerror(status));
}

static size_t pixels_of(const struct picture *out)
{
    return (size_t)out->info.stored_width * (size_t)out->info.stored_height;
}

static int decode_opaque(spng_ctx *png, struct picture *out, struct vlmd_error *err)
{
    int status = spng_decode_image(png, out->rgb, pixels_of(out) * 3, SPNG_FMT_RGB8, 0);
    return status ? damaged(status, err) : 0;
}

static int decode_alpha(spng_ctx *png, struct picture *out, struct vlmd_error *err)
{
    int status =
        spng_decode_image(png, out->rgb, pixels_of(out) * 4, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
    if (status == 0)
        out->changes |= rgba_over_white(out->rgb, pixels_of(out), out->rgb);
    return status ? damaged(status, err) : 0;
}

/* 16-bit grey is not scaled but clipped at 255: that is what Pillow's convert("RGB") does to its
 * mode I;16, and so what the reference processors see. transparent: a grey, or NO_GREY. */
static int decode_grey16(spng_ctx *png, int32_t transparent, struct picture *out,
                         struct vlmd_error *err)
{
    const uint8_t *raw = out->rgb;
    int status = spng_decode_image(png, out->rgb, pixels_of(out) * 2, SPNG_FMT_RAW, 0);
    /* From the end on, three bytes do not run over the two that are still to be read. */
    for (size_t i = pixels_of(out); status == 0 && i-- > 0;) {
        int32_t grey = raw[2 * i] << 8 | raw[2 * i + 1];
        bool opaque = grey != transparent;
        out->changes |= opaque ? 0 : MEDIA_FLATTENED;
        out->changes |= opaque && grey > 255 ? MEDIA_CLIPPED : 0;
        memset(out->rgb + 3 * i, opaque && grey < 255 ? grey : 255, 3);
    }
    return status ? damaged(status, err) : 0;
}

static int decode_pixels(spng_ctx *png, struct picture *out, struct vlmd_error *err)
{
    struct spng_ihdr header;
    int status = spng_get_ihdr(png, &header);
    if (status)
        return damaged(status, err);
    struct spng_trns transparent;
    status = spng_get_trns(png, &transparent);
    if (status && status != SPNG_ECHUNKAVAIL)
        return damaged(status, err);
    bool keyed = status == 0; /* one colour, or palette entries, are transparent */
    out->changes |= header.bit_depth == 16 ? MEDIA_DEPTH : 0;
    if (header.bit_depth == 16 && header.color_type == SPNG_COLOR_TYPE_GRAYSCALE)
        return decode_grey16(png, keyed ? transparent.gray : NO_GREY, out, err);
    if (keyed || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
        header.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA)
        return decode_alpha(png, out, err);
    return decode_opaque(png, out, err);
}

int png_decode(struct bytes in, struct picture *out, struct vlmd_error *err)
{
    struct feed feed = {in, 0, SIGNATURE_BYTES};
    spng_ctx *png = spng_ctx_new(0);
    if (!png)
        return err_no_memory(err, 0);
    int status = spng_set_png_stream(png, feed_read, &feed);
    int result = status ? damaged(status, err) : decode_pixels(png, out, err);
    spng_ctx_free(png);
    struct chunk animation;
    if (result == 0 && find_chunk(in, "acTL", &animation) && animation.len >= 4 &&
        get32(animation.data) > 1)
        out->changes |= MEDIA_FIRST_FRAME;
    return result;
}

/* iCCP: a name of up to 79 bytes and a NUL, the method 0, and what zlib made of the profile. */
uint8_t *png_profile(struct bytes in, size_t *len)
{
    struct chunk chunk;
    if (!find_chunk(in, "iCCP", &chunk))
        return NULL;
    const uint8_t *end = memchr(chunk.data, '\0', chunk.len < 80 ? chunk.len : 80);
    size_t lead = end ? (size_t)(end - chunk.data) + 2 : chunk.len;
    if (lead >= chunk.len || end[1] != 0)
        return NULL;
    uint8_t *icc = malloc(MAX_PROFILE); /* most of it never touched */
    uLongf got = MAX_PROFILE;
    if (icc && uncompress(icc, &got, chunk.data + lead, chunk.len - lead) == Z_OK) {
        *len = got;
        return icc;
    }
    free(icc);
    return NULL;
}
