#include "front/chat_pixels.h"

#include <string.h>

#include "base/json.h"

/* Bounds of an area under the two names that they have in this place. Bounds that are in *out
 * already must not be contradicted. */
static int read_named(const json_t *object, const char *least, const char *most,
                      struct pixel_bounds *out, struct vlmd_error *err)
{
    struct pixel_bounds here = {0};
    if (json_get_int(object, least, 1, UINT32_MAX, &here.min, err) < 0 ||
        json_get_int(object, most, 1, UINT32_MAX, &here.max, err) < 0)
        return -1;
    if (here.min && out->min && here.min != out->min)
        return err_set(err, VLMD_INVALID, least, "%s contradicts another bound", least);
    if (here.max && out->max && here.max != out->max)
        return err_set(err, VLMD_INVALID, most, "%s contradicts another bound", most);
    out->min = here.min ? here.min : out->min;
    out->max = here.max ? here.max : out->max;
    if (out->min && out->max && out->min > out->max)
        return err_set(err, VLMD_INVALID, least, "%s is above %s", least, most);
    return 0;
}

int chat_pixels_read(const json_t *object, struct pixel_bounds *out, struct vlmd_error *err)
{
    return read_named(object, "min_pixels", "max_pixels", out, err);
}

static int only_keys(const json_t *object, const char *const *known, struct vlmd_error *err)
{
    const char *key = json_unknown_key(object, known);
    if (!key)
        return 0;
    return err_set(err, VLMD_UNSUPPORTED, key,
                   "%s is not supported: min_pixels, max_pixels and size are", key);
}

/* {"min_pixels", "max_pixels", "size": {"shortest_edge", "longest_edge"}}: despite their names the
 * edges of Qwen2-VL's processor are areas. */
static int read_processor_kwargs(const json_t *kwargs, struct pixel_bounds *out,
                                 struct vlmd_error *err)
{
    static const char *const known[] = {"min_pixels", "max_pixels", "size", NULL};
    static const char *const edges[] = {"shortest_edge", "longest_edge", NULL};
    json_t *size = NULL;
    if (only_keys(kwargs, known, err) < 0 || chat_pixels_read(kwargs, out, err) < 0 ||
        json_get_object(kwargs, "size", &size, err) < 0)
        return -1;
    if (size && (only_keys(size, edges, err) < 0 ||
                 read_named(size, "shortest_edge", "longest_edge", out, err) < 0)) {
        err_prefix_field(err, "size");
        return -1;
    }
    return 0;
}

int chat_pixels_of_request(const json_t *body, struct pixel_bounds *out, struct vlmd_error *err)
{
    json_t *kwargs = NULL, *inner = NULL;
    if (chat_pixels_read(body, out, err) < 0 ||
        json_get_object(body, "mm_processor_kwargs", &kwargs, err) < 0)
        return -1;
    if (!kwargs)
        return 0;
    /* transformers nests what belongs to images once more. */
    int status = json_get_object(kwargs, "images_kwargs", &inner, err);
    if (status == 1 && json_object_size(kwargs) > 1)
        status = err_set(err, VLMD_INVALID, "images_kwargs", "images_kwargs must stand alone");
    else if (status >= 0)
        status = read_processor_kwargs(inner ? inner : kwargs, out, err);
    if (status < 0) {
        if (inner)
            err_prefix_field(err, "images_kwargs");
        err_prefix_field(err, "mm_processor_kwargs");
    }
    return status;
}
