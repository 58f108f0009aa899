/* JPEG through libjpeg-turbo: baseline, progressive and arithmetic; grey, YCbCr, RGB, CMYK, YCCK.
 * What the library only warns about is decoded, as everybody does; a picture that ends early is
 * refused, as Pillow does. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h> /* wants jpeglib.h before it */

#include "base/buf.h"
#include "media/codecs.h"
#include "media/orient.h"

enum {
    MAX_SCANS = 500, /* real progressive files have about ten; each costs a pass over all pixels */
};

/* The library reports errors by a call that must not return, hence the longjmp. It never leaves
 * this file: begin() to jpeg_destroy_decompress() lie between its ends. */
struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const char *reason; /* when it is ours and not the library's */
    bool has_exif;
    int32_t orientation; /* of the first EXIF marker */
};

static struct reader *reader_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static void on_error(j_common_ptr jpeg)
{
    longjmp(reader_of(jpeg)->failed, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    (void)jpeg;
    (void)level;
}

static void on_progress(j_common_ptr jpeg)
{
    struct reader *r = reader_of(jpeg);
    if (r->jpeg.input_scan_number <= MAX_SCANS)
        return;
    r->reason = "it has too many scans";
    longjmp(r->failed, 1);
}

static void source_start(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

/* All bytes were there from the beginning: whoever asks for more has a picture cut short. */
static boolean source_fill(j_decompress_ptr jpeg)
{
    (void)jpeg;
    return FALSE;
}

static void source_skip(j_decompress_ptr jpeg, long n)
{
    struct jpeg_source_mgr *s = jpeg->src;
    if (n <= 0)
        return;
    size_t step = (size_t)n < s->bytes_in_buffer ? (size_t)n : s->bytes_in_buffer;
    s->next_input_byte += step;
    s->bytes_in_buffer -= step;
}

/* One APP1 marker behind its two bytes. The library would keep them all in a list and go through it
 * for each new one, which takes minutes for files that are made of them. */
static boolean on_app1(j_decompress_ptr jpeg)
{
    struct reader *r = reader_of((j_common_ptr)jpeg);
    struct jpeg_source_mgr *s = jpeg->src;
    const uint8_t *bytes = s->next_input_byte;
    if (s->bytes_in_buffer < 2)
        return FALSE;
    size_t len = (size_t)bytes[0] << 8 | bytes[1];
    len = len < 2 ? 2 : len;
    if (s->bytes_in_buffer < len)
        return FALSE;
    if (!r->has_exif && len >= 8 && memcmp(bytes + 2, "Exif\0\0", 6) == 0) {
        r->has_exif = true;
        r->orientation = orient_from_exif(bytes + 2, len - 2);
    }
    s->next_input_byte += len;
    s->bytes_in_buffer -= len;
    return TRUE;
}

/* To be called behind setjmp(r->failed). */
static void begin(struct reader *r, struct bytes in)
{
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->jpeg.client_data = r;
    jpeg_create_decompress(&r->jpeg);
    r->source = (struct jpeg_source_mgr){
        .next_input_byte = in.data,
        .bytes_in_buffer = in.len,
        .init_source = source_start,
        .fill_input_buffer = source_fill,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_start,
    };
    r->jpeg.src = &r->source;
    r->progress.progress_monitor = on_progress;
    r->jpeg.progress = &r->progress;
}

static int cut_short(struct vlmd_error *err)
{
    return err_set(err, VLMD_INVALID, NULL, "the JPEG is cut short");
}

static int damaged(struct reader *r, struct vlmd_error *err)
{
    char text[JMSG_LENGTH_MAX];
    if (!r->reason)
        r->errors.format_message((j_common_ptr)&r->jpeg, text);
    bool too_big = !r->reason && r->errors.msg_code == JERR_IMAGE_TOO_BIG;
    return err_set(err, too_big ? VLMD_TOO_LARGE : VLMD_INVALID, NULL,
                   "the JPEG cannot be decoded: %s", r->reason ? r->reason : text);
}

static int read_header(struct reader *r, struct bytes in, struct media_info *info,
                       struct vlmd_error *err)
{
    begin(r, in);
    jpeg_set_marker_processor(&r->jpeg, JPEG_APP0 + 1, on_app1);
    if (jpeg_read_header(&r->jpeg, TRUE) != JPEG_HEADER_OK)
        return cut_short(err);
    info->stored_width = (int32_t)r->jpeg.image_width;
    info->stored_height = (int32_t)r->jpeg.image_height;
    info->orientation = r->has_exif ? r->orientation : 1;
    return 0;
}

int jpeg_probe(struct bytes in, struct media_info *info, struct vlmd_error *err)
{
    struct reader r = {0};
    int result;
    if (setjmp(r.failed))
        result = damaged(&r, err);
    else
        result = read_header(&r, in, info, err);
    jpeg_destroy_decompress(&r.jpeg);
    return result;
}

/* Inks are stored inverted, as Adobe's programs write them and all others learnt to: 255 is no
 * ink. */
static void cmyk_to_rgb(const uint8_t *cmyk, int32_t n, uint8_t *rgb)
{
    for (int32_t i = 0; i < n; i++, cmyk += 4) {
        for (int c = 0; c < 3; c++) {
            unsigned light = cmyk[3];
            unsigned ink = (255u - cmyk[c]) * light + 128u;
            *rgb++ = (uint8_t)(light - (((ink >> 8) + ink) >> 8));
        }
    }
}

static int read_rows(struct reader *r, const struct rows *rows, unsigned *changes,
                     struct vlmd_error *err)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    bool inks = jpeg->num_components == 4;
    if (!inks && jpeg->num_components != 1 && jpeg->num_components != 3)
        return err_set(err, VLMD_UNSUPPORTED, NULL, "a JPEG of %d components is not supported",
                       jpeg->num_components);
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    if (!jpeg_start_decompress(jpeg))
        return cut_short(err);
    int32_t width = (int32_t)jpeg->output_width;
    JSAMPARRAY cmyk = NULL;
    if (inks)
        cmyk = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * 4, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = rows->next(rows->context);
        if (jpeg_read_scanlines(jpeg, inks ? cmyk : &row, 1) != 1)
            return cut_short(err);
        if (inks)
            cmyk_to_rgb(cmyk[0], width, row);
        rows->take(rows->context);
    }
    if (!jpeg_finish_decompress(jpeg))
        return cut_short(err);
    *changes |= inks ? MEDIA_FROM_CMYK : 0;
    return 0;
}

int jpeg_read(struct bytes in, const struct rows *rows, unsigned *changes, struct vlmd_error *err)
{
    struct reader r = {0};
    struct media_info again;
    int result;
    if (setjmp(r.failed))
        result = damaged(&r, err);
    else if ((result = read_header(&r, in, &again, err)) == 0)
        result = read_rows(&r, rows, changes, err);
    jpeg_destroy_decompress(&r.jpeg);
    return result;
}

/* A profile lies in APP2 markers of at most 64 KiB, each with its number and their count, in order.
 */
uint8_t *jpeg_profile(struct bytes in, size_t *len)
{
    enum {
        LEAD = 14
    }; /* "ICC_PROFILE", a NUL, number, count */
    struct buf icc = {0};
    unsigned found = 0, count = 0;
    for (size_t at = 2; in.len - at >= 4 && in.data[at] == 0xFF;) {
        const uint8_t *p = in.data + at;
        size_t n = (size_t)p[2] << 8 | p[3];
        if (p[1] == 0xDA || n < 2 || n > in.len - at - 2 || icc.len > MAX_PROFILE)
            break;
        if (p[1] == 0xE2 && n >= 2 + LEAD && memcmp(p + 4, "ICC_PROFILE", 12) == 0 &&
            p[16] == found + 1) {
            found++;
            count = p[17];
            buf_append(&icc, p + 4 + LEAD, n - 2 - LEAD);
        }
        at += 2 + n;
    }
    *len = icc.len;
    if (found > 0 && found == count && !icc.failed && icc.len <= MAX_PROFILE)
        return (uint8_t *)icc.data;
    buf_free(&icc);
    return NULL;
}
