/* The scheduler on a tiny checkpoint: every request ends exactly once and gives its pixels back,
 * company changes no text, and a full kv cache or a cancellation hurts nobody else. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "worker/scheduler.h"

#define CHECKPOINT   "tests/parity/checkpoints/vl-mlx"
#define MAX_REQUESTS 64
#define IMAGE_SIDE   32

/* What came of one request. */
struct outcome {
    int started, seen, ended, failed, released;
    uint64_t cached;
    struct scheduler_result result;
    struct vlmd_error error;
    char text[4096];
    size_t len;
    bool after_end; /* an event came after the end */
};

struct fixture {
    vlmd_engine *engine;
    struct image_cache_state cache; /* as it was told last */
    struct scheduler *scheduler;
    struct outcome outcomes[MAX_REQUESTS];
    uint64_t cancel_in_poll; /* id to cancel when polled; UINT64_MAX: none */
    int polls;
    uint64_t images_of;
};

static struct outcome *outcome(void *context, uint64_t id)
{
    struct outcome *o = &((struct fixture *)context)->outcomes[id];
    o->after_end |= o->ended > 0;
    return o;
}

static void on_started(void *context, uint64_t id, int32_t prompt_tokens)
{
    (void)prompt_tokens;
    outcome(context, id)->started++;
}

static void on_seen(void *context, uint64_t id, uint64_t cached,
                    const struct image_cache_state *cache)
{
    struct outcome *o = outcome(context, id);
    o->seen++;
    o->cached = cached;
    ((struct fixture *)context)->cache = *cache;
}

static void on_text(void *context, uint64_t id, const char *text, size_t len, int32_t tokens)
{
    struct outcome *o = outcome(context, id);
    assert_true(tokens > 0 && o->len + len < sizeof o->text);
    memcpy(o->text + o->len, text, len);
    o->len += len;
}

static void on_done(void *context, uint64_t id, const struct scheduler_result *result)
{
    struct outcome *o = outcome(context, id);
    o->ended++;
    o->result = *result;
}

static void on_failed(void *context, uint64_t id, const struct vlmd_error *error)
{
    struct outcome *o = outcome(context, id);
    o->ended++;
    o->failed++;
    o->error = *error;
}

static bool on_poll(void *context)
{
    struct fixture *f = context;
    f->polls++;
    if (f->cancel_in_poll != UINT64_MAX)
        scheduler_cancel(f->scheduler, f->cancel_in_poll);
    return false;
}

static int open_fixture(void **state, int32_t kv_tokens, uint64_t cache_bytes)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vlmd_error err;
    const struct vlmd_engine_options options = {
        .threads = 1, .kv_tokens = kv_tokens, .batch_tokens = 24};
    const struct scheduler_events events = {f,       on_started, on_seen, on_text,
                                            on_done, on_failed,  on_poll};
    f->cancel_in_poll = UINT64_MAX;
    f->engine = vlmd_engine_open(CHECKPOINT, &options, &err);
    if (!f->engine) {
        print_error("%s\n", err.text);
        return -1;
    }
    f->scheduler = scheduler_open(f->engine, &events, cache_bytes, &err);
    *state = f;
    return f->scheduler ? 0 : -1;
}

static int setup_roomy(void **state)
{
    return open_fixture(state, 8192, 0);
}

static int setup_keeping(void **state)
{
    return open_fixture(state, 8192, 1 << 20);
}

static int setup_tight(void **state)
{
    return open_fixture(state, 128, 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scheduler_close(f->scheduler);
    vlmd_engine_close(f->engine);
    free(f);
    return 0;
}

struct pixels {
    struct outcome *of;
    uint8_t *rgb;
};

static void release(void *owner)
{
    struct pixels *p = owner;
    p->of->released++;
    free(p->rgb);
    free(p);
}

/* Request `id`: a prompt of n tokens from `seed`, with an image when asked for. */
static int submit(struct fixture *f, uint64_t id, int32_t n, uint32_t seed, bool with_image,
                  int32_t max_tokens)
{
    struct vlmd_error err;
    struct vlmd_image_plan plan = {0};
    int32_t tokens[512], count = 0;
    uint64_t sampling_seed = seed;
    struct pixels *p = calloc(1, sizeof *p);
    p->of = &f->outcomes[id];
    if (with_image) {
        assert_int_equal(vlmd_image_plan(f->engine, IMAGE_SIDE, IMAGE_SIDE, 0, 0, &plan, &err), 0);
        p->rgb = malloc((size_t)plan.width * (size_t)plan.height * 3);
        memset(p->rgb, (int)seed, (size_t)plan.width * (size_t)plan.height * 3);
        for (int32_t i = 0; i < plan.tokens; i++)
            tokens[count++] = vlmd_engine_info(f->engine)->image_token;
    }
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        tokens[count++] = (int32_t)(seed >> 8) % 200;
    }
    const struct scheduler_image image = {p->rgb, plan.width, plan.height};
    struct scheduler_request request = {
        .id = id,
        .images_of = f->images_of,
        .tokens = tokens,
        .n_tokens = count,
        .images = &image,
        .n_images = with_image,
        .release = release,
        .owner = p,
        .sampling = vlmd_sampling_default(),
        .max_tokens = max_tokens,
    };
    request.sampling.seed = sampling_seed;
    return scheduler_submit(f->scheduler, &request, &f->outcomes[id].error);
}

static void run(struct fixture *f)
{
    for (int turns = 0; !scheduler_idle(f->scheduler); turns++) {
        assert_true(turns < 100000);
        scheduler_turn(f->scheduler);
    }
}

static void check_ended_once(const struct fixture *f, uint64_t id)
{
    const struct outcome *o = &f->outcomes[id];
    assert_int_equal(o->ended, 1);
    assert_int_equal(o->released, 1);
    assert_false(o->after_end);
}

static void company_changes_no_text(void **state)
{
    struct fixture *f = *state;
    const int n = 20; /* more than run at once */
    for (int i = 0; i < n; i++)
        assert_int_equal(submit(f, (uint64_t)i, 5 + i * 3, (uint32_t)i, i % 3 == 0, 20 + i), 0);
    run(f);
    for (int i = 0; i < n; i++) {
        check_ended_once(f, (uint64_t)i);
        assert_int_equal(f->outcomes[i].failed, 0);
        assert_int_equal(f->outcomes[i].started, 1);
        struct outcome in_company = f->outcomes[i];
        memset(&f->outcomes[i], 0, sizeof f->outcomes[i]);
        assert_int_equal(submit(f, (uint64_t)i, 5 + i * 3, (uint32_t)i, i % 3 == 0, 20 + i), 0);
        run(f);
        assert_int_equal(f->outcomes[i].len, in_company.len);
        assert_memory_equal(f->outcomes[i].text, in_company.text, in_company.len);
        assert_int_equal(f->outcomes[i].result.completion_tokens,
                         in_company.result.completion_tokens);
        assert_true(in_company.result.completion_tokens <= 20 + i);
    }
}

static void cancellation_reaches_every_phase(void **state)
{
    struct fixture *f = *state;
    /* waiting */
    assert_int_equal(submit(f, 0, 10, 1, false, 50), 0);
    scheduler_cancel(f->scheduler, 0);
    scheduler_cancel(f->scheduler, 63); /* unknown: nothing happens */
    run(f);
    check_ended_once(f, 0);
    assert_int_equal(f->outcomes[0].started, 0);
    assert_int_equal(f->outcomes[0].result.finish, SCHEDULER_CANCELLED);
    /* inside the vision tower */
    f->cancel_in_poll = 1;
    assert_int_equal(submit(f, 1, 10, 2, true, 50), 0);
    run(f);
    assert_true(f->polls > 0);
    check_ended_once(f, 1);
    assert_int_equal(f->outcomes[1].result.finish, SCHEDULER_CANCELLED);
    assert_int_equal(f->outcomes[1].result.completion_tokens, 0);
    /* inside prefill */
    f->cancel_in_poll = 2;
    assert_int_equal(submit(f, 2, 100, 3, false, 50), 0);
    run(f);
    check_ended_once(f, 2);
    assert_int_equal(f->outcomes[2].result.finish, SCHEDULER_CANCELLED);
    f->cancel_in_poll = UINT64_MAX;
    /* while decoding, and others go on */
    assert_int_equal(submit(f, 3, 10, 4, false, 200), 0);
    assert_int_equal(submit(f, 4, 10, 5, false, 30), 0);
    for (int i = 0; i < 6; i++)
        scheduler_turn(f->scheduler);
    scheduler_cancel(f->scheduler, 3);
    run(f);
    check_ended_once(f, 3);
    check_ended_once(f, 4);
    assert_true(f->outcomes[4].result.finish != SCHEDULER_CANCELLED);
}

static void refuses_what_can_never_run(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, 0, 1, false, 5), -1);
    assert_int_equal(f->outcomes[0].error.code, VLMD_INVALID);
    assert_int_equal(submit(f, 1, 128, 1, false, 5), -1);
    assert_int_equal(f->outcomes[1].error.code, VLMD_TOO_LARGE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f->outcomes[i].released, 1);
        assert_int_equal(f->outcomes[i].ended, 0);
    }
    assert_true(scheduler_idle(f->scheduler));
}

/* Answers that together outgrow the cache: all end, and whoever is ended for lack of room gets an
 * error that says so. */
static void full_cache_ends_nobody_silently(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 12; i++)
        assert_int_equal(submit(f, (uint64_t)i, 20, (uint32_t)i + 1, false, 0), 0);
    run(f);
    int failed = 0;
    for (int i = 0; i < 12; i++) {
        check_ended_once(f, (uint64_t)i);
        failed += f->outcomes[i].failed;
        if (f->outcomes[i].failed)
            assert_int_equal(f->outcomes[i].error.code, VLMD_NO_MEMORY);
    }
    assert_true(failed < 12);
    /* and the cache is whole again */
    memset(f->outcomes, 0, sizeof f->outcomes);
    assert_int_equal(submit(f, 0, 120, 1, false, 0), 0);
    run(f);
    check_ended_once(f, 0);
    assert_int_equal(f->outcomes[0].failed, 0);
}

static void close_gives_pixels_back(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(submit(f, (uint64_t)i, 10, 1, true, 100), 0);
    for (int i = 0; i < 3; i++)
        scheduler_turn(f->scheduler);
    scheduler_close(f->scheduler);
    f->scheduler = NULL;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(f->outcomes[i].released, 1);
        assert_int_equal(f->outcomes[i].ended, 0);
    }
}

/* One request with an image, alone; returns what became of it. */
static struct outcome look(struct fixture *f, uint32_t seed, uint64_t images_of)
{
    memset(&f->outcomes[0], 0, sizeof f->outcomes[0]);
    f->images_of = images_of;
    assert_int_equal(submit(f, 0, 20, seed, true, 40), 0);
    run(f);
    check_ended_once(f, 0);
    assert_int_equal(f->outcomes[0].failed, 0);
    assert_int_equal(f->outcomes[0].seen, 1);
    return f->outcomes[0];
}

static void kept_images_change_no_text(void **state)
{
    struct fixture *f = *state;
    struct outcome first = look(f, 7, 0), again = look(f, 7, 0);
    assert_int_equal(first.cached, 0);
    assert_int_equal(again.cached, 1);
    assert_true(first.len > 0);
    assert_int_equal(again.len, first.len);
    assert_memory_equal(again.text, first.text, first.len);
    assert_int_equal(look(f, 8, 0).cached, 0); /* other pixels */
    assert_int_equal(look(f, 7, 1).cached, 0); /* somebody else's */
    assert_int_equal(look(f, 7, 1).cached, 1);
    assert_int_equal(f->cache.hits, 2);
    assert_int_equal(f->cache.misses, 3);
    assert_int_equal(f->cache.images, 3);
}

static void nothing_is_kept_where_that_is_off(void **state)
{
    struct fixture *f = *state;
    struct outcome first = look(f, 7, 0), again = look(f, 7, 0);
    assert_int_equal(again.cached, 0);
    assert_memory_equal(again.text, first.text, first.len);
    assert_int_equal(f->cache.bytes + f->cache.images + f->cache.hits + f->cache.misses, 0);
}

/* An image that its request still holds may leave the cache meanwhile. */
static void two_at_once_share_an_image(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(submit(f, i, 20, i == 2 ? 5 : 6, true, 30), 0);
    run(f);
    assert_int_equal(f->outcomes[0].cached, 0);
    assert_int_equal(f->outcomes[1].cached, 1);
    assert_int_equal(f->outcomes[2].cached, 0);
    assert_memory_equal(f->outcomes[0].text, f->outcomes[1].text, f->outcomes[0].len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(company_changes_no_text, setup_roomy, teardown),
        cmocka_unit_test_setup_teardown(cancellation_reaches_every_phase, setup_roomy, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_can_never_run, setup_tight, teardown),
        cmocka_unit_test_setup_teardown(full_cache_ends_nobody_silently, setup_tight, teardown),
        cmocka_unit_test_setup_teardown(kept_images_change_no_text, setup_keeping, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_kept_where_that_is_off, setup_roomy, teardown),
        cmocka_unit_test_setup_teardown(two_at_once_share_an_image, setup_keeping, teardown),
        cmocka_unit_test_setup_teardown(close_gives_pixels_back, setup_roomy, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
