/* Error values: a code, the offending field and one sentence. Errors are returned, never printed
 * here. The struct itself is public (vlmd.h), which includes nothing of ours and so may be seen
 * from everywhere. */
#pragma once

#include <stdarg.h>

#include "vlmd.h"

/* Fills *err (NULL is allowed) and returns -1, so that `return err_set(...)` reads as the failure
 * it is. `field` may be NULL. Text that does not fit is cut at a whole UTF-8 character. */
int err_set(struct vlmd_error *err, enum vlmd_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, and adds ": <strerror(errno)>". The code is VLMD_NOT_FOUND for ENOENT, VLMD_NO_MEMORY
 * for ENOMEM, else VLMD_IO. */
int err_errno(struct vlmd_error *err, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* VLMD_NO_MEMORY with the number of bytes that were wanted. */
int err_no_memory(struct vlmd_error *err, size_t bytes);
/* Puts "prefix" before the field of an error that came from below: field "x" becomes "prefix.x"
 * ("prefix[0]" stays joined). */
void err_prefix_field(struct vlmd_error *err, const char *prefix);
void err_clear(struct vlmd_error *err);
const char *err_code_name(enum vlmd_code code); /* "invalid", "not_found", ... */
