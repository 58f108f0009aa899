/* str.format, as far as templates use it: {}, {0} and {name}, with {{ and }} for braces. */
#pragma once

#include "chat/arguments.h"

/* NULL with the error set; conversions, format specifications and attributes are refused. */
const struct text *format_text(struct workspace *ws, const struct text *pattern,
                               const struct arguments *arguments);
