/* Any bytes as a file of settings, or (the first byte is odd) as one of API keys: what is accepted
 * can be written out and read back, and means the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path to these bytes; one file for all of them. */
static const char *path_to(const void *bytes, size_t len)
{
    static char path[32];
    static int file = -1;
    if (file < 0)
        file = memfd_create("settings", 0);
    if (file < 0 || ftruncate(file, 0) < 0 || pwrite(file, bytes, len, 0) != (ssize_t)len)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

static int read_from(struct config *config, const char *option, const char *path,
                     struct vlmd_error *err)
{
    char *const arguments[] = {(char *)(uintptr_t)option, (char *)(uintptr_t)path};
    const struct config_input input = {.argc = 2, .argv = arguments, .memory_bytes = 8u << 30};
    int status = config_read(config, &input, err);
    if (status < 0 && (err->code == VLMD_OK || !err->text[0]))
        abort();
    return status;
}

static void check_again(const struct config *config)
{
    struct buf text = {0};
    struct config second;
    struct vlmd_error err;
    config_append_effective(&text, config);
    if (!text.data || read_from(&second, "--config", path_to(text.data, text.len), &err) < 0)
        abort();
    if (second.port != config->port || second.max_images != config->max_images ||
        second.memory_budget != config->memory_budget)
        abort();
    config_free(&second);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct vlmd_error err;
    if (size == 0)
        return 0;
    bool keys = data[0] & 1;
    int status =
        read_from(&config, keys ? "--key-file" : "--config", path_to(data + 1, size - 1), &err);
    for (size_t i = 0; status == 0 && i < config.keys.n; i++)
        if (!config.keys.items[i].name[0] || !config.keys.items[i].has_secret)
            abort();
    if (status == 0 && !keys && config.keys.n == 0)
        check_again(&config);
    config_free(&config);
    return 0;
}
