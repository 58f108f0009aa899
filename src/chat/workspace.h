/* The memory and time that one parse or one rendering of a chat template may use.
 *
 * Templates come with checkpoints and messages from anyone, so everything that they can make
 * happen is paid for here: bytes, steps and depth. All memory is given back at once; nothing is
 * freed singly. The first failure is kept in *err and stays. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    WORKSPACE_MEMORY = 256 << 20, /* bytes of one rendering */
    WORKSPACE_STEPS = 10000000,   /* nodes evaluated, and one for each 64 bytes looked at */
    WORKSPACE_DEPTH = 600,        /* nested evaluations, macro calls and nested values */
};

struct workspace_block;

struct workspace {
    struct workspace_block *blocks;
    size_t left; /* bytes that may still be asked for */
    size_t steps_left;
    int depth;
    int line;            /* of the template: where the work is */
    enum vlmd_code code; /* of failures that the template or the messages cause */
    const char *field;   /* "chat_template" while parsing, "messages" while rendering */
    struct vlmd_error *err;
};

void workspace_open(struct workspace *ws, enum vlmd_code code, const char *field,
                    struct vlmd_error *err);
void workspace_close(struct workspace *ws);

/* Zeroed memory, aligned for any value; NULL with *err when the memory or the limit is used up. */
void *workspace_alloc(struct workspace *ws, size_t size);
void *workspace_alloc_array(struct workspace *ws, size_t n, size_t size);

/* Pays for one step and for looking at `bytes` bytes; -1 with *err when the budget is used up. */
int workspace_spend(struct workspace *ws, size_t bytes);
/* Goes one level down; -1 with *err when that is too deep (then workspace_leave is not due). */
int workspace_enter(struct workspace *ws);
void workspace_leave(struct workspace *ws);

/* Sets *err to "chat template, line N: ..." and returns -1. */
int workspace_fail(struct workspace *ws, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with a code of its own. */
int workspace_fail_as(struct workspace *ws, enum vlmd_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
