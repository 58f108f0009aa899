/* The queue by a clock of our own: order, fairness, depth, lateness, and a long random run that
 * compares every step with what may never happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "front/queue.h"

static const struct queue_limits plain = {
    .slots = 1, .depth = 100, .wait_ms = {120000, 60000, 30000}, .total_ms = 300000};

static void enter(struct queue *q, struct queue_ticket *t, enum priority priority, unsigned owner,
                  uint64_t now, enum queue_state expected)
{
    *t = (struct queue_ticket){.priority = priority, .owner = owner};
    assert_int_equal(queue_enter(q, t, now), expected);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(priority_from_text("HIGH"), PRIORITY_HIGH);
    assert_int_equal(priority_from_text("normal"), PRIORITY_NORMAL);
    assert_int_equal(priority_from_text("low"), PRIORITY_LOW);
    assert_int_equal(priority_from_text("urgent"), -1);
    assert_int_equal(priority_from_text(""), -1);
    assert_string_equal(priority_name(PRIORITY_LOW), "low");
}

static void test_order_of_priorities(void **state)
{
    (void)state;
    struct queue *q = queue_open(&plain);
    struct queue_ticket running, low[3], high[3], normal[3];
    enter(q, &running, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    for (int i = 0; i < 3; i++)
        enter(q, &low[i], PRIORITY_LOW, 0, 1, QUEUE_WAITING);
    for (int i = 0; i < 3; i++)
        enter(q, &normal[i], PRIORITY_NORMAL, 0, 2, QUEUE_WAITING);
    for (int i = 0; i < 3; i++)
        enter(q, &high[i], PRIORITY_HIGH, 0, 3, QUEUE_WAITING);
    assert_int_equal(high[2].position, 9);
    assert_null(queue_next(q, 4));
    struct queue_ticket *order[] = {&high[0],   &high[1], &high[2], &normal[0], &normal[1],
                                    &normal[2], &low[0],  &low[1],  &low[2]};
    struct queue_ticket *now = &running;
    for (size_t i = 0; i < 9; i++) {
        assert_true(queue_due(q, 5) > 0);
        queue_leave(q, now, 5);
        assert_int_equal(queue_due(q, 5), 0);
        now = queue_next(q, 5);
        assert_ptr_equal(now, order[i]);
        assert_null(queue_next(q, 5));
    }
    queue_leave(q, now, 6);
    assert_null(queue_next(q, 6));
    assert_true(queue_due(q, 6) == UINT64_MAX);
    queue_close(q);
}

/* A steady flow of high requests does not keep a low one out for ever. */
static void test_nobody_starves(void **state)
{
    (void)state;
    struct queue *q = queue_open(&plain);
    struct queue_ticket high[40], low, *working;
    enter(q, &high[0], PRIORITY_HIGH, 0, 0, QUEUE_WORKING);
    enter(q, &low, PRIORITY_LOW, 0, 0, QUEUE_WAITING);
    working = &high[0];
    uint64_t now = 0;
    for (int i = 1; i < 40 && working != &low; i++) {
        now += 1000;
        enter(q, &high[i], PRIORITY_HIGH, 0, now, QUEUE_WAITING);
        queue_leave(q, working, now);
        working = queue_next(q, now);
    }
    assert_ptr_equal(working, &low);
    assert_int_equal(now, 15000);
    queue_close(q);
}

static void test_owners_take_turns(void **state)
{
    (void)state;
    struct queue_limits limits = plain;
    limits.slots = 2;
    struct queue *q = queue_open(&limits);
    struct queue_ticket greedy[6], modest;
    for (int i = 0; i < 6; i++)
        enter(q, &greedy[i], PRIORITY_NORMAL, 1, (uint64_t)i,
              i < 2 ? QUEUE_WORKING : QUEUE_WAITING);
    enter(q, &modest, PRIORITY_NORMAL, 2, 10, QUEUE_WAITING);
    queue_leave(q, &greedy[0], 11);
    assert_ptr_equal(queue_next(q, 11), &modest);
    queue_leave(q, &greedy[1], 12);
    assert_ptr_equal(queue_next(q, 12), &greedy[2]);
    queue_close(q);
}

static void test_full(void **state)
{
    (void)state;
    struct queue_limits limits = plain;
    limits.depth = 1;
    struct queue *q = queue_open(&limits);
    struct queue_ticket a, b, c, d;
    enter(q, &a, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    enter(q, &b, PRIORITY_NORMAL, 0, 0, QUEUE_WAITING);
    enter(q, &c, PRIORITY_NORMAL, 0, 0, QUEUE_OUT);
    enter(q, &d, PRIORITY_HIGH, 0, 0, QUEUE_WAITING); /* each priority has its own depth */
    queue_leave(q, &c, 0);                            /* harmless */
    queue_leave(q, &b, 0);
    enter(q, &c, PRIORITY_NORMAL, 0, 0, QUEUE_WAITING);
    struct queue_counts counts = queue_counts(q);
    assert_int_equal(counts.working, 1);
    assert_int_equal(counts.waiting[PRIORITY_HIGH], 1);
    assert_int_equal(counts.waiting[PRIORITY_NORMAL], 1);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.entered, 4);
    /* None may wait: only what finds a slot comes in. */
    limits.depth = 0;
    limits.slots = 2;
    queue_configure(q, &limits);
    assert_ptr_equal(queue_next(q, 0), &d);
    struct queue_ticket e;
    enter(q, &e, PRIORITY_HIGH, 0, 0, QUEUE_OUT);
    queue_close(q);
}

static void test_late(void **state)
{
    (void)state;
    struct queue *q = queue_open(&plain);
    struct queue_ticket a, b, c;
    enter(q, &a, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    enter(q, &b, PRIORITY_LOW, 0, 1000, QUEUE_WAITING);
    enter(q, &c, PRIORITY_HIGH, 0, 1000, QUEUE_WAITING);
    assert_int_equal(queue_due(q, 1000), 30000);
    assert_null(queue_late(q, 30999));
    assert_ptr_equal(queue_late(q, 31000), &b);
    assert_int_equal(b.state, QUEUE_WAITING);
    queue_leave(q, &b, 31000);
    assert_null(queue_late(q, 31000));
    assert_ptr_equal(queue_late(q, 121000), &c);
    queue_leave(q, &c, 121000);
    assert_ptr_equal(queue_late(q, 300000), &a); /* working too long */
    assert_int_equal(a.state, QUEUE_WORKING);
    assert_null(queue_late(q, 300000)); /* once each */
    queue_leave(q, &a, 300000);
    assert_int_equal(queue_counts(q).late, 3);
    queue_close(q);
}

/* The limit on all stages counts from the beginning, not from the turn. */
static void test_limit_counts_from_the_beginning(void **state)
{
    (void)state;
    struct queue_limits limits = plain;
    limits.total_ms = 10000;
    struct queue *q = queue_open(&limits);
    struct queue_ticket a, b;
    enter(q, &a, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    enter(q, &b, PRIORITY_NORMAL, 0, 1000, QUEUE_WAITING);
    queue_leave(q, &a, 9000);
    assert_ptr_equal(queue_next(q, 9000), &b);
    assert_int_equal(queue_due(q, 9000), 2000);
    assert_ptr_equal(queue_late(q, 11000), &b);
    queue_leave(q, &b, 11000);
    limits = (struct queue_limits){.slots = 1, .depth = 1};
    queue_configure(q, &limits); /* no limits of time at all */
    enter(q, &a, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    enter(q, &b, PRIORITY_NORMAL, 0, 0, QUEUE_WAITING);
    assert_true(queue_due(q, 1) == UINT64_MAX);
    assert_null(queue_late(q, UINT64_MAX));
    queue_close(q);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct queue *q = queue_open(&plain);
    struct queue_ticket a, b, c;
    assert_int_equal(queue_retry_after(q), 1);
    enter(q, &a, PRIORITY_NORMAL, 0, 0, QUEUE_WORKING);
    queue_leave(q, &a, 8000);
    enter(q, &a, PRIORITY_NORMAL, 0, 8000, QUEUE_WORKING);
    assert_int_equal(queue_retry_after(q), 8);
    enter(q, &b, PRIORITY_NORMAL, 0, 8000, QUEUE_WAITING);
    enter(q, &c, PRIORITY_NORMAL, 0, 8000, QUEUE_WAITING);
    assert_int_equal(queue_retry_after(q), 24);
    queue_leave(q, &a, 100000000);
    assert_int_equal(queue_retry_after(q), 60);
    queue_close(q);
}

/* Any order of coming, leaving and lateness: slots and depth hold, nobody is lost, and a free slot
 * never stands beside somebody who waits. */
static void test_random_runs(void **state)
{
    (void)state;
    enum {
        N = 64
    };
    srandom(7);
    for (int run = 0; run < 200; run++) {
        struct queue_limits limits = {.slots = 1 + (unsigned)random() % 4,
                                      .depth = (unsigned)random() % 8,
                                      .wait_ms = {50, 40, 30},
                                      .total_ms = 100};
        struct queue *q = queue_open(&limits);
        struct queue_ticket t[N] = {0};
        uint64_t now = 0;
        for (int step = 0; step < 500; step++) {
            struct queue_ticket *one = &t[random() % N];
            now += (uint64_t)random() % 5;
            if (one->state == QUEUE_OUT) {
                *one = (struct queue_ticket){.priority = (enum priority)(random() % PRIORITIES),
                                             .owner = (unsigned)random() % 3};
                queue_enter(q, one, now);
            } else {
                queue_leave(q, one, now);
            }
            struct queue_ticket *late;
            while ((late = queue_late(q, now))) {
                assert_int_not_equal(late->state, QUEUE_OUT);
                queue_leave(q, late, now);
            }
            while (queue_next(q, now))
                ;
            struct queue_counts counts = queue_counts(q);
            unsigned working = 0, waiting[PRIORITIES] = {0};
            for (int i = 0; i < N; i++) {
                working += t[i].state == QUEUE_WORKING;
                waiting[t[i].priority] += t[i].state == QUEUE_WAITING;
            }
            assert_int_equal(working, counts.working);
            assert_true(working <= limits.slots);
            for (int i = 0; i < PRIORITIES; i++) {
                assert_int_equal(waiting[i], counts.waiting[i]);
                assert_true(waiting[i] <= limits.depth);
                assert_true(waiting[i] == 0 || working == limits.slots);
            }
            assert_true(queue_due(q, now) > 0);
        }
        queue_close(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_order_of_priorities),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_owners_take_turns),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_limit_counts_from_the_beginning),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_random_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
