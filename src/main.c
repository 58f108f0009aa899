/* Chooses which command or role this process is. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", command_serve},       {"run", command_run},           {"list", command_list},
    {"help", command_help},         {"--help", command_help},       {"-h", command_help},
    {"version", command_version},   {"--version", command_version}, {"role:worker", role_worker},
    {"role:decoder", role_decoder}, {"role:fetcher", role_fetcher},
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        command_help(0, NULL);
        return 2;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "vlmd: there is no command %s (vlmd help shows them)\n", argv[1]);
    return 2;
}
