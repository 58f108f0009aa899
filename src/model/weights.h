/* Loading of an architecture's weights, name by name. The first failure is kept and later calls do
 * nothing, so that a list of loads reads as the list of weights and is checked once at its end. */
#pragma once

#include "format/checkpoint.h"
#include "ops/ops.h"

struct weights {
    const struct checkpoint *cp;
    struct backend *be;
    const char *prefix; /* put before every name */
    struct vlmd_error *err;
    bool many_rows; /* of all matrices that are loaded (weight_source.many_rows) */
    bool failed;
};

/* The first of the NULL-terminated candidates for which "<candidate><name>" is a tensor; NULL with
 * an error that names the first. */
const char *weights_find_prefix(const struct checkpoint *cp, const char *const *candidates,
                                const char *name, struct vlmd_error *err);

/* "<prefix><name>.weight", rows x cols; name is formatted. */
void weights_matrix(struct weights *ws, struct weight *w, int32_t rows, int32_t cols,
                    const char *name, ...) __attribute__((format(printf, 5, 6)));
/* The same for a table that only embed reads. */
void weights_table(struct weights *ws, struct weight *w, int32_t rows, int32_t cols,
                   const char *name);
/* "<prefix><name>", n elements */
void weights_vector(struct weights *ws, struct weight *w, int32_t n, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* The same; *w stays empty when the checkpoint has none. */
void weights_optional_vector(struct weights *ws, struct weight *w, int32_t n, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

/* Ends the list: 0, or -1 when any of it failed. */
int weights_end(struct weights *ws);

/* Gives a loaded weight back; an empty one is fine. */
void weights_free(struct backend *be, struct weight *w);

/* For ops' optional biases: NULL when w is empty. */
static inline const struct weight *weights_or_null(const struct weight *w)
{
    return w->source.data ? w : NULL;
}
