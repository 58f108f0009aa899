#include <stdio.h>

#include "base/version.h"
#include "cli/commands.h"

static const char overview[] =
    "vlmd: vision-language models behind the OpenAI API, from one native program\n"
    "\n"
    "usage: vlmd serve [--model NAME]... [--port N] ...   serve models over HTTP\n"
    "       vlmd run [--model NAME] [IMAGE]... PROMPT     answer one question on the terminal\n"
    "       vlmd list                                     show the models found here\n"
    "       vlmd version | help\n"
    "\n"
    "A model is named by its folder or by its id: one under models/, or org/name in the\n"
    "Hugging Face cache. vlmd COMMAND --help tells more.\n";

int command_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs(overview, stdout);
    return 0;
}

int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("vlmd " VLMD_VERSION);
    return 0;
}

int command_misused(const char *command, const char *text)
{
    fprintf(stderr, "vlmd %s: %s\nvlmd %s --help shows how it is used\n", command, text, command);
    return 2;
}
