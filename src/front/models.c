#include "front/models.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "front/child.h"

void model_free(struct model *m)
{
    free(m->id);
    free(m->path);
    *m = (struct model){0};
}

void models_free(struct model *models, size_t n)
{
    for (size_t i = 0; i < n; i++)
        model_free(&models[i]);
    free(models);
}

/* ---- places */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_checkpoint(const char *folder)
{
    char *config = file_join(folder, "config.json");
    bool found = config && access(config, R_OK) == 0;
    free(config);
    return found;
}

/* The folder that holds models--org--name of the Hugging Face cache; NULL when unknown. */
static char *hub_folder(void)
{
    const char *cache = getenv("HF_HUB_CACHE");
    const char *home = getenv("HF_HOME");
    const char *user = getenv("HOME");
    if (cache && *cache)
        return strdup(cache);
    if (home && *home)
        return file_join(home, "hub");
    return user && *user ? file_join(user, ".cache/huggingface/hub") : NULL;
}

/* Folders that hold checkpoint folders, best first. Returns their number. */
#define MAX_PLACES 4
static size_t own_places(char *places[MAX_PLACES])
{
    static const char *const beside[] = {"models", "../models", "../share/vlmd/models"};
    size_t n = 0;
    char *program = child_program_folder();
    places[n] = strdup("models");
    n += places[n] != NULL;
    for (size_t i = 0; program && i < sizeof beside / sizeof *beside; i++) {
        places[n] = file_join(program, beside[i]);
        n += places[n] != NULL;
    }
    free(program);
    return n;
}

/* ---- resolving */

static char *base_name(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return strndup(path + start, len - start);
}

/* Whether the path itself, not a folder above it, is a link: a name that somebody has given. */
static bool is_link(const char *path)
{
    struct stat st;
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    char *plain = strndup(path, len); /* a slash behind it would follow the link */
    bool link = plain && lstat(plain, &st) == 0 && S_ISLNK(st.st_mode);
    free(plain);
    return link;
}

/* The id of a folder given by its path: its name, or the repository's for a snapshot of the cache
 * (.../models--org--name/snapshots/<revision>). */
static char *id_of_path(const char *path)
{
    char *real = is_link(path) ? NULL : realpath(path, NULL);
    if (!real)
        return base_name(path);
    char *snapshots = strstr(real, "/snapshots/");
    char *models = NULL;
    for (char *p = real; snapshots && (p = strstr(p, "/models--")) && p < snapshots; p++)
        models = p;
    char *id;
    if (models) {
        *snapshots = '\0';
        id = strdup(models + strlen("/models--"));
        char *dashes = id ? strstr(id, "--") : NULL;
        if (dashes) {
            *dashes = '/';
            memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
        }
    } else {
        id = base_name(real);
    }
    free(real);
    return id;
}

/* The folder of a cached repository's revision; NULL when it is not there. */
static char *cached_snapshot(const char *hub, const char *org, const char *name,
                             const char *revision)
{
    struct buf path = {0};
    buf_appendf(&path, "%s/models--%s--%s/refs/%s", hub, org, name, revision);
    size_t size;
    char *commit = path.failed ? NULL : file_read(path.data, 256, &size, NULL);
    const char *snapshot = commit ? commit : revision; /* a revision may be a commit itself */
    buf_reset(&path);
    if (commit)
        commit[strcspn(commit, " \r\n/")] = '\0';
    buf_appendf(&path, "%s/models--%s--%s/snapshots/%s", hub, org, name, snapshot);
    free(commit);
    if (path.failed || !is_folder(path.data)) {
        buf_free(&path);
        return NULL;
    }
    return path.data;
}

/* Splits "org/name[@revision]"; false when it is not of that form. */
static bool split_id(const char *text, char org[128], char name[256], char revision[128])
{
    const char *slash = strchr(text, '/');
    const char *at = strchr(text, '@');
    size_t end = at ? (size_t)(at - text) : strlen(text);
    if (!slash || strchr(slash + 1, '/') || slash == text || strstr(text, "..") || *text == '.')
        return false;
    size_t org_len = (size_t)(slash - text);
    if (end <= org_len + 1 || org_len >= 128 || end - org_len - 1 >= 256 ||
        (at && (at[1] == '\0' || strlen(at + 1) >= 128)))
        return false;
    snprintf(org, 128, "%.*s", (int)org_len, text);
    snprintf(name, 256, "%.*s", (int)(end - org_len - 1), slash + 1);
    snprintf(revision, 128, "%s", at ? at + 1 : "main");
    return true;
}

static int give(struct model *out, char *id, char *path, struct vlmd_error *err)
{
    *out = (struct model){id, path};
    if (id && path)
        return 0;
    model_free(out);
    return err_no_memory(err, 64);
}

static bool find_own(const char *name, struct model *out)
{
    char *places[MAX_PLACES];
    size_t n = own_places(places);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        char *path = found ? NULL : file_join(places[i], name);
        if (path && is_checkpoint(path)) {
            found = give(out, strdup(name), path, NULL) == 0;
            path = NULL;
        }
        free(path);
        free(places[i]);
    }
    return found;
}

static bool find_cached(const char *name, struct model *out)
{
    char org[128], repository[256], revision[128];
    if (!split_id(name, org, repository, revision))
        return false;
    char *hub = hub_folder();
    char *path = hub ? cached_snapshot(hub, org, repository, revision) : NULL;
    free(hub);
    return path && give(out, strdup(name), path, NULL) == 0;
}

int models_resolve(const char *name, struct model *out, struct vlmd_error *err)
{
    *out = (struct model){0};
    if (*name == '\0' || strlen(name) > 3000)
        return err_set(err, VLMD_INVALID, "--model", "a model's name or folder is wanted");
    bool plain = !strchr(name, '/') && *name != '.';
    if (plain && find_own(name, out))
        return 0;
    if (is_folder(name))
        return give(out, id_of_path(name), strdup(name), err);
    if (find_cached(name, out))
        return 0;
    return err_set(err, VLMD_NOT_FOUND, "--model",
                   "no model %s: not a folder, not under models/, not in the Hugging Face cache",
                   name);
}

bool models_find(const char *id, struct model *out)
{
    *out = (struct model){0};
    if (*id == '\0' || *id == '.' || strlen(id) > 400)
        return false;
    if (!strchr(id, '/'))
        return find_own(id, out);
    if (!find_cached(id, out))
        return false;
    if (is_checkpoint(out->path))
        return true;
    model_free(out);
    return false;
}

/* ---- listing */

struct list {
    struct model *models;
    size_t n;
    struct vlmd_error *err;
};

static int add(struct list *list, const char *id, const char *path)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->models[i].id, id) == 0)
            return 0;
    struct model *grown = realloc(list->models, (list->n + 1) * sizeof *grown);
    if (!grown)
        return err_no_memory(list->err, sizeof *grown);
    list->models = grown;
    if (give(&grown[list->n], strdup(id), strdup(path), list->err) < 0)
        return -1;
    list->n++;
    return 0;
}

static int list_own(struct list *list, const char *place)
{
    DIR *folder = opendir(place);
    int status = 0;
    for (struct dirent *e; folder && status == 0 && (e = readdir(folder));) {
        char *path = *e->d_name == '.' ? NULL : file_join(place, e->d_name);
        if (path && is_checkpoint(path))
            status = add(list, e->d_name, path);
        free(path);
    }
    if (folder)
        closedir(folder);
    return status;
}

static int list_cached(struct list *list, const char *hub)
{
    static const char prefix[] = "models--";
    DIR *folder = opendir(hub);
    int status = 0;
    for (struct dirent *e; folder && status == 0 && (e = readdir(folder));) {
        char name[256];
        if (strncmp(e->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        snprintf(name, sizeof name, "%s", e->d_name + sizeof prefix - 1);
        char *dashes = strstr(name, "--");
        if (!dashes)
            continue;
        *dashes = '\0';
        char *path = cached_snapshot(hub, name, dashes + 2, "main");
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
        if (path && is_checkpoint(path))
            status = add(list, name, path);
        free(path);
    }
    if (folder)
        closedir(folder);
    return status;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct model *)a)->id, ((const struct model *)b)->id);
}

int models_list(struct model **out, struct vlmd_error *err)
{
    struct list list = {.err = err};
    char *places[MAX_PLACES];
    size_t n = own_places(places);
    int status = 0;
    for (size_t i = 0; i < n; i++) {
        if (status == 0)
            status = list_own(&list, places[i]);
        free(places[i]);
    }
    char *hub = hub_folder();
    if (hub && status == 0)
        status = list_cached(&list, hub);
    free(hub);
    if (status < 0) {
        models_free(list.models, list.n);
        return -1;
    }
    if (list.n > 1)
        qsort(list.models, list.n, sizeof *list.models, compare);
    *out = list.models;
    return (int)list.n;
}
