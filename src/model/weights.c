#include "model/weights.h"

#include <stdarg.h>
#include <stdio.h>

#define NAME_MAX_BYTES 256

const char *weights_find_prefix(const struct checkpoint *cp, const char *const *candidates,
                                const char *name, struct vlmd_error *err)
{
    char full[NAME_MAX_BYTES];
    for (const char *const *c = candidates; *c; c++) {
        snprintf(full, sizeof full, "%s%s", *c, name);
        if (checkpoint_has(cp, full))
            return *c;
    }
    err_set(err, VLMD_NOT_FOUND, name,
            "the checkpoint has no tensor %s%s, nor one by an older name", *candidates, name);
    return NULL;
}

static int format_name(const struct weights *ws, char *full, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static int format_name(const struct weights *ws, char *full, const char *format, va_list args)
{
    int n = snprintf(full, NAME_MAX_BYTES, "%s", ws->prefix);
    if (n >= 0 && n < NAME_MAX_BYTES) {
        int m = vsnprintf(full + n, (size_t)(NAME_MAX_BYTES - n), format, args);
        if (m >= 0 && n + m < NAME_MAX_BYTES)
            return 0;
    }
    return err_set(ws->err, VLMD_INTERNAL, format, "a tensor name is too long");
}

/* What the loaders below do once the name is known. `found` is 0 when *source describes the tensor.
 */
static void take(struct weights *ws, struct weight *w, int found,
                 const struct weight_source *source)
{
    if (found < 0 || ws->be->ops->weight_load(ws->be, w, source, ws->err) < 0)
        ws->failed = true;
}

void weights_matrix(struct weights *ws, struct weight *w, int32_t rows, int32_t cols,
                    const char *name, ...)
{
    char full[NAME_MAX_BYTES];
    struct weight_source source;
    if (ws->failed)
        return;
    va_list args;
    va_start(args, name);
    int found = format_name(ws, full, name, args);
    va_end(args);
    if (found == 0)
        found = checkpoint_matrix(ws->cp, full, rows, cols, &source, ws->err);
    source.many_rows = ws->many_rows;
    take(ws, w, found, &source);
}

void weights_table(struct weights *ws, struct weight *w, int32_t rows, int32_t cols,
                   const char *name)
{
    char full[NAME_MAX_BYTES];
    struct weight_source source;
    if (ws->failed)
        return;
    snprintf(full, sizeof full, "%s%s", ws->prefix, name);
    int found = checkpoint_matrix(ws->cp, full, rows, cols, &source, ws->err);
    source.lookup = true;
    take(ws, w, found, &source);
}

static void load_vector(struct weights *ws, struct weight *w, int32_t n, bool optional,
                        const char *name, va_list args) __attribute__((format(printf, 5, 0)));

static void load_vector(struct weights *ws, struct weight *w, int32_t n, bool optional,
                        const char *name, va_list args)
{
    char full[NAME_MAX_BYTES];
    struct weight_source source;
    int found = format_name(ws, full, name, args);
    if (found == 0 && optional && !checkpoint_has(ws->cp, full))
        return;
    if (found == 0)
        found = checkpoint_vector(ws->cp, full, n, &source, ws->err);
    take(ws, w, found, &source);
}

void weights_vector(struct weights *ws, struct weight *w, int32_t n, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    if (!ws->failed)
        load_vector(ws, w, n, false, name, args);
    va_end(args);
}

void weights_optional_vector(struct weights *ws, struct weight *w, int32_t n, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    if (!ws->failed)
        load_vector(ws, w, n, true, name, args);
    va_end(args);
}

int weights_end(struct weights *ws)
{
    if (!ws->failed && ws->be->ops->weights_end(ws->be, ws->err) < 0)
        ws->failed = true;
    return ws->failed ? -1 : 0;
}

void weights_free(struct backend *be, struct weight *w)
{
    if (w->source.data)
        be->ops->weight_free(be, w);
    *w = (struct weight){0};
}
