#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/processors.h"
#include "cli/run_images.h"
#include "front/models.h"

enum type {
    TYPE_TEXT,
    TYPE_FLOAT,
    TYPE_INT,
    TYPE_SEED,
    TYPE_FLAG,
};

static const struct option {
    const char *name;
    enum type type;
    size_t offset;
    double min, max;
    const char *value;
    const char *help;
} options[] = {
#define AT(member) offsetof(struct run_options, member)
    {"--model", TYPE_TEXT, AT(model), 0, 0, "NAME", "folder or id of the model (vlmd-tiny)"},
    {"--temperature", TYPE_FLOAT, AT(temperature), 0, 2, "X",
     "0 takes the likeliest word each time (0)"},
    {"--top-p", TYPE_FLOAT, AT(top_p), 0.001, 1, "X", "choose among this share of likelihood (1)"},
    {"--max-tokens", TYPE_INT, AT(max_tokens), 0, INT32_MAX, "N",
     "longest answer; 0: as the context allows (0)"},
    {"--seed", TYPE_SEED, AT(seed), 0, 0, "N", "of the random choices (0)"},
    {"--threads", TYPE_INT, AT(threads), 0, 1024, "N", "0: one per core (0)"},
    {"--cpus", TYPE_TEXT, AT(cpus), 0, 0, "LIST", "processors to compute on, as 0-3,8 (all)"},
    {"--kv-tokens", TYPE_INT, AT(kv_tokens), 0, INT32_MAX, "N", "0: the engine's default (0)"},
    {"--isa", TYPE_TEXT, AT(isa), 0, 0, "NAME",
     "kernels: auto, c, avx2, avxvnni, avx512, amx, amxbf16, neon, dotprod, i8mm (auto)"},
    {"--activations", TYPE_TEXT, AT(activations), 0, 0, "NAME",
     "what 2 to 8 bits and vision towers multiply with: auto, int16, float32 (auto: int16)"},
    {"--json", TYPE_FLAG, AT(json), 0, 0, NULL,
     "one JSON object with answer, figures and what became of each image"},
    {"--fetch-ports", TYPE_TEXT, AT(fetch_ports), 0, 0, "N,N...",
     "ports that images are fetched from (80,443)"},
    {"--fetcher-program", TYPE_TEXT, AT(fetcher_program), 0, 0, "PATH",
     "program to run in the fetcher's role, for tests"},
    {"--no-sandbox", TYPE_FLAG, AT(no_sandbox), 0, 0, NULL,
     "decode and fetch images without a sandbox, where the system offers none"},
#undef AT
};

#define N_OPTIONS (sizeof options / sizeof *options)

static void show_help(void)
{
    puts("usage: vlmd run [OPTION]... [IMAGE]... PROMPT\n\n"
         "Answers PROMPT about the images on standard output, and says on standard error what "
         "became\n"
         "of each image and how fast it went. An image is a file (JPEG, PNG, GIF, WebP), an http "
         "or\n"
         "https URL of a public address, or a data URI. PROMPT may be -, for standard input.\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s %s", options[i].name,
                 options[i].value ? options[i].value : "");
        printf("  %-22s%s\n", left, options[i].help);
    }
    printf("  %-22s%s\n", "--", "what follows is no option");
}

static int wrong(const struct option *o, const char *text, struct vlmd_error *err)
{
    return err_set(err, VLMD_INVALID, o->name, "%s wants a number from %g to %g, not %s", o->name,
                   o->min, o->max, text);
}

static int set(struct run_options *out, const struct option *o, const char *text,
               struct vlmd_error *err)
{
    void *at = (char *)out + o->offset;
    char *end = NULL;
    errno = 0;
    if (o->type == TYPE_TEXT) {
        *(const char **)at = text;
        return 0;
    }
    if (o->type == TYPE_SEED) {
        *(uint64_t *)at = strtoull(text, &end, 10);
        return end == text || *end || errno || *text == '-'
                   ? err_set(err, VLMD_INVALID, o->name, "--seed wants a whole number, not %s",
                             text)
                   : 0;
    }
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= o->min && number <= o->max))
        return wrong(o, text, err);
    if (o->type == TYPE_FLOAT)
        *(float *)at = (float)number;
    else if (floor(number) != number)
        return wrong(o, text, err);
    else
        *(int32_t *)at = (int32_t)number;
    return 0;
}

static const struct option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
            return &options[i];
    return NULL;
}

/* Reads the option at argv[*i], with its value. */
static int parse_option(struct run_options *out, int argc, char **argv, int *i,
                        struct vlmd_error *err)
{
    const char *name = argv[*i];
    const char *equals = strchr(name, '=');
    const struct option *o = find(name, equals ? (size_t)(equals - name) : strlen(name));
    if (!o)
        return err_set(err, VLMD_INVALID, name, "unknown option: %s", name);
    if (o->type == TYPE_FLAG) {
        *(bool *)((char *)out + o->offset) = true;
        return equals ? err_set(err, VLMD_INVALID, o->name, "%s takes no value", o->name) : 0;
    }
    if (!equals && ++*i == argc)
        return err_set(err, VLMD_INVALID, o->name, "%s wants a value", o->name);
    return set(out, o, equals ? equals + 1 : argv[*i], err);
}

static int check_cpus(const char *list, struct vlmd_error *err)
{
    struct processors chosen;
    struct vlmd_error why;
    if (*list == '\0' || processors_choose(&chosen, list, &why) == 0)
        return 0;
    return err_set(err, why.code, "--cpus", "--cpus: %s", why.text);
}

int run_options_parse(struct run_options *out, int argc, char **argv, struct vlmd_error *err)
{
    const char *words[IPC_MAX_IMAGES + 1];
    size_t n = 0;
    bool only_words = false;
    *out = (struct run_options){.model = MODELS_SHIPPED,
                                .top_p = 1,
                                .cpus = "",
                                .isa = "auto",
                                .activations = "auto",
                                .fetch_ports = "80,443"};
    for (int i = 0; i < argc; i++) {
        if (!only_words && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            show_help();
            return 1;
        }
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (parse_option(out, argc, argv, &i, err) < 0)
                return -1;
        } else {
            if (n == IPC_MAX_IMAGES + 1)
                return err_set(err, VLMD_TOO_LARGE, "IMAGE", "at most %d images", IPC_MAX_IMAGES);
            words[n++] = argv[i];
        }
    }
    if (check_cpus(out->cpus, err) < 0)
        return -1;
    if (n == 0)
        return err_set(err, VLMD_INVALID, "PROMPT", "a prompt is wanted");
    /* Easily forgotten, and a model would answer a file's name with a greeting. */
    bool names_image = n == 1 && !only_words && strcmp(words[0], "-") != 0;
    if (names_image && access(words[0], F_OK) == 0)
        return err_set(err, VLMD_INVALID, "PROMPT",
                       "%s is a file: what is to be asked about it? (-- before a prompt that is "
                       "also a file's name)",
                       words[0]);
    if (names_image && run_images_is_url(words[0]) && !strchr(words[0], ' '))
        return err_set(err, VLMD_INVALID, "PROMPT",
                       "%.60s is a URL: what is to be asked about it? (-- before a prompt that is "
                       "also a URL)",
                       words[0]);
    out->prompt = words[n - 1];
    out->n_images = n - 1;
    for (size_t i = 0; i + 1 < n; i++)
        out->images[i] = words[i];
    return 0;
}
