/* Evaluated arguments of a call, filter or test, and their assignment to parameters. */
#pragma once

#include "chat/value.h"

struct named_value {
    const struct text *name;
    struct value value;
};

struct arguments {
    struct value *positional;
    size_t n;
    struct named_value *keywords;
    size_t n_keywords;
};

/* Fills slots[i] with the argument for parameter names[i] (position or keyword), NULL where none
 * was given. The first `required` ones must be there. -1 with an error that names `who`. */
int arguments_bind(struct workspace *ws, const char *who, const struct arguments *arguments,
                   const char *const *names, size_t n_names, size_t required, struct value **slots);
/* An argument that must be a string (an integer); absent ones leave *out alone. */
int argument_text(struct workspace *ws, const char *who, const struct value *argument,
                  const struct text **out);
int argument_int(struct workspace *ws, const char *who, const struct value *argument, int64_t *out);
