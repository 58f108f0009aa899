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

/* Makes fd one that reads past the system's cache, or closes it. */
static int direct_or_none(int fd)
{
#ifdef O_DIRECT
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0)
        return fd;
#endif
    close(fd);
    return -1;
}

int file_map_open(struct file_map *map, const char *path, struct vlmd_error *err)
{
    *map = (struct file_map){.direct = -1};
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0)
        return -1;
    if (size == 0) {
        close(fd);
        return 0;
    }
    char *name = strdup(path);
    void *data = name ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (data == MAP_FAILED) {
        err_errno(err, path, "cannot map %s", path);
        free(name);
        close(fd);
        return -1;
    }
    *map = (struct file_map){data, size, name, direct_or_none(fd)};
    return 0;
}

void file_map_close_direct(struct file_map *map)
{
    if (map->data && map->direct >= 0)
        close(map->direct);
    map->direct = -1;
}

void file_map_close(struct file_map *map)
{
    file_map_close_direct(map);
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    free(map->path);
    *map = (struct file_map){.direct = -1};
}

bool file_map_holds(const struct file_map *map, const void *from, size_t bytes)
{
    uintptr_t begin = (uintptr_t)map->data, at = (uintptr_t)from;
    return map->data && at >= begin && at - begin <= map->size && bytes <= map->size - (at - begin);
}

bool file_map_in_memory(const struct file_map *map, const void *from, size_t bytes)
{
#ifdef __linux__
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (size_t)((const uint8_t *)from - map->data) / page * page;
    size_t pages = ((size_t)((const uint8_t *)from - map->data) + bytes - begin + page - 1) / page;
    size_t present = 0;
    unsigned char here[256];
    for (size_t done = 0; done < pages; done += sizeof here) {
        size_t n = pages - done < sizeof here ? pages - done : sizeof here;
        if (mincore((void *)(uintptr_t)(map->data + begin + done * page), n * page, here) < 0)
            return true;
        for (size_t i = 0; i < n; i++)
            present += here[i] & 1;
    }
    return present == pages;
#else
    (void)map;
    (void)from;
    (void)bytes;
    return true;
#endif
}

static int still_whole(const struct file_map *map, struct vlmd_error *err)
{
    struct stat st;
    if (fstat(map->direct, &st) < 0)
        return err_errno(err, map->path, "cannot examine %s", map->path);
    if ((size_t)st.st_size < map->size)
        return err_set(err, VLMD_IO, map->path, "%s became shorter while it was read", map->path);
    return 0;
}

int file_map_read(const struct file_map *map, const void *from, size_t bytes, void *room,
                  const void **at, struct vlmd_error *err)
{
    size_t first = (size_t)((const uint8_t *)from - map->data);
    size_t begin = first / FILE_PAGE * FILE_PAGE, want = first - begin + bytes;
    size_t whole = (want + FILE_PAGE - 1) / FILE_PAGE * FILE_PAGE;
    *at = from;
    if (map->direct < 0)
        return 0;
    for (size_t got = 0; got < want;) {
        ssize_t n = pread(map->direct, (char *)room + got, whole - got, (off_t)(begin + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP))
            return 0;
        if (n < 0)
            return err_errno(err, map->path, "cannot read %s", map->path);
        if (got + (size_t)n >= want)
            break;
        if (n < FILE_PAGE)
            return still_whole(map, err);
        got += (size_t)n / FILE_PAGE * FILE_PAGE;
    }
    *at = (const char *)room + (first - begin);
    return 0;
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
