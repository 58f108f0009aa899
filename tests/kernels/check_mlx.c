/* Packed weights and what MLX made of them (tools/fixtures/quant.py writes mlx_quant.txt): embed
 * must give mlx.core.dequantize's values and linear mlx.core.quantized_matmul's. Then what
 * weight_load refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/check.h"

/* n hexadecimal numbers of `size` bytes each; NULL at a malformed one. */
static void *read_numbers(FILE *file, size_t n, size_t size)
{
    unsigned char *numbers = malloc(n * size + 1);
    for (size_t i = 0; numbers && i < n; i++) {
        uint32_t value;
        if (fscanf(file, "%x", &value) != 1) {
            free(numbers);
            return NULL;
        }
        memcpy(numbers + i * size, &value, size); /* little-endian, as in files */
    }
    return numbers;
}

static bool read_tensor(FILE *file, struct tensor t)
{
    for (int32_t i = 0; i < t.rows * t.cols; i++) {
        uint32_t bits;
        if (fscanf(file, "%x", &bits) != 1)
            return false;
        memcpy(t.data + i, &bits, sizeof bits);
    }
    return true;
}

static bool scale_type_of(const char *name, enum weight_type *type)
{
    static const enum weight_type types[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, weight_type_name(types[i])) == 0) {
            *type = types[i];
            return true;
        }
    return false;
}

static void check_case(struct check *c, struct test_weight *w, struct tensor values,
                       struct tensor x, struct tensor y)
{
    const struct weight_source *s = &w->source;
    struct tensor got_values = guarded_tensor(s->rows, s->cols, s->cols);
    struct tensor got_y = guarded_tensor(x.rows, s->rows, s->rows);
    int32_t *ids = malloc((size_t)s->rows * sizeof *ids);
    for (int32_t i = 0; ids && i < s->rows; i++)
        ids[i] = i;
    load_weight(c, w);
    if (ids)
        c->tested->ops->embed(c->tested, got_values, &w->in_tested, ids);
    c->tested->ops->linear(c->tested, got_y, x, &w->in_tested, NULL);
    compare(c, values, got_values, 0, 1e-7, "MLX dequantize, %d bits, group %d, %s", s->bits,
            s->group, weight_type_name(s->scale_type));
    compare(c, y, got_y, size_of_weight(c, w) * size_of(x), 2e-6,
            "MLX quantized_matmul, %d bits, group %d, %s", s->bits, s->group,
            weight_type_name(s->scale_type));
    free(ids);
    guarded_free(got_y);
    guarded_free(got_values);
}

/* One case of the file; false at its end or where it is malformed. */
static bool read_case(struct check *c, FILE *file)
{
    int32_t bits, group, rows, cols, n_x;
    char type[8];
    if (fscanf(file, " case %d %d %7s %d %d %d", &bits, &group, type, &rows, &cols, &n_x) != 6)
        return false;
    struct test_weight w = {
        .source = {
            .type = WEIGHT_AFFINE, .rows = rows, .cols = cols, .bits = bits, .group = group}};
    if (!scale_type_of(type, &w.source.scale_type))
        return false;
    size_t groups = (size_t)rows * (size_t)(cols / group);
    size_t scale_size = w.source.scale_type == WEIGHT_F32 ? 4 : 2;
    w.memory[0] = read_numbers(file, (size_t)rows * (size_t)cols / 32 * (size_t)bits, 4);
    w.memory[1] = read_numbers(file, groups, scale_size);
    w.memory[2] = read_numbers(file, groups, scale_size);
    w.source.data = w.memory[0];
    w.source.scales = w.memory[1];
    w.source.biases = w.memory[2];
    struct tensor values = guarded_tensor(rows, cols, cols);
    struct tensor x = guarded_tensor(n_x, cols, cols), y = guarded_tensor(n_x, rows, rows);
    bool ok = w.memory[0] && w.memory[1] && w.memory[2] && read_tensor(file, values) &&
              read_tensor(file, x) && read_tensor(file, y);
    if (ok)
        check_case(c, &w, values, x, y);
    guarded_free(y);
    guarded_free(x);
    guarded_free(values);
    free_weight(c, &w);
    return ok;
}

void check_mlx(struct check *c)
{
    if (c->bench)
        return;
    char path[512];
    snprintf(path, sizeof path, "%s/mlx_quant.txt", c->fixtures);
    FILE *file = fopen(path, "r");
    if (!file) {
        verdict(c, false, "%s cannot be read", path);
        return;
    }
    int cases = 0;
    while (read_case(c, file))
        cases++;
    verdict(c, cases == 54 && feof(file), "%s: %d cases, 54 wanted", path, cases);
    fclose(file);
}

static void check_refused(struct check *c, struct weight_source source, const char *field)
{
    struct weight w;
    struct vlmd_error err = {.code = VLMD_OK};
    int rc = c->tested->ops->weight_load(c->tested, &w, &source, &err);
    verdict(c, rc == -1 && err.code != VLMD_OK && strcmp(err.field, field) == 0,
            "weight_load does not refuse bad \"%s\" (rc %d, field \"%s\")", field, rc, err.field);
}

void check_loading(struct check *c)
{
    if (c->bench)
        return;
    static const uint32_t words[64];
    const struct weight_source good = {.type = WEIGHT_AFFINE,
                                       .scale_type = WEIGHT_BF16,
                                       .rows = 2,
                                       .cols = 64,
                                       .bits = 4,
                                       .group = 64,
                                       .data = words,
                                       .scales = words,
                                       .biases = words};
    struct weight_source bad = good;
    bad.bits = 7;
    check_refused(c, bad, "bits");
    bad = good;
    bad.group = 48;
    check_refused(c, bad, "group_size");
    bad = good;
    bad.cols = 96;
    check_refused(c, bad, "cols");
    bad = good;
    bad.scale_type = WEIGHT_AFFINE;
    check_refused(c, bad, "scales");
    bad = good;
    bad.biases = NULL;
    check_refused(c, bad, "scales");
    bad = good;
    bad.rows = 0;
    check_refused(c, bad, "weight");
    bad = good;
    bad.data = NULL;
    check_refused(c, bad, "weight");
    bad = good;
    bad.type = (enum weight_type)9;
    check_refused(c, bad, "weight");
}
