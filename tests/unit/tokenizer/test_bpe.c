#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/bpe.h"

#define LETTERS 4
#define MERGES  60

struct rule {
    int32_t left, right, merged;
};

/* The definition: again and again the pair of lowest rank, the leftmost of equals. */
static size_t merge_plainly(const struct rule *rules, int32_t *ids, size_t n)
{
    for (;;) {
        size_t best_rule = MERGES, best_at = 0;
        for (size_t at = 0; at + 1 < n; at++) {
            for (size_t r = 0; r < best_rule; r++) {
                if (ids[at] == rules[r].left && ids[at + 1] == rules[r].right) {
                    best_rule = r;
                    best_at = at;
                }
            }
        }
        if (best_rule == MERGES)
            return n;
        ids[best_at] = rules[best_rule].merged;
        memmove(ids + best_at + 1, ids + best_at + 2, (n - best_at - 2) * sizeof *ids);
        n--;
    }
}

static uint32_t next(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

static bool has_pair(const struct rule *rules, int32_t n, int32_t left, int32_t right)
{
    for (int32_t i = 0; i < n; i++) {
        if (rules[i].left == left && rules[i].right == right)
            return true;
    }
    return false;
}

static void random_merges_are_those_of_the_definition(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int round = 0; round < 300; round++) {
        struct rule rules[MERGES];
        struct bpe bpe;
        struct bpe_work work = {0};
        struct vlmd_error err = {0};
        assert_int_equal(bpe_init(&bpe, MERGES, &err), 0);
        for (int32_t i = 0; i < MERGES; i++) {
            uint32_t known = LETTERS + (uint32_t)i / 4;
            do {
                rules[i] = (struct rule){.left = (int32_t)(next(&random) % known),
                                         .right = (int32_t)(next(&random) % known),
                                         .merged = LETTERS + i};
            } while (has_pair(rules, i, rules[i].left, rules[i].right));
            bpe_add(&bpe, rules[i].left, rules[i].right, i, rules[i].merged);
        }
        for (int text = 0; text < 20; text++) {
            int32_t fast[200], plain[200];
            size_t n = next(&random) % 200;
            for (size_t i = 0; i < n; i++)
                fast[i] = plain[i] = (int32_t)(next(&random) % LETTERS);
            int64_t got = bpe_merge_ids(&bpe, &work, fast, n, &err);
            assert_int_equal(got, merge_plainly(rules, plain, n));
            assert_memory_equal(fast, plain, (size_t)got * sizeof *fast);
        }
        bpe_work_free(&work);
        bpe_free(&bpe);
    }
}

static void a_pair_given_twice_keeps_its_last_rank(void **state)
{
    (void)state;
    struct bpe bpe;
    struct bpe_work work = {0};
    struct vlmd_error err = {0};
    assert_int_equal(bpe_init(&bpe, 3, &err), 0);
    bpe_add(&bpe, 0, 1, 0, 10);
    bpe_add(&bpe, 1, 2, 1, 11);
    bpe_add(&bpe, 0, 1, 2, 10);
    int32_t ids[] = {0, 1, 2};
    assert_int_equal(bpe_merge_ids(&bpe, &work, ids, 3, &err), 2);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 11);
    bpe_work_free(&work);
    bpe_free(&bpe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_merges_are_those_of_the_definition),
        cmocka_unit_test(a_pair_given_twice_keeps_its_last_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
