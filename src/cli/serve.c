#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/processors.h"
#include "cli/commands.h"
#include "fetch/fetcher.h"
#include "front/server.h"

static void show_help(void)
{
    struct buf text = {0};
    buf_append_text(&text, "usage: vlmd serve [OPTION]...\n\n"
                           "Serves models behind the OpenAI API (/v1/chat/completions and its "
                           "relatives) until it gets\nSIGINT or SIGTERM. Each option is a "
                           "setting; a file of settings (--config) and variables of the "
                           "environment\nset them too: vlmd "
                           "serve --check shows what holds, and docs/CONFIGURATION.md has "
                           "more.\n\n");
    config_append_help(&text);
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

/* What --check prints: the settings, and notes on standard error. */
static void show_settings(const struct config *config)
{
    struct buf text = {0};
    config_append_effective(&text, config);
    fputs(text.data ? text.data : "", stdout);
    buf_free(&text);
}

static void show_notes(const struct config *config)
{
    struct buf text = {0};
    config_append_notes(&text, config, environ);
    fputs(text.data ? text.data : "", stderr);
    buf_free(&text);
}

/* The search for models reads the environment, as every program of that cache does; what has
 * precedence over it is put there. */
static int say_cache(const struct config *config, struct vlmd_error *err)
{
    const char *said = getenv("HF_HOME");
    if (!config->hf_home || (said && strcmp(said, config->hf_home) == 0))
        return 0;
    unsetenv("HF_HUB_CACHE");
    return setenv("HF_HOME", config->hf_home, 1) == 0 ? 0 : err_no_memory(err, 4096);
}

static int find_models(const struct config *config, struct model models[CONFIG_LIST_MAX], size_t *n,
                       struct vlmd_error *err)
{
    static const struct config_list shipped = {{MODELS_SHIPPED}, 1};
    const struct config_list *names = config->model.n > 0 ? &config->model : &shipped;
    for (*n = 0; *n < names->n;) {
        struct model *added = &models[*n];
        if (models_resolve(names->items[*n], added, err) < 0)
            return -1;
        if (make_distinct(models, (*n)++, added, err) < 0)
            return -1;
    }
    return 0;
}

/* The fetcher starts when it is first wanted: what is wrong with its settings is said now. */
static int check_fetching(const struct config *config, struct vlmd_error *err)
{
    char blocks[CONFIG_BLOCKS_BYTES];
    if (config_join(&config->fetch_block, blocks, sizeof blocks) < 0)
        return err_set(err, VLMD_TOO_LARGE, NULL, "--fetch-block: too many networks");
    struct fetcher_options options = {
        .ports = config->fetch_ports,
        .blocks = blocks,
        .folders = config->image_dir.items,
        .n_folders = (int)config->image_dir.n,
    };
    return fetcher_check(&options, err);
}

/* A worker would fail with it again and again. */
static int check_cpus(const struct config *config, struct vlmd_error *err)
{
    struct processors chosen;
    struct vlmd_error why;
    if (!config->cpus || processors_choose(&chosen, config->cpus, &why) == 0)
        return 0;
    return err_set(err, why.code, "cpus", "cpus: %s", why.text);
}

int command_serve(int argc, char **argv)
{
    struct config config;
    struct vlmd_error err;
    struct model models[CONFIG_LIST_MAX] = {0};
    size_t n = 0;
    int status = 0;
    const struct config_input input = {argc, argv, environ, config_machine_memory()};
    if (config_read(&config, &input, &err) < 0) {
        status = command_misused("serve", err.text);
        goto out;
    }
    if (config.help) {
        show_help();
        goto out;
    }
    if (check_fetching(&config, &err) < 0 || check_cpus(&config, &err) < 0) {
        status = command_misused("serve", err.text);
        goto out;
    }
    if (say_cache(&config, &err) < 0 || find_models(&config, models, &n, &err) < 0) {
        fprintf(stderr, "vlmd serve: %s\n", err.text);
        status = 1;
        goto out;
    }
    if (config.check) {
        show_settings(&config);
        show_notes(&config);
    } else {
        status = server_run(&config, &input, models, n);
    }
out:
    for (size_t i = 0; i < n; i++)
        model_free(&models[i]);
    config_free(&config);
    return status;
}
