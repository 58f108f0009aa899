/* Anonymous memory that travels between processes as a descriptor: encoded images and pixels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct shared_map {
    uint8_t *data;
    size_t size;
};

/* Memory of `size` zero bytes. Returns its descriptor (close-on-exec), which the caller closes, or
 * -1 with *err. */
int shared_memory_create(size_t size, struct vlmd_error *err);
/* The same, with `size` bytes in it. */
int shared_memory_copy(const void *bytes, size_t size, struct vlmd_error *err);
/* Checks that received memory has exactly `size` bytes and fixes that size for ever, where the
 * platform can, so that no other process can cut it off under a reader. */
int shared_memory_fix_size(int fd, size_t size, struct vlmd_error *err);
/* The same, and fixes its contents too: nobody may have it mapped for writing any more. */
int shared_memory_seal(int fd, size_t size, struct vlmd_error *err);
/* Maps the first `size` bytes, checking that they exist. The descriptor stays the caller's and may
 * be closed at once. */
int shared_memory_map_read(int fd, size_t size, struct shared_map *map, struct vlmd_error *err);
int shared_memory_map_write(int fd, size_t size, struct shared_map *map, struct vlmd_error *err);
void shared_memory_unmap(struct shared_map *map);
