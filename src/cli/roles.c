#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/processors.h"
#include "cli/commands.h"
#include "fetch/fetcher.h"
#include "front/child.h"
#include "media/decoder.h"
#include "worker/worker.h"

/* The arguments come from workers.c, decoders.c and run.c: this program itself. */
static int misused(void)
{
    log_write(LOG_ERROR, "this role is not for calling by hand");
    return 2;
}

static void begin(void)
{
    child_tie_to_parent();
    child_take_log_level();
    signal(SIGPIPE, SIG_IGN);
}

int role_worker(int argc, char **argv)
{
    if (argc != 7)
        return misused();
    begin();
    struct vlmd_error err;
    if (argv[6][0] != '\0' && processors_bind(argv[6], &err) < 0) {
        log_write(LOG_ERROR, "--cpus: %s", err.text);
        return 1;
    }
    struct worker_options options = {
        .model = argv[0],
        .threads = atoi(argv[1]),
        .kv_tokens = (int32_t)strtol(argv[2], NULL, 10),
        .isa = argv[3],
        .activations = argv[4],
        .image_cache = strtoull(argv[5], NULL, 10),
    };
    return worker_main(CHILD_CHANNEL_FD, &options);
}

int role_decoder(int argc, char **argv)
{
    if (argc != 1)
        return misused();
    begin();
    return decoder_main(CHILD_CHANNEL_FD, strcmp(argv[0], "no-sandbox") != 0);
}

/* SANDBOX PORTS REDIRECTS SECONDS BLOCKS [FOLDER]... */
int role_fetcher(int argc, char **argv)
{
    if (argc < 5)
        return misused();
    begin();
    struct fetcher_options options = {
        .sandbox = strcmp(argv[0], "no-sandbox") != 0,
        .ports = argv[1],
        .redirects = (unsigned)strtoul(argv[2], NULL, 10),
        .seconds = (unsigned)strtoul(argv[3], NULL, 10),
        .blocks = argv[4],
        .folders = (const char *const *)(argv + 5),
        .n_folders = argc - 5,
    };
    return fetcher_main(CHILD_CHANNEL_FD, &options);
}
