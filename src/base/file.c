#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file for reading and learns its size. Returns the descriptor or -1. */
static int open_regular(const char *path, size_t *size, struct vlmd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, path, "cannot open %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0) {
        err_errno(err, path, "cannot examine %s", path);
        close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, VLMD_FORMAT, path, "%s is not a regular file", path);
    }
    *size = (size_t)st.st_size;
    return fd;
}

int file_map_open(struct file_map *map, const char *path, struct vlmd_error *err)
{
    *map = (struct file_map){0};
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0)
        return -1;
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            err_errno(err, path, "cannot map %s", path);
            close(fd);
            return -1;
        }
        map->data = data;
        map->size = size;
    }
    close(fd);
    return 0;
}

void file_map_close(struct file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct file_map){0};
}

char *file_read(const char *path, size_t limit, size_t *size, struct vlmd_error *err)
{
    size_t want;
    int fd = open_regular(path, &want, err);
    if (fd < 0)
        return NULL;
    char *data = NULL;
    if (want > limit) {
        err_set(err, VLMD_TOO_LARGE, path, "%s has %zu bytes; at most %zu are read", path, want,
                limit);
        goto out;
    }
    data = malloc(want + 1);
    if (!data) {
        err_no_memory(err, want + 1);
        goto out;
    }
    size_t got = 0;
    while (got < want) {
        ssize_t n = read(fd, data + got, want - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(err, path, "cannot read %s", path);
            free(data);
            data = NULL;
            goto out;
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    data[got] = '\0';
    *size = got;
out:
    close(fd);
    return data;
}

char *file_join(const char *folder, const char *name)
{
    size_t cap = strlen(folder) + strlen(name) + 2;
    char *path = malloc(cap);
    if (path)
        snprintf(path, cap, "%s/%s", folder, name);
    return path;
}

bool file_read_small(const char *path, char *text, size_t size)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    while (n < size - 1) {
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    text[n] = '\0';
    return n > 0;
}
