/* Files beneath folders that the operator names. A path is walked from such a folder name by name,
 * without links and without "..", so that nothing outside can be reached whatever is in there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define LOCAL_MAX_FOLDERS 16

struct local_folders {
    struct {
        char *path; /* absolute, without links, without a slash at its end */
        int fd;
    } folder[LOCAL_MAX_FOLDERS];
    size_t n;
};

/* Opens one more folder. -1 with *err. */
int local_add(struct local_folders *folders, const char *path, struct vlmd_error *err);
void local_close(struct local_folders *folders);

/* Is this "/..." or "file:..."? */
bool local_is(const char *text);
/* Reads the regular file that an absolute path or a file:// URL names, at most max_bytes. Appends
 * to `out`; -1 with *err, for the log only. */
int local_read(const struct local_folders *folders, const char *text, size_t max_bytes,
               struct buf *out, struct vlmd_error *err);
