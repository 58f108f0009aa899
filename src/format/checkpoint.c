#include "format/checkpoint.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

#define INDEX_FILE    "model.safetensors.index.json"
#define WEIGHT_SUFFIX ".safetensors"
#define INDEX_LIMIT   ((size_t)64 << 20)
#define MAX_SHARDS    1024
#define DIRECT_SHARDS 64 /* each keeps a descriptor */

static int add_shard(struct checkpoint *cp, const char *folder, const char *name,
                     struct vlmd_error *err)
{
    char *path = file_join(folder, name);
    if (!path)
        return err_no_memory(err, strlen(folder) + strlen(name) + 2);
    int status = safetensors_open(&cp->shards[cp->n_shards], path, err);
    free(path);
    if (status < 0)
        return -1;
    if (cp->n_shards >= DIRECT_SHARDS)
        file_map_close_direct(&cp->shards[cp->n_shards].map);
    cp->n_shards++;
    return 0;
}

/* File names come from the index: they must stay inside the folder. */
static bool plain_file_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

/* Collects the distinct file names of weight_map; borrowed from the index. */
static int shard_names(const json_t *index, const char **names, size_t *n, struct vlmd_error *err)
{
    json_t *map = NULL;
    if (json_require(json_get_object(index, "weight_map", &map, err), "weight_map", err) < 0)
        return -1;
    const char *key;
    json_t *value;
    *n = 0;
    json_object_foreach (map, key, value) {
        const char *name = json_string_value(value);
        if (!name || !plain_file_name(name))
            return err_set(err, VLMD_FORMAT, "weight_map",
                           "weight_map names a file outside the checkpoint for %s", key);
        size_t i = 0;
        while (i < *n && strcmp(names[i], name) != 0)
            i++;
        if (i < *n)
            continue;
        if (*n == MAX_SHARDS)
            return err_set(err, VLMD_TOO_LARGE, "weight_map", "more than %d shards", MAX_SHARDS);
        names[(*n)++] = name;
    }
    if (*n == 0)
        return err_set(err, VLMD_FORMAT, "weight_map", "weight_map is empty");
    return 0;
}

static int open_shards(struct checkpoint *cp, const char *folder, const char *index_path,
                       struct vlmd_error *err)
{
    json_t *index = json_parse_file(index_path, INDEX_LIMIT, err);
    if (!index)
        return -1;
    const char *names[MAX_SHARDS];
    size_t n;
    int status = shard_names(index, names, &n, err);
    if (status < 0) {
        err_prefix_field(err, INDEX_FILE);
        goto out;
    }
    cp->shards = calloc(n, sizeof *cp->shards);
    if (!cp->shards) {
        status = err_no_memory(err, n * sizeof *cp->shards);
        goto out;
    }
    for (size_t i = 0; i < n && status == 0; i++)
        status = add_shard(cp, folder, names[i], err);
out:
    json_decref(index);
    return status;
}

static int is_weight_file(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name), suffix = strlen(WEIGHT_SUFFIX);
    return plain_file_name(entry->d_name) && n > suffix &&
           strcmp(entry->d_name + n - suffix, WEIGHT_SUFFIX) == 0 &&
           strcmp(entry->d_name, "consolidated" WEIGHT_SUFFIX) != 0; /* Mistral's second copy */
}

/* Without an index every safetensors file of the folder counts. */
static int open_all(struct checkpoint *cp, const char *folder, struct vlmd_error *err)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_weight_file, alphasort);
    if (n < 0)
        return err_errno(err, folder, "cannot read the folder %s", folder);
    int status = 0;
    if (n == 0)
        status = err_set(err, VLMD_NOT_FOUND, folder, "%s holds no %s file", folder, WEIGHT_SUFFIX);
    else if (n > MAX_SHARDS)
        status = err_set(err, VLMD_TOO_LARGE, folder, "more than %d shards", MAX_SHARDS);
    else if (!(cp->shards = calloc((size_t)n, sizeof *cp->shards)))
        status = err_no_memory(err, (size_t)n * sizeof *cp->shards);
    for (int i = 0; i < n; i++) {
        if (status == 0)
            status = add_shard(cp, folder, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

int checkpoint_open(struct checkpoint *cp, const char *folder, struct vlmd_error *err)
{
    *cp = (struct checkpoint){0};
    char *index_path = file_join(folder, INDEX_FILE);
    if (!index_path)
        return err_no_memory(err, strlen(folder));
    int status = access(index_path, F_OK) == 0 ? open_shards(cp, folder, index_path, err)
                                               : open_all(cp, folder, err);
    free(index_path);
    if (status < 0)
        checkpoint_close(cp);
    return status;
}

void checkpoint_close(struct checkpoint *cp)
{
    for (size_t i = 0; i < cp->n_shards; i++)
        safetensors_close(&cp->shards[i]);
    free(cp->shards);
    *cp = (struct checkpoint){0};
}

size_t checkpoint_bytes(const struct checkpoint *cp)
{
    size_t bytes = 0;
    for (size_t i = 0; i < cp->n_shards; i++)
        bytes += cp->shards[i].map.size;
    return bytes;
}

const struct safetensors_tensor *checkpoint_find(const struct checkpoint *cp, const char *name)
{
    for (size_t i = 0; i < cp->n_shards; i++) {
        const struct safetensors_tensor *t = safetensors_find(&cp->shards[i], name);
        if (t)
            return t;
    }
    return NULL;
}

static const struct file_map *file_of(const struct checkpoint *cp, const void *data)
{
    for (size_t i = 0; i < cp->n_shards; i++)
        if (file_map_holds(&cp->shards[i].map, data, 0))
            return &cp->shards[i].map;
    return NULL;
}

bool checkpoint_has(const struct checkpoint *cp, const char *name)
{
    return checkpoint_find(cp, name) != NULL;
}

/* The tensor as two dimensions: a vector is one row, dimensions after the first are columns. */
static void fold_shape(const struct safetensors_tensor *t, int64_t *rows, int64_t *cols)
{
    *rows = t->n_dims > 1 ? t->shape[0] : 1;
    *cols = t->n_dims > 0 ? 1 : 0;
    for (int i = t->n_dims > 1 ? 1 : 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(*cols, t->shape[i],
                                   cols)) { /* possible beside a zero dimension */
            *cols = -1;
            return;
        }
}

static int float_type(const struct safetensors_tensor *t, enum weight_type *type,
                      struct vlmd_error *err)
{
    switch (t->dtype) {
    case SAFETENSORS_F32:
        *type = WEIGHT_F32;
        return 0;
    case SAFETENSORS_F16:
        *type = WEIGHT_F16;
        return 0;
    case SAFETENSORS_BF16:
        *type = WEIGHT_BF16;
        return 0;
    default:
        return err_set(err, VLMD_UNSUPPORTED, t->name,
                       "tensor %s must be float32, float16 or bfloat16", t->name);
    }
}

static int wrong_shape(const struct safetensors_tensor *t, int64_t rows, int64_t cols,
                       struct vlmd_error *err)
{
    int64_t have_rows, have_cols;
    fold_shape(t, &have_rows, &have_cols);
    return err_set(err, VLMD_FORMAT, t->name,
                   "tensor %s is %lld x %lld where the configuration wants %lld x %lld", t->name,
                   (long long)have_rows, (long long)have_cols, (long long)rows, (long long)cols);
}

static int dense_source(const struct safetensors_tensor *t, int32_t rows, int32_t cols,
                        struct weight_source *out, struct vlmd_error *err)
{
    int64_t have_rows, have_cols;
    fold_shape(t, &have_rows, &have_cols);
    if (have_rows != rows || have_cols != cols)
        return wrong_shape(t, rows, cols, err);
    *out = (struct weight_source){.rows = rows, .cols = cols, .data = t->data};
    return float_type(t, &out->type, err);
}

static bool known_bits(int64_t bits)
{
    return bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8;
}

static int affine_source(const struct safetensors_tensor *weight,
                         const struct safetensors_tensor *scales,
                         const struct safetensors_tensor *biases, int32_t rows, int32_t cols,
                         struct weight_source *out, struct vlmd_error *err)
{
    int64_t scale_rows, groups, words_rows, words;
    fold_shape(scales, &scale_rows, &groups);
    fold_shape(weight, &words_rows, &words);
    if (weight->dtype != SAFETENSORS_U32)
        return err_set(err, VLMD_UNSUPPORTED, weight->name,
                       "tensor %s has scales but is not packed into uint32", weight->name);
    if (scale_rows != rows || groups <= 0 || cols % groups != 0)
        return wrong_shape(scales, rows, cols, err);
    if (words_rows != rows || words < 0 || words > cols) /* of 32 bits at most a value */
        return wrong_shape(weight, rows, cols, err);
    int64_t group = cols / groups;
    if (group != 32 && group != 64 && group != 128)
        return err_set(err, VLMD_UNSUPPORTED, weight->name,
                       "tensor %s is quantized in groups of %lld; 32, 64 and 128 are supported",
                       weight->name, (long long)group);
    int64_t bits = words * 32 / cols;
    if (words * 32 != bits * cols)
        return wrong_shape(weight, rows, cols, err);
    if (!known_bits(bits))
        return err_set(err, VLMD_UNSUPPORTED, weight->name,
                       "tensor %s has %lld bits a weight; 2, 3, 4, 5, 6 and 8 are supported",
                       weight->name, (long long)bits);
    *out = (struct weight_source){
        .type = WEIGHT_AFFINE,
        .rows = rows,
        .cols = cols,
        .bits = (int32_t)bits,
        .group = (int32_t)group,
        .data = weight->data,
        .scales = scales->data,
        .biases = biases->data,
    };
    int64_t bias_rows, bias_groups;
    fold_shape(biases, &bias_rows, &bias_groups);
    if (biases->dtype != scales->dtype || bias_rows != rows || bias_groups != groups)
        return wrong_shape(biases, rows, groups, err);
    return float_type(scales, &out->scale_type, err);
}

/* "<name>.<part>", NULL in *t when the checkpoint has none; -1 when the name is too long. */
static int find_part(const struct checkpoint *cp, const char *name, const char *part,
                     const struct safetensors_tensor **t, struct vlmd_error *err)
{
    char full[256];
    int n = snprintf(full, sizeof full, "%s.%s", name, part);
    if (n < 0 || (size_t)n >= sizeof full)
        return err_set(err, VLMD_INTERNAL, name, "the tensor name %s is too long", name);
    *t = checkpoint_find(cp, full);
    return 0;
}

int checkpoint_matrix(const struct checkpoint *cp, const char *name, int32_t rows, int32_t cols,
                      struct weight_source *out, struct vlmd_error *err)
{
    const struct safetensors_tensor *weight, *scales, *biases;
    if (find_part(cp, name, "weight", &weight, err) < 0 ||
        find_part(cp, name, "scales", &scales, err) < 0 ||
        find_part(cp, name, "biases", &biases, err) < 0)
        return -1;
    if (!weight)
        return err_set(err, VLMD_NOT_FOUND, name, "the checkpoint has no tensor %s.weight", name);
    if (scales && !biases)
        return err_set(err, VLMD_UNSUPPORTED, name,
                       "%s is quantized without biases; only MLX's affine mode is supported", name);
    int status = scales ? affine_source(weight, scales, biases, rows, cols, out, err)
                        : dense_source(weight, rows, cols, out, err);
    out->file = file_of(cp, weight->data);
    return status;
}

int checkpoint_vector(const struct checkpoint *cp, const char *name, int32_t n,
                      struct weight_source *out, struct vlmd_error *err)
{
    const struct safetensors_tensor *t = checkpoint_find(cp, name);
    if (!t)
        return err_set(err, VLMD_NOT_FOUND, name, "the checkpoint has no tensor %s", name);
    int status = dense_source(t, 1, n, out, err);
    out->file = file_of(cp, t->data);
    return status;
}
