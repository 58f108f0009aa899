#include "tokenizer/bpe.h"

#include <stdlib.h>

#include "base/checked.h"

#define BPE_NO_PAIR UINT64_MAX

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t slot_of(const struct bpe *b, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return (size_t)(h ^ h >> 32) & b->mask;
}

int bpe_init(struct bpe *b, size_t n_merges, struct vlmd_error *err)
{
    size_t slots = 16;
    while (slots / 4 * 3 <= n_merges) {
        if (!checked_mul(slots, 2, &slots))
            return err_no_memory(err, SIZE_MAX);
    }
    size_t bytes;
    if (!checked_mul(slots, sizeof *b->slots, &bytes))
        return err_no_memory(err, SIZE_MAX);
    *b = (struct bpe){.slots = malloc(bytes), .mask = slots - 1};
    if (!b->slots)
        return err_no_memory(err, bytes);
    for (size_t i = 0; i < slots; i++)
        b->slots[i].pair = BPE_NO_PAIR;
    return 0;
}

void bpe_free(struct bpe *b)
{
    free(b->slots);
    *b = (struct bpe){0};
}

static struct bpe_merge *find_slot(const struct bpe *b, uint64_t pair)
{
    size_t i = slot_of(b, pair);
    while (b->slots[i].pair != pair && b->slots[i].pair != BPE_NO_PAIR)
        i = (i + 1) & b->mask;
    return &b->slots[i];
}

void bpe_add(struct bpe *b, int32_t left, int32_t right, int32_t rank, int32_t merged)
{
    uint64_t pair = pair_of(left, right);
    *find_slot(b, pair) = (struct bpe_merge){.pair = pair, .rank = rank, .merged = merged};
}

/* ---- the heap */

/* Four children a node: half the levels, and children lie in one cache line. */
#define HEAP_WIDTH 4

static void heap_sift_down(uint64_t *heap, size_t len, size_t i)
{
    uint64_t moved = heap[i];
    for (;;) {
        size_t first = HEAP_WIDTH * i + 1;
        if (first >= len)
            break;
        size_t end = first + HEAP_WIDTH < len ? first + HEAP_WIDTH : len;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++)
            least = heap[child] < heap[least] ? child : least;
        if (heap[least] >= moved)
            break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = moved;
}

static void heap_push(struct bpe_work *work, uint64_t value)
{
    size_t i = work->heap_len++;
    while (i > 0 && work->heap[(i - 1) / HEAP_WIDTH] > value) {
        work->heap[i] = work->heap[(i - 1) / HEAP_WIDTH];
        i = (i - 1) / HEAP_WIDTH;
    }
    work->heap[i] = value;
}

static uint64_t heap_pop(struct bpe_work *work)
{
    uint64_t top = work->heap[0];
    work->heap[0] = work->heap[--work->heap_len];
    if (work->heap_len)
        heap_sift_down(work->heap, work->heap_len, 0);
    return top;
}

/* ---- merging */

static int work_reserve(struct bpe_work *work, size_t n, struct vlmd_error *err)
{
    if (n <= work->cap)
        return 0;
    size_t cap = work->cap ? work->cap : 64;
    while (cap < n)
        cap *= 2; /* n is below TOKENIZER_MAX_TEXT times a small factor */
    bpe_work_free(work);
    work->symbols = malloc(cap * sizeof *work->symbols);
    /* every merge removes one symbol and offers at most two new pairs */
    work->heap = malloc(3 * cap * sizeof *work->heap);
    if (!work->symbols || !work->heap) {
        bpe_work_free(work);
        return err_no_memory(err, cap * sizeof *work->symbols + 3 * cap * sizeof *work->heap);
    }
    work->cap = cap;
    return 0;
}

void bpe_work_free(struct bpe_work *work)
{
    free(work->symbols);
    free(work->heap);
    *work = (struct bpe_work){0};
}

/* Looks up the pair that starts at `position`; remembers its rank. */
static int32_t rank_pair(const struct bpe *b, struct bpe_symbol *symbols, int32_t position)
{
    struct bpe_symbol *s = &symbols[position];
    s->rank = -1;
    if (s->next >= 0) {
        const struct bpe_merge *m = find_slot(b, pair_of(s->id, symbols[s->next].id));
        if (m->pair != BPE_NO_PAIR)
            s->rank = m->rank;
    }
    return s->rank;
}

static uint64_t heap_entry(int32_t rank, int32_t position)
{
    return (uint64_t)(uint32_t)rank << 32 | (uint32_t)position;
}

static void offer_pair(const struct bpe *b, struct bpe_work *work, int32_t position)
{
    int32_t rank = rank_pair(b, work->symbols, position);
    if (rank >= 0)
        heap_push(work, heap_entry(rank, position));
}

static void load_symbols(const struct bpe *b, struct bpe_work *work, const int32_t *ids, int32_t n)
{
    struct bpe_symbol *symbols = work->symbols;
    for (int32_t i = 0; i < n; i++)
        symbols[i] =
            (struct bpe_symbol){.id = ids[i], .previous = i - 1, .next = i + 1 < n ? i + 1 : -1};
    work->heap_len = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t rank = rank_pair(b, symbols, i);
        if (rank >= 0)
            work->heap[work->heap_len++] = heap_entry(rank, i);
    }
    for (size_t i = (work->heap_len + HEAP_WIDTH - 2) / HEAP_WIDTH; i-- > 0;)
        heap_sift_down(work->heap, work->heap_len, i);
}

static void merge_at(const struct bpe *b, struct bpe_work *work, int32_t position)
{
    struct bpe_symbol *symbols = work->symbols;
    struct bpe_symbol *s = &symbols[position];
    struct bpe_symbol *gone = &symbols[s->next];
    s->id = find_slot(b, pair_of(s->id, gone->id))->merged;
    gone->id = -1;
    gone->rank = -1;
    s->next = gone->next;
    if (s->next >= 0)
        symbols[s->next].previous = position;
    offer_pair(b, work, position);
    if (s->previous >= 0)
        offer_pair(b, work, s->previous);
}

int64_t bpe_merge_ids(const struct bpe *b, struct bpe_work *work, int32_t *ids, size_t n,
                      struct vlmd_error *err)
{
    if (n < 2)
        return (int64_t)n;
    if (n > INT32_MAX / 2)
        return err_set(err, VLMD_TOO_LARGE, "text", "a piece of %zu bytes is too long", n);
    if (work_reserve(work, n, err) < 0)
        return -1;
    load_symbols(b, work, ids, (int32_t)n);
    while (work->heap_len) {
        uint64_t top = heap_pop(work);
        int32_t position = (int32_t)(top & UINT32_MAX);
        /* entries of pairs that have changed since are left in the heap and dropped here */
        if (work->symbols[position].rank == (int32_t)(top >> 32))
            merge_at(b, work, position);
    }
    int64_t left = 0;
    for (int32_t i = 0; i >= 0; i = work->symbols[i].next)
        ids[left++] = work->symbols[i].id;
    return left;
}
