/* Taking over parameters: vectors become float32, matrices are read in place or repacked, both by
 * weights_end (load.c). */
#include <stdlib.h>

#include "backend/cpu/backend.h"
#include "backend/cpu/strassen.h"
#include "base/checked.h"

static bool is_dense(enum weight_type type)
{
    return type == WEIGHT_F32 || type == WEIGHT_F16 || type == WEIGHT_BF16;
}

static bool is_affine_width(int32_t bits)
{
    return bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8;
}

static int check_affine(const struct weight_source *s, struct vlmd_error *err)
{
    if (!is_affine_width(s->bits))
        return err_set(err, VLMD_UNSUPPORTED, "bits", "%d-bit weights are not supported", s->bits);
    if (s->group != 32 && s->group != 64 && s->group != 128)
        return err_set(err, VLMD_UNSUPPORTED, "group_size", "groups of %d are not supported",
                       s->group);
    if (s->cols % s->group != 0)
        return err_set(err, VLMD_INVALID, "cols", "%d columns are not whole groups of %d", s->cols,
                       s->group);
    if (!is_dense(s->scale_type))
        return err_set(err, VLMD_UNSUPPORTED, "scales", "scales must be f32, f16 or bf16");
    if (!s->scales || !s->biases)
        return err_set(err, VLMD_INVALID, "scales", "scales or biases are missing");
    return 0;
}

static int check(const struct weight_source *s, struct vlmd_error *err)
{
    if (s->rows < 1 || s->cols < 1 || !s->data)
        return err_set(err, VLMD_INVALID, "weight", "%d x %d is no matrix", s->rows, s->cols);
    if (s->type == WEIGHT_AFFINE)
        return check_affine(s, err);
    if (!is_dense(s->type))
        return err_set(err, VLMD_UNSUPPORTED, "weight", "unknown type %d", (int)s->type);
    return 0;
}

static size_t greatest_of(size_t a, size_t b, size_t c)
{
    size_t most = a > b ? a : b;
    return most > c ? most : c;
}

/* Room for what linear makes of x; made here because ops cannot fail. */
static int reserve_prepared(struct cpu_backend *cpu, const struct weight_source *w,
                            struct vlmd_error *err)
{
    int32_t cols = w->cols;
    size_t floats, in_tiles, in_products = 0, bytes;
    if (strassen_is_for(w, INT32_MAX))
        in_products = strassen_prepared_floats(w);
    if (!checked_mul(linear_prepared_floats(cols), LINEAR_TOKENS, &floats) ||
        !checked_mul(tiles_prepared_floats(&cpu->kernels, w), (size_t)tiles_tokens(cols),
                     &in_tiles) ||
        !checked_mul(greatest_of(floats, in_tiles, in_products), sizeof(float), &bytes))
        return err_set(err, VLMD_TOO_LARGE, "cols", "%d columns are too many", cols);
    if (bytes <= cpu->prepared_bytes)
        return 0;
    float *prepared = cpu->ops.alloc(&cpu->base, bytes);
    if (!prepared)
        return err_no_memory(err, bytes);
    free(cpu->prepared);
    cpu->prepared = prepared;
    cpu->prepared_bytes = bytes;
    return 0;
}

static void *vector_room(int32_t n, struct vlmd_error *err)
{
    size_t bytes = (size_t)n * sizeof(float);
    void *room = malloc(bytes);
    if (!room)
        err_no_memory(err, bytes);
    return room;
}

int cpu_weight_load(struct backend *be, struct weight *w, const struct weight_source *source,
                    struct vlmd_error *err)
{
    *w = (struct weight){0};
    if (check(source, err) != 0 || reserve_prepared(cpu_backend_of(be), source, err) != 0)
        return -1;
    struct cpu_backend *cpu = cpu_backend_of(be);
    bool in_blocks = cpu->integer && cpu->kernels.reads_blocks && integer_repacks(source);
    bool vector = source->rows == 1 && source->type != WEIGHT_AFFINE;
    void *room = NULL;
    if (in_blocks || vector) {
        room = in_blocks ? repack_room(source, err) : vector_room(source->cols, err);
        if (!room || load_later(cpu, source, room, err) != 0) {
            free(room);
            return -1;
        }
    }
    *w = (struct weight){*source, room};
    return 0;
}

void cpu_weight_free(struct backend *be, struct weight *w)
{
    if (w->prepared)
        load_forget(cpu_backend_of(be), w->prepared);
    free(w->prepared);
    *w = (struct weight){0};
}
