/* Images: which size they are shown at, and their way through the vision tower. */
#include <stdlib.h>

#include "base/smart_resize.h"
#include "engine/engine_internal.h"

static int need_vision(const vlmd_engine *e, struct vlmd_error *err)
{
    if (e->info.has_vision)
        return 0;
    return err_set(err, VLMD_UNSUPPORTED, "image_url", "this model reads text only");
}

int vlmd_image_plan(const vlmd_engine *e, int32_t width, int32_t height, int64_t min_pixels,
                    int64_t max_pixels, struct vlmd_image_plan *plan, struct vlmd_error *err)
{
    if (need_vision(e, err) < 0)
        return -1;
    int32_t factor = e->info.patch_size * e->info.merge_size;
    int64_t least = min_pixels ? min_pixels : e->info.min_pixels;
    int64_t most = max_pixels ? max_pixels : e->info.max_pixels;
    if (least < 1 || least > most)
        return err_set(err, VLMD_INVALID, "min_pixels",
                       "min_pixels must be at least 1 and at most max_pixels");
    if (smart_resize(height, width, factor, least, most, &plan->height, &plan->width, err) < 0)
        return -1;
    plan->tokens = (plan->height / factor) * (plan->width / factor);
    return 0;
}

size_t vlmd_image_bytes(const vlmd_engine *e, int32_t width, int32_t height)
{
    if (!e->info.has_vision)
        return 0;
    return e->model->class->image_bytes(&e->config, width, height);
}

vlmd_image *vlmd_image_encode(vlmd_engine *e, const uint8_t *rgb, int32_t width, int32_t height,
                              vlmd_cancel_fn cancel, void *cancel_context, struct vlmd_error *err)
{
    if (need_vision(e, err) < 0)
        return NULL;
    int32_t factor = e->info.patch_size * e->info.merge_size;
    if (width < factor || height < factor || width % factor != 0 || height % factor != 0 ||
        (int64_t)width * height > INT32_MAX / 4) {
        err_set(err, VLMD_INVALID, "image", "an image of %d x %d pixels is not of a planned size",
                width, height);
        return NULL;
    }
    vlmd_image *image = calloc(1, sizeof *image);
    if (!image) {
        err_no_memory(err, sizeof *image);
        return NULL;
    }
    image->engine = e;
    image->grid = (struct image_grid){height / factor, width / factor};
    if (e->model->class->encode_image(e->model, rgb, width, height, cancel, cancel_context,
                                      &image->embeddings, err) < 0) {
        free(image);
        return NULL;
    }
    return image;
}

void vlmd_image_free(vlmd_image *image)
{
    if (!image)
        return;
    struct backend *be = image->engine->be;
    be->ops->free(be, image->embeddings.data);
    free(image);
}

int32_t vlmd_image_tokens(const vlmd_image *image)
{
    return image->grid.rows * image->grid.cols;
}

void vlmd_image_read(const vlmd_image *image, float *out)
{
    struct backend *be = image->engine->be;
    size_t count = (size_t)vlmd_image_tokens(image) * (size_t)image->embeddings.cols;
    be->ops->download(be, out, image->embeddings.data, count * sizeof(float));
}
