#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"

#define HEADER_LIMIT ((size_t)100 << 20) /* as the reference implementation */

struct dtype_row {
    const char *name;
    enum safetensors_dtype dtype;
    size_t bits;
};

static const struct dtype_row dtypes[] = {
    {"F32", SAFETENSORS_F32, 32},      {"F16", SAFETENSORS_F16, 16},
    {"BF16", SAFETENSORS_BF16, 16},    {"U32", SAFETENSORS_U32, 32},
    {"F64", SAFETENSORS_OTHER, 64},    {"I64", SAFETENSORS_OTHER, 64},
    {"U64", SAFETENSORS_OTHER, 64},    {"I32", SAFETENSORS_OTHER, 32},
    {"I16", SAFETENSORS_OTHER, 16},    {"U16", SAFETENSORS_OTHER, 16},
    {"I8", SAFETENSORS_OTHER, 8},      {"U8", SAFETENSORS_OTHER, 8},
    {"BOOL", SAFETENSORS_OTHER, 8},    {"F8_E4M3", SAFETENSORS_OTHER, 8},
    {"F8_E5M2", SAFETENSORS_OTHER, 8},
};

static const struct dtype_row *find_dtype(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

static int bad(struct vlmd_error *err, const char *file, const char *tensor, const char *what)
{
    return err_set(err, VLMD_FORMAT, tensor, "%s: tensor %s: %s", file, tensor, what);
}

/* Reads shape into t; *bytes becomes the size that shape and dtype demand. */
static int parse_shape(struct safetensors_tensor *t, const json_t *shape, size_t bits,
                       size_t *bytes, const char *file, struct vlmd_error *err)
{
    if (json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        return bad(err, file, t->name, "too many dimensions");
    t->n_dims = (int)json_array_size(shape);
    size_t count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return bad(err, file, t->name, "a dimension is not a non-negative integer");
        t->shape[i] = json_integer_value(dim);
        if (!checked_mul(count, (size_t)t->shape[i], &count))
            return bad(err, file, t->name, "the shape overflows");
    }
    if (!checked_mul(count, bits / 8, bytes))
        return bad(err, file, t->name, "the shape overflows");
    return 0;
}

static int parse_tensor(struct safetensors_tensor *t, const char *name, const json_t *entry,
                        const uint8_t *data, size_t data_size, const char *file,
                        struct vlmd_error *err)
{
    t->name = name;
    const char *dtype_name = NULL;
    json_t *shape = NULL, *offsets = NULL;
    if (json_require(json_get_string(entry, "dtype", &dtype_name, err), "dtype", err) < 0 ||
        json_require(json_get_array(entry, "shape", &shape, err), "shape", err) < 0 ||
        json_require(json_get_array(entry, "data_offsets", &offsets, err), "data_offsets", err) <
            0) {
        err_prefix_field(err, name);
        return -1;
    }
    const struct dtype_row *dtype = find_dtype(dtype_name);
    if (!dtype)
        return bad(err, file, name, "unknown dtype");
    t->dtype = dtype->dtype;
    size_t want = 0;
    if (parse_shape(t, shape, dtype->bits, &want, file, err) < 0)
        return -1;
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return bad(err, file, name, "data_offsets must be [begin, end]");
    if ((uint64_t)json_integer_value(end) > data_size)
        return bad(err, file, name, "lies past the end of the file (is the download complete?)");
    t->data = data + json_integer_value(begin);
    t->bytes = (size_t)(json_integer_value(end) - json_integer_value(begin));
    if (t->bytes != want)
        return bad(err, file, name, "data_offsets do not match dtype and shape");
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int parse_entries(struct safetensors *st, json_t *header, const uint8_t *data,
                         size_t data_size, const char *file, struct vlmd_error *err)
{
    st->tensors = calloc(json_object_size(header) + 1, sizeof *st->tensors);
    if (!st->tensors)
        return err_no_memory(err, json_object_size(header) * sizeof *st->tensors);
    const char *key;
    json_t *entry;
    json_object_foreach (header, key, entry) {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        if (!json_is_object(entry))
            return bad(err, file, key, "its entry is not an object");
        char *name = strdup(key);
        if (!name)
            return err_no_memory(err, strlen(key) + 1);
        struct safetensors_tensor *t = &st->tensors[st->n_tensors++];
        if (parse_tensor(t, name, entry, data, data_size, file, err) < 0)
            return -1;
    }
    qsort(st->tensors, st->n_tensors, sizeof *st->tensors, by_name);
    return 0;
}

int safetensors_parse(struct safetensors *st, const uint8_t *bytes, size_t size, const char *name,
                      struct vlmd_error *err)
{
    *st = (struct safetensors){0};
    if (size < 8)
        return err_set(err, VLMD_FORMAT, name, "%s is too short for a safetensors file", name);
    uint64_t header_size = 0;
    for (int i = 7; i >= 0; i--)
        header_size = header_size << 8 | bytes[i];
    if (header_size > HEADER_LIMIT || header_size > size - 8)
        return err_set(err, VLMD_FORMAT, name, "%s: the header's length is out of range", name);
    json_t *header = json_parse((const char *)bytes + 8, (size_t)header_size, name, err);
    if (!header)
        return -1;
    int status = -1;
    if (!json_is_object(header))
        err_set(err, VLMD_FORMAT, name, "%s: the header is not an object", name);
    else
        status = parse_entries(st, header, bytes + 8 + header_size, size - 8 - (size_t)header_size,
                               name, err);
    json_decref(header);
    if (status < 0)
        safetensors_close(st);
    return status;
}

int safetensors_open(struct safetensors *st, const char *path, struct vlmd_error *err)
{
    struct file_map map;
    *st = (struct safetensors){0};
    if (file_map_open(&map, path, err) < 0)
        return -1;
    if (safetensors_parse(st, map.data, map.size, path, err) < 0) {
        file_map_close(&map);
        return -1;
    }
    st->map = map;
    return 0;
}

void safetensors_close(struct safetensors *st)
{
    for (size_t i = 0; i < st->n_tensors; i++)
        free((char *)(uintptr_t)st->tensors[i].name);
    free(st->tensors);
    file_map_close(&st->map);
    *st = (struct safetensors){0};
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    struct safetensors_tensor key = {.name = name};
    return bsearch(&key, st->tensors, st->n_tensors, sizeof key, by_name);
}
