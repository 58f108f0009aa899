#include "format/model_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

#define FILE_LIMIT ((size_t)4 << 20)
/* Larger dimensions than any published model has; small enough that products of two fit 64 bits
 * with room. */
#define DIM_MAX    (1 << 24)
#define LAYERS_MAX 1024

/* A required positive dimension. */
static int dim(const json_t *object, const char *key, int32_t max, int32_t *out,
               struct vlmd_error *err)
{
    return json_require(json_get_int32(object, key, 1, max, out, err), key, err);
}

/* ---- text */

static int read_mrope_section(const json_t *rope, struct text_config *c, struct vlmd_error *err)
{
    json_t *section = NULL;
    int got = json_get_array(rope, "mrope_section", &section, err);
    if (got <= 0)
        return got;
    int32_t sum = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(section, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 ||
            json_integer_value(n) > c->head_dim / 2)
            return err_set(err, VLMD_INVALID, "mrope_section",
                           "mrope_section must be three counts of rotary frequencies");
        c->mrope_section[i] = (int32_t)json_integer_value(n);
        sum += c->mrope_section[i];
    }
    if (json_array_size(section) != 3 || sum != c->head_dim / 2)
        return err_set(err, VLMD_INVALID, "mrope_section",
                       "mrope_section must add up to head_dim / 2 = %d", c->head_dim / 2);
    return 0;
}

/* `rope` is rope_parameters (transformers 5) or rope_scaling (before): its type must be one that
 * changes no frequency. */
static int read_rope(const json_t *rope, struct text_config *c, struct vlmd_error *err)
{
    const char *type = NULL;
    if (json_get_string(rope, "rope_type", &type, err) < 0)
        return -1;
    if (!type && json_get_string(rope, "type", &type, err) < 0)
        return -1;
    if (type && strcmp(type, "default") != 0 && strcmp(type, "mrope") != 0)
        return err_set(err, VLMD_UNSUPPORTED, "rope_type", "rope type \"%s\" is not supported",
                       type);
    if (json_get_double(rope, "rope_theta", &c->rope_theta, err) < 0)
        return -1;
    return read_mrope_section(rope, c, err);
}

static int check_text(const struct text_config *c, struct vlmd_error *err)
{
    if (c->n_heads % c->n_kv_heads != 0)
        return err_set(err, VLMD_INVALID, "num_key_value_heads",
                       "num_attention_heads must be a multiple of num_key_value_heads");
    if (c->head_dim % 2 != 0)
        return err_set(err, VLMD_INVALID, "head_dim", "head_dim must be even");
    if (!(c->rope_theta > 1))
        return err_set(err, VLMD_INVALID, "rope_theta", "rope_theta must be above 1");
    if (!(c->rms_norm_eps >= 0 && c->rms_norm_eps < 1))
        return err_set(err, VLMD_INVALID, "rms_norm_eps", "rms_norm_eps must be in [0, 1)");
    return 0;
}

static int read_text(const json_t *object, struct text_config *c, struct vlmd_error *err)
{
    bool sliding = false;
    const char *activation = "silu";
    c->rms_norm_eps = 1e-6f;
    c->context_length = 32768;
    if (dim(object, "vocab_size", DIM_MAX, &c->vocab_size, err) < 0 ||
        dim(object, "hidden_size", DIM_MAX, &c->hidden_size, err) < 0 ||
        dim(object, "intermediate_size", DIM_MAX, &c->intermediate_size, err) < 0 ||
        dim(object, "num_hidden_layers", LAYERS_MAX, &c->n_layers, err) < 0 ||
        dim(object, "num_attention_heads", 4096, &c->n_heads, err) < 0)
        return -1;
    c->n_kv_heads = c->n_heads;
    c->head_dim = c->hidden_size / c->n_heads;
    if (json_get_int32(object, "num_key_value_heads", 1, 4096, &c->n_kv_heads, err) < 0 ||
        json_get_int32(object, "head_dim", 2, 1024, &c->head_dim, err) < 0 ||
        json_get_int32(object, "max_position_embeddings", 1, DIM_MAX, &c->context_length, err) <
            0 ||
        json_get_float(object, "rms_norm_eps", &c->rms_norm_eps, err) < 0 ||
        json_get_double(object, "rope_theta", &c->rope_theta, err) < 0 ||
        json_get_bool(object, "use_sliding_window", &sliding, err) < 0 ||
        json_get_string(object, "hidden_act", &activation, err) < 0)
        return -1;
    if (c->head_dim < 2 || c->head_dim > 1024)
        return err_set(err, VLMD_INVALID, "head_dim", "head_dim must be between 2 and 1024");
    if (sliding)
        return err_set(err, VLMD_UNSUPPORTED, "use_sliding_window",
                       "sliding window attention is not supported");
    if (strcmp(activation, "silu") != 0)
        return err_set(err, VLMD_UNSUPPORTED, "hidden_act", "hidden_act \"%s\" is not supported",
                       activation);
    c->mrope_section[0] = c->head_dim / 2;
    json_t *rope = NULL;
    int got = json_get_object(object, "rope_parameters", &rope, err);
    if (got == 0)
        got = json_get_object(object, "rope_scaling", &rope, err);
    if (got < 0 || (got == 1 && read_rope(rope, c, err) < 0))
        return -1;
    return check_text(c, err);
}

/* ---- vision */

static int read_full_blocks(const json_t *object, struct vision_config *c, struct vlmd_error *err)
{
    json_t *blocks = NULL;
    int got = json_get_array(object, "fullatt_block_indexes", &blocks, err);
    if (got < 0)
        return -1;
    if (got == 0) { /* transformers' default */
        for (int32_t block = 7; block <= 31 && block < c->depth; block += 8)
            c->full_attention_blocks[c->n_full_attention_blocks++] = block;
        return 0;
    }
    if (json_array_size(blocks) > MODEL_CONFIG_MAX_FULL_BLOCKS)
        return err_set(err, VLMD_TOO_LARGE, "fullatt_block_indexes", "too many entries");
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *n = json_array_get(blocks, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) >= c->depth)
            return err_set(err, VLMD_INVALID, "fullatt_block_indexes",
                           "fullatt_block_indexes must lie below depth = %d", c->depth);
        c->full_attention_blocks[c->n_full_attention_blocks++] = (int32_t)json_integer_value(n);
    }
    return 0;
}

static int check_vision(const struct vision_config *c, struct vlmd_error *err)
{
    if (c->in_channels != 3)
        return err_set(err, VLMD_UNSUPPORTED, "in_channels", "in_channels must be 3");
    if (c->hidden_size % c->n_heads != 0 || c->hidden_size / c->n_heads % 4 != 0)
        return err_set(err, VLMD_INVALID, "num_heads",
                       "hidden_size / num_heads must be a multiple of 4");
    if (c->hidden_size / c->n_heads > 1024)
        return err_set(err, VLMD_INVALID, "num_heads", "hidden_size / num_heads is above 1024");
    if (c->window_size < c->patch_size * c->merge_size)
        return err_set(err, VLMD_INVALID, "window_size",
                       "window_size must be at least patch_size x spatial_merge_size");
    return 0;
}

static int read_vision(const json_t *object, struct vision_config *c, struct vlmd_error *err)
{
    c->in_channels = 3;
    c->patch_size = 14;
    c->merge_size = 2;
    c->temporal_patch_size = 2;
    c->window_size = 112;
    if (dim(object, "depth", LAYERS_MAX, &c->depth, err) < 0 ||
        dim(object, "hidden_size", DIM_MAX, &c->hidden_size, err) < 0 ||
        dim(object, "intermediate_size", DIM_MAX, &c->intermediate_size, err) < 0 ||
        dim(object, "num_heads", 4096, &c->n_heads, err) < 0 ||
        dim(object, "out_hidden_size", DIM_MAX, &c->out_hidden_size, err) < 0 ||
        json_get_int32(object, "patch_size", 1, 256, &c->patch_size, err) < 0 ||
        json_get_int32(object, "spatial_merge_size", 1, 16, &c->merge_size, err) < 0 ||
        json_get_int32(object, "window_size", 1, 1 << 16, &c->window_size, err) < 0)
        return -1;
    /* transformers says in_channels; Qwen's own files also carry in_chans with the same meaning */
    if (json_get_int32(object, "in_chans", 1, 64, &c->in_channels, err) < 0 ||
        json_get_int32(object, "in_channels", 1, 64, &c->in_channels, err) < 0 ||
        json_get_int32(object, "temporal_patch_size", 1, 16, &c->temporal_patch_size, err) < 0 ||
        read_full_blocks(object, c, err) < 0)
        return -1;
    return check_vision(c, err);
}

/* ---- preprocessor */

static int read_triple(const json_t *object, const char *key, float out[3], struct vlmd_error *err)
{
    json_t *array = NULL;
    int got = json_get_array(object, key, &array, err);
    if (got <= 0)
        return got;
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(array, i);
        if (!json_is_number(n) || json_array_size(array) != 3)
            return err_set(err, VLMD_INVALID, key, "%s must be three numbers", key);
        out[i] = (float)json_number_value(n);
    }
    return 0;
}

/* Defaults are Qwen2VLImageProcessor's. */
static void preprocessor_defaults(struct preprocessor_config *c)
{
    *c = (struct preprocessor_config){
        .min_pixels = 56 * 56,
        .max_pixels = (int64_t)28 * 28 * 1280,
        .mean = {0.48145466f, 0.4578275f, 0.40821073f},
        .std = {0.26862954f, 0.26130258f, 0.27577711f},
        .rescale_factor = 1.0f / 255,
    };
}

static int read_preprocessor(const json_t *object, struct preprocessor_config *c,
                             struct vlmd_error *err)
{
    const int64_t most = UINT32_MAX;
    json_t *size = NULL;
    if (json_get_object(object, "size", &size, err) < 0)
        return -1;
    if (size && (json_get_int(size, "shortest_edge", 1, most, &c->min_pixels, err) < 0 ||
                 json_get_int(size, "longest_edge", 1, most, &c->max_pixels, err) < 0))
        return -1;
    if (json_get_int(object, "min_pixels", 1, most, &c->min_pixels, err) < 0 ||
        json_get_int(object, "max_pixels", 1, most, &c->max_pixels, err) < 0 ||
        json_get_float(object, "rescale_factor", &c->rescale_factor, err) < 0 ||
        read_triple(object, "image_mean", c->mean, err) < 0 ||
        read_triple(object, "image_std", c->std, err) < 0)
        return -1;
    if (c->min_pixels > c->max_pixels)
        return err_set(err, VLMD_INVALID, "min_pixels", "min_pixels is above max_pixels");
    for (int i = 0; i < 3; i++)
        if (!(c->std[i] > 0))
            return err_set(err, VLMD_INVALID, "image_std", "image_std must be above 0");
    return 0;
}

/* ---- whole files */

/* eos_token_id: an id or a list of ids. */
static int read_eos(const json_t *object, struct model_config *c, struct vlmd_error *err)
{
    const json_t *eos = json_object_get(object, "eos_token_id");
    if (!eos || json_is_null(eos))
        return 0;
    size_t n = json_is_array(eos) ? json_array_size(eos) : 1;
    if (n > MODEL_CONFIG_MAX_EOS)
        return err_set(err, VLMD_TOO_LARGE, "eos_token_id", "too many ids");
    c->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(eos) ? json_array_get(eos, i) : eos;
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= c->text.vocab_size)
            return err_set(err, VLMD_INVALID, "eos_token_id",
                           "eos_token_id must be ids below vocab_size");
        c->eos[c->n_eos++] = (int32_t)json_integer_value(id);
    }
    return 0;
}

/* Tied when either nesting says so; older files say it in only one of them. */
static int read_ties(const json_t *root, const json_t *text, struct text_config *c,
                     struct vlmd_error *err)
{
    bool outer = false, inner = false;
    if (json_get_bool(root, "tie_word_embeddings", &outer, err) < 0 ||
        json_get_bool(text, "tie_word_embeddings", &inner, err) < 0)
        return -1;
    c->tie_word_embeddings = outer || inner;
    return 0;
}

/* Bits and groups follow from the tensors; only the kind of quantization is said here alone. */
static int check_quantization(const json_t *root, struct vlmd_error *err)
{
    json_t *mlx = NULL, *other = NULL;
    const char *mode = "affine", *method = NULL;
    if (json_get_object(root, "quantization", &mlx, err) < 0 ||
        json_get_object(root, "quantization_config", &other, err) < 0 ||
        json_get_string(mlx ? mlx : other, "mode", &mode, err) < 0 ||
        json_get_string(other, "quant_method", &method, err) < 0)
        return -1;
    if (strcmp(mode, "affine") != 0)
        return err_set(err, VLMD_UNSUPPORTED, "quantization.mode",
                       "quantization mode \"%s\" is not supported (supported: affine)", mode);
    if (method)
        return err_set(err, VLMD_UNSUPPORTED, "quantization_config.quant_method",
                       "quant_method \"%s\" is not MLX's quantization and not supported", method);
    return 0;
}

static int read_config(const json_t *root, struct model_config *c, struct vlmd_error *err)
{
    const char *type = NULL;
    json_t *text = NULL, *vision = NULL;
    if (json_require(json_get_string(root, "model_type", &type, err), "model_type", err) < 0 ||
        json_get_object(root, "text_config", &text, err) < 0 ||
        json_get_object(root, "vision_config", &vision, err) < 0)
        return -1;
    snprintf(c->model_type, sizeof c->model_type, "%s", type);
    /* mlx-vlm keeps an empty or partial text_config beside a flat configuration */
    bool nested = text && json_object_get(text, "hidden_size");
    c->text.rope_theta = vision ? 1000000 : 10000; /* transformers' defaults */
    if (read_ties(root, text, &c->text, err) < 0)
        return -1;
    if (read_text(nested ? text : root, &c->text, err) < 0) {
        if (nested)
            err_prefix_field(err, "text_config");
        return -1;
    }
    c->image_token_id = -1;
    if (vision) {
        c->has_vision = true;
        if (read_vision(vision, &c->vision, err) < 0) {
            err_prefix_field(err, "vision_config");
            return -1;
        }
        int got = json_get_int32(root, "image_token_id", 0, c->text.vocab_size - 1,
                                 &c->image_token_id, err);
        if (json_require(got, "image_token_id", err) < 0)
            return -1;
    }
    if (check_quantization(root, err) < 0 || read_eos(root, c, err) < 0)
        return -1;
    if (c->n_eos == 0 && nested)
        return read_eos(text, c, err);
    return 0;
}

typedef int (*read_fn)(const json_t *root, struct model_config *config, struct vlmd_error *err);

static int read_generation(const json_t *root, struct model_config *c, struct vlmd_error *err)
{
    return read_eos(root, c, err);
}

/* preprocessor_config.json itself, or transformers 5's processor_config.json, which nests it. */
static int read_preprocessor_file(const json_t *root, struct model_config *c,
                                  struct vlmd_error *err)
{
    json_t *nested = NULL;
    if (json_get_object(root, "image_processor", &nested, err) < 0)
        return -1;
    return read_preprocessor(nested ? nested : root, &c->preprocessor, err);
}

static int parse_with(const char *text, const char *name, read_fn read, struct model_config *config,
                      struct vlmd_error *err)
{
    if (!text)
        return 0;
    json_t *root = json_parse(text, strlen(text), name, err);
    if (!root)
        return -1;
    int status = -1;
    if (!json_is_object(root))
        err_set(err, VLMD_FORMAT, name, "%s must hold an object", name);
    else if ((status = read(root, config, err)) < 0)
        err_prefix_field(err, name);
    json_decref(root);
    return status;
}

int model_config_parse(struct model_config *config, const char *config_json,
                       const char *generation_json, const char *preprocessor_json,
                       struct vlmd_error *err)
{
    *config = (struct model_config){0};
    preprocessor_defaults(&config->preprocessor);
    if (parse_with(config_json, "config.json", read_config, config, err) < 0 ||
        parse_with(generation_json, "generation_config.json", read_generation, config, err) < 0 ||
        parse_with(preprocessor_json, "preprocessor_config.json", read_preprocessor_file, config,
                   err) < 0)
        return -1;
    return 0;
}

/* The file's text, to be freed; NULL with *missing when an optional file is not there. */
static char *read_file(const char *folder, const char *name, bool *missing, struct vlmd_error *err)
{
    char *path = file_join(folder, name);
    if (!path) {
        err_no_memory(err, strlen(folder));
        return NULL;
    }
    size_t size;
    *missing = access(path, F_OK) != 0;
    char *text = file_read(path, FILE_LIMIT, &size, err);
    free(path);
    return text;
}

int model_config_read(struct model_config *config, const char *folder, struct vlmd_error *err)
{
    bool missing;
    int status = -1;
    char *generation = NULL, *preprocessor = NULL;
    char *text = read_file(folder, "config.json", &missing, err);
    if (!text)
        return -1;
    generation = read_file(folder, "generation_config.json", &missing, err);
    if (!generation && !missing)
        goto out;
    preprocessor = read_file(folder, "preprocessor_config.json", &missing, err);
    if (!preprocessor && missing)
        preprocessor = read_file(folder, "processor_config.json", &missing, err);
    if (!preprocessor && !missing)
        goto out;
    status = model_config_parse(config, text, generation, preprocessor, err);
out:
    free(text);
    free(generation);
    free(preprocessor);
    return status;
}
