#include <stdio.h>

#include "cli/commands.h"
#include "front/models.h"

int command_list(int argc, char **argv)
{
    (void)argv;
    struct model *models;
    struct vlmd_error err;
    if (argc > 0) {
        puts("usage: vlmd list\n\nShows the models under models/ and in the Hugging Face cache: id "
             "and folder.");
        return 0;
    }
    int n = models_list(&models, &err);
    if (n < 0) {
        fprintf(stderr, "vlmd list: %s\n", err.text);
        return 1;
    }
    for (int i = 0; i < n; i++)
        printf("%-40s %s\n", models[i].id, models[i].path);
    if (n == 0)
        fprintf(stderr, "no models found\n");
    models_free(models, (size_t)n);
    return 0;
}
