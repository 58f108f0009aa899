#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "front/server.h"

static void show_help(void)
{
    struct buf text = {0};
    buf_append_text(&text, "usage: vlmd serve [OPTION]...\n\n"
                           "Serves models at /v1/chat/completions and /v1/models until it gets "
                           "SIGINT or SIGTERM.\n\n");
    config_help(&text);
    fputs(text.data ? text.data : "", stdout);
    buf_free(&text);
}

/* Two folders of the same name are told apart by their paths. */
static int make_distinct(const struct model *models, size_t n, struct model *added,
                         struct vlmd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(models[i].path, added->path) == 0)
            return err_set(err, VLMD_INVALID, "--model", "the model %s is given twice", added->id);
        if (strcmp(models[i].id, added->id) != 0)
            continue;
        char *path = strdup(added->path);
        if (!path)
            return err_no_memory(err, strlen(added->path));
        free(added->id);
        added->id = path;
    }
    return 0;
}

int command_serve(int argc, char **argv)
{
    struct config config;
    struct vlmd_error err;
    struct model models[CONFIG_MAX_MODELS] = {0};
    size_t n = 0;
    int status = 1;
    config_defaults(&config);
    if (config_parse(&config, argc, argv, &err) < 0)
        return command_misused("serve", err.text);
    if (config.help) {
        show_help();
        return 0;
    }
    if (config.n_models == 0)
        config.models[config.n_models++] = MODELS_SHIPPED;
    while (n < config.n_models) {
        struct model *added = &models[n];
        int got = models_resolve(config.models[n], added, &err);
        n += got == 0;
        if (got < 0 || make_distinct(models, n - 1, added, &err) < 0) {
            fprintf(stderr, "vlmd serve: %s\n", err.text);
            goto out;
        }
    }
    status = server_run(&config, models, n);
out:
    for (size_t i = 0; i < n; i++)
        model_free(&models[i]);
    return status;
}
