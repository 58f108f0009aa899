/* Getting at parts of values: attributes, items, slices, membership. */
#pragma once

#include "chat/value.h"

/* value.name: methods first, then keys, as Jinja's getattr. Missing ones are undefined values. */
int access_attribute(struct workspace *ws, const struct value *value, const struct text *name,
                     struct value *out);
/* value[key]: keys first. */
int access_item(struct workspace *ws, const struct value *value, const struct value *key,
                struct value *out);
/* value[from:to:step]; NULL for the parts that are absent. */
int access_slice(struct workspace *ws, const struct value *value, const struct value *from,
                 const struct value *to, const struct value *step, struct value *out);
/* "a.b.0": attributes of attributes, as filters take them. */
int access_path(struct workspace *ws, const struct value *value, const struct value *path,
                struct value *out);
/* item in container: 1, 0, or -1 with the error set. */
int access_contains(struct workspace *ws, const struct value *container, const struct value *item);
