/* Decodes files in this process, whole or damaged, and judges what comes of it: no crash (build it
 * with sanitizers), an error with a clear text that holds no path and no address, in bounded time.
 *
 *   image_files [-v] [-w FOLDER] FILE...  each file as it is; its pixels to FOLDER/NAME.ppm
 *   image_files -m N [-s SEED] FILE...    N mutants of them, in turn
 *
 * A FILE of "-" reads further names from standard input, one a line. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "media/resize.h"

#define MAX_SECONDS 1.0
#define MAX_BYTES   (64u << 20)

struct tally {
    unsigned long decoded, refused, codes[VLMD_INTERNAL + 1], bad;
    double slowest;
    char slowest_name[256];
    bool verbose;
    const char *folder; /* for pixels, or NULL */
};

struct list {
    char **names;
    size_t n;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others on this machine do not count */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 0x and more digits than a marker or a table of a file format has. */
static bool has_address(const char *text)
{
    for (const char *p = strstr(text, "0x"); p; p = strstr(p + 2, "0x"))
        if (strspn(p + 2, "0123456789abcdefABCDEF") > 4)
            return true;
    return false;
}

/* "image/tiff" is the only kind of slash that errors have. */
static bool text_is_clean(const char *text)
{
    for (const char *p = strchr(text, '/'); p; p = strchr(p + 1, '/'))
        if (p - text < 5 || (memcmp(p - 5, "image", 5) != 0 && memcmp(p - 5, "video", 5) != 0 &&
                             (p - text < 11 || memcmp(p - 11, "application", 11) != 0)))
            return false;
    return text[0] && !has_address(text);
}

static void complain(struct tally *t, const char *name, const char *what)
{
    t->bad++;
    fprintf(stderr, "%s: %s\n", name, what);
}

/* The way by rows, as the decoder takes it, must give what the whole picture resized gives. */
static void compare_ways(struct tally *t, const char *name, const uint8_t *bytes, size_t len,
                         const struct picture *picture)
{
    int32_t width = picture->width / 3 + 1, height = picture->height / 3 + 1;
    size_t size = (size_t)width * (size_t)height * 3;
    uint8_t *a = malloc(size), *b = malloc(size);
    unsigned changes;
    struct media_target target = {width, height, b, false};
    struct vlmd_error err;
    if (!a || !b || media_resize(picture, width, height, a, &err) < 0 ||
        media_decode_resized(bytes, len, &picture->info, &target, &changes, &err) < 0)
        complain(t, name, "cannot be resized");
    else if (memcmp(a, b, size) != 0 || changes != picture->changes)
        complain(t, name, "differs by the way it was decoded");
    free(a);
    free(b);
}

static void write_pixels(struct tally *t, const char *name, const struct picture *p)
{
    char path[4096];
    const char *slash = strrchr(name, '/');
    snprintf(path, sizeof path, "%s/%s.ppm", t->folder, slash ? slash + 1 : name);
    FILE *file = fopen(path, "wb");
    size_t pixels = (size_t)p->width * (size_t)p->height;
    bool written = file && fprintf(file, "P6\n%d %d\n255\n", p->width, p->height) > 0 &&
                   fwrite(p->rgb, 3, pixels, file) == pixels;
    if ((file && fclose(file) != 0) || !written)
        complain(t, name, "its pixels cannot be written");
}

static void judge(struct tally *t, const char *name, const uint8_t *bytes, size_t len)
{
    static const struct media_limits limits = {.bytes = MAX_BYTES};
    struct picture picture;
    struct vlmd_error err = {0};
    double began = now();
    int status = media_decode(bytes, len, &limits, &picture, &err);
    double took = now() - began;
    if (took > t->slowest) {
        t->slowest = took;
        snprintf(t->slowest_name, sizeof t->slowest_name, "%s", name);
    }
    if (took > MAX_SECONDS)
        complain(t, name, "took more than a second");
    if (t->verbose)
        printf("%s\t%s\t%.3f\n", name, status < 0 ? err.text : "decoded", took);
    if (status == 0) {
        t->decoded++;
        if ((int64_t)picture.width * picture.height < 1 << 20)
            compare_ways(t, name, bytes, len, &picture);
        if (t->folder)
            write_pixels(t, name, &picture);
        picture_free(&picture);
        return;
    }
    t->refused++;
    t->codes[err.code]++;
    if (err.code != VLMD_INVALID && err.code != VLMD_UNSUPPORTED && err.code != VLMD_TOO_LARGE)
        complain(t, name, err.text);
    if (!text_is_clean(err.text))
        complain(t, name, err.text);
}

/* ---- mutants */

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Changes a copy of the bytes in one to eight places and maybe its length, which it returns. */
static size_t mutate(uint8_t *bytes, size_t len, size_t room, uint64_t *state)
{
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
    for (uint64_t edits = 1 + next(state) % 8; edits > 0 && len > 8; edits--) {
        size_t at = next(state) % len;
        if (next(state) % 4 == 0)
            at = next(state) % (len < 64 ? len : 64); /* headers decide most */
        size_t run = 1 + next(state) % 16;
        run = run < len - at ? run : len - at;
        switch (next(state) % 7) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << next(state) % 8);
            break;
        case 1:
            bytes[at] = (uint8_t)next(state);
            break;
        case 2:
            bytes[at] = telling[next(state) % sizeof telling];
            break;
        case 3: /* cut short */
            len = next(state) % 3 == 0 ? at + 1 : len;
            break;
        case 4: /* a piece is missing */
            memmove(bytes + at, bytes + at + run, len - at - run);
            len -= run;
            break;
        case 5: /* a piece twice */
            if (len + run > room)
                break;
            memmove(bytes + at + run, bytes + at, len - at);
            len += run;
            break;
        default: /* a piece from elsewhere */
            memmove(bytes + at, bytes + next(state) % (len - run + 1), run);
        }
    }
    return len;
}

static int try_mutants(struct tally *t, const struct list *files, unsigned long n, uint64_t seed)
{
    unsigned long each = (n + files->n - 1) / files->n, done = 0;
    for (size_t i = 0; i < files->n && done < n; i++) {
        size_t len;
        struct vlmd_error err;
        char *original = file_read(files->names[i], MAX_BYTES, &len, &err);
        uint8_t *mutant = original ? malloc(len + 256) : NULL;
        if (!mutant) {
            fprintf(stderr, "%s: cannot be read\n", files->names[i]);
            free(original);
            return -1;
        }
        for (unsigned long k = 0; k < each && done < n; k++, done++) {
            char name[320];
            uint64_t state = seed + done * 2654435761u;
            memcpy(mutant, original, len);
            size_t got = mutate(mutant, len, len + 256, &state);
            snprintf(name, sizeof name, "%s, mutant %lu", files->names[i], done);
            judge(t, name, mutant, got);
        }
        free(mutant);
        free(original);
    }
    return 0;
}

/* ---- files */

static int try_files(struct tally *t, const struct list *files)
{
    for (size_t i = 0; i < files->n; i++) {
        size_t len;
        struct vlmd_error err;
        char *bytes = file_read(files->names[i], MAX_BYTES, &len, &err);
        if (!bytes) {
            fprintf(stderr, "%s\n", err.text);
            return -1;
        }
        judge(t, files->names[i], (const uint8_t *)bytes, len);
        free(bytes);
    }
    return 0;
}

static int add(struct list *list, const char *name)
{
    char **grown = realloc(list->names, (list->n + 1) * sizeof *grown);
    if (!grown)
        return -1;
    list->names = grown;
    grown[list->n] = strdup(name);
    return grown[list->n++] ? 0 : -1;
}

static int add_from_input(struct list *list)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int status = 0;
    while (status == 0 && (n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        status = add(list, line);
    }
    free(line);
    return status;
}

static int report(const struct tally *t)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%lu decoded, %lu refused (%lu invalid, %lu unsupported, %lu too large), slowest %.3f s "
           "(%s), memory at most %ld MB, %lu complaints\n",
           t->decoded, t->refused, t->codes[VLMD_INVALID], t->codes[VLMD_UNSUPPORTED],
           t->codes[VLMD_TOO_LARGE], t->slowest, t->slowest_name, usage.ru_maxrss / 1024, t->bad);
    return t->bad > 0;
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    struct list files = {0};
    unsigned long mutants = 0;
    uint64_t seed = 1;
    int status = 0;
    for (int i = 1; i < argc && status == 0; i++) {
        if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
            mutants = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-w") == 0 && i + 1 < argc)
            tally.folder = argv[++i];
        else if (strcmp(argv[i], "-v") == 0)
            tally.verbose = true;
        else
            status = strcmp(argv[i], "-") == 0 ? add_from_input(&files) : add(&files, argv[i]);
    }
    if (status == 0 && files.n == 0) {
        fprintf(stderr, "usage: image_files [-v] [-w FOLDER] [-m MUTANTS [-s SEED]] FILE...\n");
        return 2;
    }
    if (status == 0)
        status = mutants ? try_mutants(&tally, &files, mutants, seed) : try_files(&tally, &files);
    status = report(&tally) || status < 0;
    for (size_t i = 0; i < files.n; i++)
        free(files.names[i]);
    free(files.names);
    return status;
}
