/* Draws the picture objects of fixtures with integer arithmetic only, byte for byte as
 * tools/fixtures/engine_cases.py does: no picture files are needed. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* {"width", "height"} and "seed", or "background" and "shapes". Returns height x width x 3 bytes
 * that the caller frees, or NULL when the object says something else. */
uint8_t *picture_draw(const json_t *picture, int32_t *width, int32_t *height);
