#include "chat/workspace.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"

struct workspace_block {
    struct workspace_block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

static const size_t BLOCK_SIZE = 16 << 10;

void workspace_open(struct workspace *ws, enum vlmd_code code, const char *field,
                    struct vlmd_error *err)
{
    *ws = (struct workspace){.left = WORKSPACE_MEMORY,
                             .steps_left = WORKSPACE_STEPS,
                             .code = code,
                             .field = field,
                             .err = err};
}

void workspace_close(struct workspace *ws)
{
    while (ws->blocks) {
        struct workspace_block *next = ws->blocks->next;
        free(ws->blocks);
        ws->blocks = next;
    }
}

static struct workspace_block *add_block(struct workspace *ws, size_t size)
{
    struct workspace_block *block = calloc(1, sizeof *block + size);
    if (!block) {
        err_no_memory(ws->err, size);
        return NULL;
    }
    block->size = size;
    /* A block for one large piece goes behind the open one, which still has room. */
    if (ws->blocks && size > BLOCK_SIZE) {
        block->next = ws->blocks->next;
        ws->blocks->next = block;
    } else {
        block->next = ws->blocks;
        ws->blocks = block;
    }
    return block;
}

void *workspace_alloc(struct workspace *ws, size_t size)
{
    if (size > ws->left) {
        workspace_fail_as(ws, VLMD_TOO_LARGE, "rendering needs more than %d MiB of memory",
                          WORKSPACE_MEMORY >> 20);
        return NULL;
    }
    const size_t unit = alignof(max_align_t);
    size_t rounded = size ? (size + unit - 1) / unit * unit : unit;
    ws->left -= rounded < ws->left ? rounded : ws->left;
    struct workspace_block *block = ws->blocks;
    if (!block || block->size - block->used < rounded) {
        block = add_block(ws, rounded > BLOCK_SIZE / 4 ? rounded : BLOCK_SIZE);
        if (!block)
            return NULL;
    }
    void *piece = block->bytes + block->used;
    block->used += rounded;
    return piece;
}

void *workspace_alloc_array(struct workspace *ws, size_t n, size_t size)
{
    size_t bytes;
    if (!checked_mul(n, size, &bytes))
        bytes = SIZE_MAX;
    return workspace_alloc(ws, bytes);
}

int workspace_spend(struct workspace *ws, size_t bytes)
{
    size_t steps = 1 + bytes / 64;
    if (steps > ws->steps_left) {
        ws->steps_left = 0;
        return workspace_fail_as(ws, VLMD_TOO_LARGE, "rendering takes more than %d steps",
                                 WORKSPACE_STEPS);
    }
    ws->steps_left -= steps;
    return 0;
}

int workspace_enter(struct workspace *ws)
{
    if (ws->depth >= WORKSPACE_DEPTH)
        return workspace_fail_as(ws, VLMD_TOO_LARGE, "nested deeper than %d levels",
                                 WORKSPACE_DEPTH);
    ws->depth++;
    return 0;
}

void workspace_leave(struct workspace *ws)
{
    ws->depth--;
}

static int fail(struct workspace *ws, enum vlmd_code code, const char *format, va_list args)
{
    char text[sizeof ws->err->text];
    vsnprintf(text, sizeof text, format, args);
    return err_set(ws->err, code, ws->field, "chat template, line %d: %s", ws->line, text);
}

int workspace_fail(struct workspace *ws, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fail(ws, ws->code, format, args);
    va_end(args);
    return rc;
}

int workspace_fail_as(struct workspace *ws, enum vlmd_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fail(ws, code, format, args);
    va_end(args);
    return rc;
}
