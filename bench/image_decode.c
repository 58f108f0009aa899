/* How long a JPEG takes from its bytes to resized pixels: libjpeg-turbo alone, a resize of the
 * whole picture in memory alone, and the decoder's way, which does both row by row. In turn, the
 * best of several rounds each.
 *
 *   image_decode FILE WIDTH HEIGHT [ROUNDS]
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <jpeglib.h>

#include "base/file.h"
#include "media/resize.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double decode_alone(const uint8_t *bytes, size_t len, uint8_t *rgb)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    double began = now();
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, bytes, len);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        uint8_t *row = rgb + (size_t)jpeg.output_scanline * jpeg.output_width * 3;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return now() - began;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

int main(int argc, char **argv)
{
    size_t len;
    struct vlmd_error err;
    if (argc < 4) {
        fprintf(stderr, "usage: image_decode FILE WIDTH HEIGHT [ROUNDS]\n");
        return 2;
    }
    int32_t width = atoi(argv[2]), height = atoi(argv[3]);
    int rounds = argc > 4 ? atoi(argv[4]) : 10;
    char *file = file_read(argv[1], 100u << 20, &len, &err);
    uint8_t *bytes = (uint8_t *)file, *out = malloc((size_t)width * (size_t)height * 3);
    struct media_info info;
    struct picture picture;
    unsigned changes;
    struct media_target target = {width, height, out, false};
    if (!file || !out || media_probe(bytes, len, NULL, &info, &err) < 0 ||
        media_decode_resized(bytes, len, &info, &target, &changes, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct rusage by_rows, whole;
    getrusage(RUSAGE_SELF, &by_rows);
    if (media_decode(bytes, len, NULL, &picture, &err) < 0)
        return 1;
    getrusage(RUSAGE_SELF, &whole);
    double library = 1e9, resize = 1e9, ours = 1e9;
    for (int i = 0; i < rounds; i++) {
        library = least(library, decode_alone(bytes, len, picture.rgb));
        double began = now();
        media_resize(&picture, width, height, out, &err);
        resize = least(resize, now() - began);
        began = now();
        media_decode_resized(bytes, len, &info, &target, &changes, &err);
        ours = least(ours, now() - began);
    }
    printf("%d x %d to %d x %d: libjpeg-turbo alone %.1f ms, resize alone %.1f ms, decoder %.1f ms "
           "(%.2f of both); memory %ld MB, with the whole picture %ld MB\n",
           info.width, info.height, width, height, 1e3 * library, 1e3 * resize, 1e3 * ours,
           ours / (library + resize), by_rows.ru_maxrss / 1024, whole.ru_maxrss / 1024);
    picture_free(&picture);
    free(file);
    free(out);
    return 0;
}
