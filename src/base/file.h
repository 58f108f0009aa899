/* Whole files, read or mapped. Paths are joined here so that lengths are checked in one place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A read-only mapping of a whole file. An empty file maps to data = NULL, size = 0. */
struct file_map {
    const uint8_t *data;
    size_t size;
};

int file_map_open(struct file_map *map, const char *path, struct vlmd_error *err);
void file_map_close(struct file_map *map);

/* Reads at most `limit` bytes; a larger file is VLMD_TOO_LARGE. Returns NUL-terminated memory that
 * the caller frees, or NULL. */
char *file_read(const char *path, size_t limit, size_t *size, struct vlmd_error *err);

/* "folder/name" in new memory that the caller frees; NULL without memory. */
char *file_join(const char *folder, const char *name);

/* What a small file of /proc or /sys says, which tells nothing of its size; at most size - 1 bytes.
 * False when it is not there or empty. */
bool file_read_small(const char *path, char *text, size_t size);
