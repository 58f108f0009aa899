/* Python's ways of cutting a string into a list of strings. */
#pragma once

#include "chat/value.h"

/* str.split and str.rsplit (from_right): at `separator`, or at runs of whitespace when that is
 * NULL; at most `limit` cuts when that is not negative. NULL with the error set. */
struct list *split_text(struct workspace *ws, const struct text *text, const struct text *separator,
                        int64_t limit, bool from_right);
/* str.splitlines */
struct list *split_lines(struct workspace *ws, const struct text *text, bool keep_ends);
