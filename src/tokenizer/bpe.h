/* Byte-pair merging of one pre-tokenized piece. Owns the table of merges and the scratch memory of
 * a call; knows nothing of text, regexes or added tokens. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* An open-addressed table: pair of token ids -> rank (lower merges first) and merged id. */
struct bpe_merge {
    uint64_t pair; /* left << 32 | right; all ones in an empty slot */
    int32_t rank;
    int32_t merged;
};

struct bpe {
    struct bpe_merge *slots;
    size_t mask; /* number of slots - 1 */
};

/* Symbols of the piece at hand, as a linked list in arrays, and a heap of merges to try. */
struct bpe_symbol {
    int32_t id; /* -1 once merged into its left neighbour */
    int32_t previous;
    int32_t next;
    int32_t rank; /* of the pair (this, next); -1 when it does not merge */
};

struct bpe_work {
    struct bpe_symbol *symbols;
    size_t cap;     /* symbols there is room for; the heap has room for three times as many */
    uint64_t *heap; /* rank << 32 | position, smallest on top */
    size_t heap_len;
};

int bpe_init(struct bpe *b, size_t n_merges, struct vlmd_error *err);
void bpe_free(struct bpe *b);
/* At most n_merges calls. A pair given twice keeps its last rank, as `tokenizers` does. */
void bpe_add(struct bpe *b, int32_t left, int32_t right, int32_t rank, int32_t merged);

/* Merges `ids` (n of them, overwritten) in place: always the pair of lowest rank, the leftmost of
 * equals. O(n log n). Returns the number of ids left, -1 without memory. */
int64_t bpe_merge_ids(const struct bpe *b, struct bpe_work *work, int32_t *ids, size_t n,
                      struct vlmd_error *err);
void bpe_work_free(struct bpe_work *work);
