#include "parity/engine/picture.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE 4096

struct shape {
    const char *kind;
    int64_t x, y, w, h;
    uint8_t rgb[3];
};

static int64_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static int64_t element(const json_t *array, size_t i)
{
    return json_integer_value(json_array_get(array, i));
}

static uint8_t noise(uint32_t x, uint32_t y, uint32_t c, uint32_t seed)
{
    uint32_t h = x * 73856093u ^ y * 19349663u ^ (c + 1) * 83492791u ^ seed * 2654435761u;
    uint32_t band = (x * (2 + seed % 5) + y * (3 + seed % 3)) / 2;
    uint32_t block = ((x / 20 ^ y / 14) & 3) * 60;

    h ^= h >> 13;
    h *= 0x5bd1e995u;
    h ^= h >> 15;
    return (uint8_t)(((band + block + 40 * c) & 255) * 3 / 4 + (h & 63));
}

static void draw_noise(uint8_t *rgb, int32_t width, int32_t height, uint32_t seed)
{
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++)
                *rgb++ = noise((uint32_t)x, (uint32_t)y, c, seed);
}

/* dx, dy are distances from the shape's middle to the pixel's, doubled. */
static bool shape_covers(const struct shape *s, int64_t x, int64_t y)
{
    int64_t dx = llabs(2 * (x - s->x) + 1 - s->w);
    int64_t dy = 2 * (y - s->y) + 1 - s->h;
    bool inside = dx <= s->w && llabs(dy) <= s->h;

    if (strcmp(s->kind, "ellipse") == 0)
        return dx * dx * s->h * s->h + dy * dy * s->w * s->w <= s->w * s->w * s->h * s->h;
    if (strcmp(s->kind, "triangle") == 0)
        return inside && 2 * s->h * dx <= s->w * (dy + s->h);
    return inside;
}

static void draw_shape(uint8_t *rgb, int32_t width, int32_t height, const struct shape *s)
{
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++, rgb += 3)
            if (shape_covers(s, x, y))
                memcpy(rgb, s->rgb, 3);
}

static void draw_scene(uint8_t *rgb, int32_t width, int32_t height, const json_t *picture)
{
    const json_t *ground = json_object_get(picture, "background");
    size_t i, n = (size_t)width * (size_t)height;
    json_t *item;

    for (i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)element(ground, c);
    json_array_foreach (json_object_get(picture, "shapes"), i, item) {
        struct shape s = {
            json_string_value(json_array_get(item, 0)),
            element(item, 1),
            element(item, 2),
            element(item, 3),
            element(item, 4),
            {(uint8_t)element(item, 5), (uint8_t)element(item, 6), (uint8_t)element(item, 7)}};
        if (s.kind != NULL)
            draw_shape(rgb, width, height, &s);
    }
}

uint8_t *picture_draw(const json_t *picture, int32_t *width, int32_t *height)
{
    int64_t w = integer(picture, "width"), h = integer(picture, "height");
    const json_t *seed = json_object_get(picture, "seed");
    uint8_t *rgb;

    if (w < 1 || h < 1 || w > MAX_SIDE || h > MAX_SIDE)
        return NULL;
    if (seed == NULL && json_array_size(json_object_get(picture, "background")) != 3)
        return NULL;
    rgb = malloc((size_t)w * (size_t)h * 3);
    if (rgb == NULL)
        return NULL;
    *width = (int32_t)w;
    *height = (int32_t)h;
    if (seed != NULL)
        draw_noise(rgb, *width, *height, (uint32_t)json_integer_value(seed));
    else
        draw_scene(rgb, *width, *height, picture);
    return rgb;
}
