/* Arithmetic on integers that come from outside: each function returns false instead of wrapping.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* a * b * c */
static inline bool checked_mul3(size_t a, size_t b, size_t c, size_t *out)
{
    size_t ab;
    return checked_mul(a, b, &ab) && checked_mul(ab, c, out);
}
