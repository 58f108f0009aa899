/* Whole files, read or mapped. Paths are joined here so that lengths are checked in one place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    FILE_PAGE = 4096 /* what is read past the system's cache begins and ends at multiples of it */
};

/* A read-only mapping of a whole file. An empty file maps to data = NULL, size = 0. */
struct file_map {
    const uint8_t *data;
    size_t size;
    char *path;
    int direct; /* reads past the system's cache; -1 where the system or the file's does not */
};

int file_map_open(struct file_map *map, const char *path, struct vlmd_error *err);
void file_map_close(struct file_map *map);
/* Gives up the descriptor that reads past the system's cache. */
void file_map_close_direct(struct file_map *map);

/* Whether [from, from + bytes) is a part of the mapping. */
bool file_map_holds(const struct file_map *map, const void *from, size_t bytes);
/* Whether all pages of a part are in memory; true where the system does not tell. */
bool file_map_in_memory(const struct file_map *map, const void *from, size_t bytes);
/* Reads a part past the system's cache, so that no page of it has to be found, filled and kept.
 * room: FILE_ROOM(bytes) bytes at a multiple of FILE_PAGE. *at is where the part then lies: in
 * room, or still in the mapping where that is not possible. VLMD_IO when the file cannot be read or
 * has become shorter. */
#define FILE_ROOM(bytes) (((bytes) / FILE_PAGE + 2) * FILE_PAGE)
int file_map_read(const struct file_map *map, const void *from, size_t bytes, void *room,
                  const void **at, struct vlmd_error *err);

/* Reads at most `limit` bytes; a larger file is VLMD_TOO_LARGE. Returns NUL-terminated memory that
 * the caller frees, or NULL. */
char *file_read(const char *path, size_t limit, size_t *size, struct vlmd_error *err);

/* "folder/name" in new memory that the caller frees; NULL without memory. */
char *file_join(const char *folder, const char *name);

/* What a small file of /proc or /sys says, which tells nothing of its size; at most size - 1 bytes.
 * False when it is not there or empty. */
bool file_read_small(const char *path, char *text, size_t size);
