#include "parity/engine/fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fatal(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("parity: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path == NULL)
        fatal("no memory");
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long end;

    if (file == NULL)
        fatal("%s cannot be opened", path);
    if (fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) < 0)
        fatal("%s cannot be read", path);
    rewind(file);
    *size = (size_t)end;
    data = malloc(*size + 1);
    if (data == NULL || fread(data, 1, *size, file) != *size)
        fatal("%s cannot be read", path);
    fclose(file);
    return data;
}

void fixture_open(struct fixture *fx, const char *folder)
{
    char *manifest = join(folder, "manifest.json"), *data = join(folder, "data.bin");
    const char *slash;
    json_error_t error;

    memset(fx, 0, sizeof(*fx));
    fx->folder = strdup(folder);
    if (fx->folder == NULL)
        fatal("no memory");
    while (strlen(fx->folder) > 1 && fx->folder[strlen(fx->folder) - 1] == '/')
        fx->folder[strlen(fx->folder) - 1] = '\0';
    slash = strrchr(fx->folder, '/');
    fx->name = slash != NULL ? slash + 1 : fx->folder;
    fx->manifest = json_load_file(manifest, 0, &error);
    if (fx->manifest == NULL)
        fatal("%s: %s", manifest, error.text);
    fx->data = read_whole(data, &fx->size);
    free(manifest);
    free(data);
}

void fixture_close(struct fixture *fx)
{
    json_decref(fx->manifest);
    free(fx->data);
    free(fx->folder);
}

int32_t fixture_int(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) > INT32_MAX ||
        json_integer_value(value) < INT32_MIN)
        fatal("manifest: \"%s\" is no integer", key);
    return (int32_t)json_integer_value(value);
}

const char *fixture_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL)
        fatal("manifest: \"%s\" is no string", key);
    return text;
}

const json_t *fixture_array(const json_t *object, const char *key)
{
    const json_t *array = json_object_get(object, key);
    if (!json_is_array(array))
        fatal("manifest: \"%s\" is no array", key);
    return array;
}

int32_t *fixture_ints(const json_t *object, const char *key, int32_t *n)
{
    const json_t *array = fixture_array(object, key);
    size_t count = json_array_size(array);
    int32_t *out = malloc((count + 1) * sizeof(*out));

    if (out == NULL)
        fatal("no memory");
    for (size_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(array, i));
    *n = (int32_t)count;
    return out;
}

/* engine.py begins every part at a multiple of four bytes. */
static const void *part(const struct fixture *fx, const json_t *object, const char *key, size_t n)
{
    int32_t offset = fixture_int(object, key);
    if (offset < 0 || offset % 4 != 0 || (size_t)offset > fx->size ||
        n > (fx->size - (size_t)offset) / 4)
        fatal("%s: \"%s\" lies outside data.bin", fx->name, key);
    return fx->data + offset;
}

const float *fixture_floats(const struct fixture *fx, const json_t *object, const char *key,
                            size_t n)
{
    return part(fx, object, key, n);
}

const int32_t *fixture_ids(const struct fixture *fx, const json_t *object, const char *key,
                           size_t n)
{
    return part(fx, object, key, n);
}
