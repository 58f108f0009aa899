#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/commands.h"
#include "front/config.h"

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

/* What the documentation takes from the program; see tools/documents.sh. */
static const struct {
    const char *name;
    void (*append)(struct buf *out);
} documents[] = {
    {"settings", config_append_markdown},
    {"settings-roff", config_append_manual},
};

static int show_document(const char *name)
{
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct buf text = {0};
        if (strcmp(documents[i].name, name) != 0)
            continue;
        documents[i].append(&text);
        fputs(text.data ? text.data : "", stdout);
        buf_free(&text);
        return 0;
    }
    return command_misused("help", "no such text");
}

int command_help(int argc, char **argv)
{
    if (argc > 0)
        return show_document(argv[0]);
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
