/* Sessions and steps on a tiny checkpoint: what one request gets does not depend on chunks or
 * company; errors leave sessions as they were; blocks come back. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "vlmd.h"

#define CHECKPOINT "tests/parity/checkpoints/vl-mlx"
#define LENGTH     70

struct fixture {
    vlmd_engine *engine;
    int32_t vocab;
};

static int setup(void **state)
{
    static struct fixture f;
    const struct vlmd_engine_options options = {
        .threads = 2, .kv_tokens = 256, .batch_tokens = 160};
    struct vlmd_error err;
    f.engine = vlmd_engine_open(CHECKPOINT, &options, &err);
    if (!f.engine) {
        print_error("%s\n", err.text);
        return -1;
    }
    f.vocab = vlmd_engine_info(f.engine)->vocab_size;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    vlmd_engine_close(((struct fixture *)*state)->engine);
    return 0;
}

/* Token i of timeline `seed`: any ids but the image placeholder. */
static void fill(const struct fixture *f, int32_t *tokens, int32_t n, uint32_t seed)
{
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        tokens[i] = (int32_t)(seed >> 8) % 200;
        if (tokens[i] == vlmd_engine_info(f->engine)->image_token)
            tokens[i] = 1;
    }
}

static vlmd_session *open_session(const struct fixture *f, uint32_t seed, int32_t n)
{
    struct vlmd_error err;
    int32_t tokens[LENGTH];
    fill(f, tokens, n, seed);
    vlmd_session *s = vlmd_session_open(f->engine, &err);
    assert_non_null(s);
    assert_int_equal(vlmd_session_append(s, tokens, n, NULL, 0, &err), 0);
    return s;
}

/* Logits of the last token of timeline 1, run whole and alone. */
static float *reference(const struct fixture *f)
{
    struct vlmd_error err;
    float *logits = malloc((size_t)f->vocab * sizeof *logits);
    vlmd_session *s = open_session(f, 1, LENGTH);
    struct vlmd_step_item item = {s, LENGTH, logits, NULL};
    assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
    assert_int_equal(vlmd_session_pending(s), 0);
    vlmd_session_close(s);
    return logits;
}

static void chunks_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    size_t bytes = (size_t)f->vocab * sizeof(float);
    float *want = reference(f), *got = malloc(bytes);
    for (int32_t chunk = 1; chunk < LENGTH; chunk += 7) {
        vlmd_session *s = open_session(f, 1, LENGTH);
        while (vlmd_session_pending(s) > 0) {
            int32_t n = vlmd_session_pending(s) < chunk ? vlmd_session_pending(s) : chunk;
            struct vlmd_step_item item = {s, n, got, NULL};
            assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
        }
        assert_memory_equal(got, want, bytes);
        vlmd_session_close(s);
    }
    free(got);
    free(want);
}

static void company_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    size_t bytes = (size_t)f->vocab * sizeof(float);
    float *want = reference(f), *got = malloc(bytes), *other = malloc(bytes);
    vlmd_session *a = open_session(f, 2, 33), *s = open_session(f, 1, LENGTH),
                 *b = open_session(f, 3, 50);
    struct vlmd_step_item first[] = {{a, 20, other, NULL}, {s, 37, NULL, NULL}, {b, 1, NULL, NULL}};
    struct vlmd_step_item second[] = {
        {b, 30, NULL, NULL}, {a, 13, other, NULL}, {s, 33, got, NULL}};
    assert_int_equal(vlmd_step(f->engine, first, 3, NULL, NULL, &err), 0);
    assert_int_equal(vlmd_step(f->engine, second, 3, NULL, NULL, &err), 0);
    assert_memory_equal(got, want, bytes);
    vlmd_session_close(a);
    vlmd_session_close(b);
    vlmd_session_close(s);
    free(other);
    free(got);
    free(want);
}

static void all_logits_end_in_the_last(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    size_t row = (size_t)f->vocab;
    float *all = malloc(LENGTH * row * sizeof *all), *last = malloc(row * sizeof *last);
    vlmd_session *s = open_session(f, 1, LENGTH);
    struct vlmd_step_item item = {s, LENGTH, last, all};
    assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
    float *want = reference(f);
    assert_memory_equal(last, want, row * sizeof *last);
    assert_memory_equal(all + (LENGTH - 1) * row, want, row * sizeof *last);
    vlmd_session_close(s);
    free(want);
    free(all);
    free(last);
}

static bool stop_at_once(void *context)
{
    ++*(int *)context;
    return true;
}

static void cancelled_step_moves_nobody(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    size_t bytes = (size_t)f->vocab * sizeof(float);
    int asked = 0;
    float *got = malloc(bytes), *want = reference(f);
    vlmd_session *s = open_session(f, 1, LENGTH);
    struct vlmd_step_item item = {s, LENGTH, got, NULL};
    assert_int_equal(vlmd_step(f->engine, &item, 1, stop_at_once, &asked, &err), -1);
    assert_int_equal(err.code, VLMD_CANCELLED);
    assert_int_equal(asked, 1);
    assert_int_equal(vlmd_session_pending(s), LENGTH);
    assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
    assert_memory_equal(got, want, bytes);
    vlmd_session_close(s);
    free(got);
    free(want);
}

static void kv_runs_out_and_comes_back(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    for (int round = 0; round < 3; round++) {
        vlmd_session *a = open_session(f, 1, LENGTH), *b = open_session(f, 2, LENGTH);
        assert_int_equal(vlmd_session_reserve(a, 200, &err), 0);
        assert_int_equal(vlmd_session_reserve(b, 100, &err), -1);
        assert_int_equal(err.code, VLMD_NO_MEMORY);
        assert_int_equal(vlmd_session_reserve(b, 257, &err), -1);
        assert_int_equal(err.code, VLMD_TOO_LARGE);
        struct vlmd_step_item item = {b, LENGTH, NULL, NULL};
        assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), -1);
        assert_int_equal(err.code, VLMD_NO_MEMORY);
        assert_int_equal(vlmd_session_pending(b), LENGTH);
        vlmd_session_close(a);
        assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
        vlmd_session_close(b);
    }
}

static void refuses_bad_steps_and_tokens(void **state)
{
    struct fixture *f = *state;
    struct vlmd_error err;
    vlmd_session *s = open_session(f, 1, 10), *t = open_session(f, 2, LENGTH);
    struct vlmd_step_item too_many = {s, 11, NULL, NULL}, none = {s, 0, NULL, NULL};
    struct vlmd_step_item twice[] = {{s, 1, NULL, NULL}, {s, 1, NULL, NULL}};
    assert_int_equal(vlmd_step(f->engine, &too_many, 1, NULL, NULL, &err), -1);
    assert_int_equal(vlmd_step(f->engine, &none, 1, NULL, NULL, &err), -1);
    assert_int_equal(vlmd_step(f->engine, twice, 2, NULL, NULL, &err), -1);
    assert_int_equal(vlmd_step(f->engine, NULL, 0, NULL, NULL, &err), -1);
    const int32_t outside[] = {-1, f->vocab};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vlmd_session_append(s, &outside[i], 1, NULL, 0, &err), -1);
        assert_int_equal(err.code, VLMD_INVALID);
    }
    const int32_t placeholder = vlmd_engine_info(f->engine)->image_token;
    assert_int_equal(vlmd_session_append(s, &placeholder, 1, NULL, 0, &err), -1);
    assert_string_equal(err.field, "images");
    assert_int_equal(vlmd_session_length(s), 10);
    vlmd_session_close(s);
    vlmd_session_close(t);
}

static void image_is_cut_anywhere(void **state)
{
    struct fixture *f = *state;
    const struct vlmd_engine_info *info = vlmd_engine_info(f->engine);
    struct vlmd_error err;
    struct vlmd_image_plan plan;
    size_t bytes = (size_t)f->vocab * sizeof(float);
    assert_int_equal(vlmd_image_plan(f->engine, 120, 60, 0, 0, &plan, &err), 0);
    uint8_t *rgb = malloc((size_t)plan.width * (size_t)plan.height * 3);
    for (int32_t i = 0; i < plan.width * plan.height * 3; i++)
        rgb[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    vlmd_image *image =
        vlmd_image_encode(f->engine, rgb, plan.width, plan.height, NULL, NULL, &err);
    assert_non_null(image);
    assert_int_equal(vlmd_image_tokens(image), plan.tokens);
    int32_t n = plan.tokens + 4;
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    for (int32_t i = 0; i < n; i++)
        tokens[i] = i < 2 || i >= n - 2 ? 5 : info->image_token;
    float *want = NULL;
    for (int32_t chunk = n; chunk > 0; chunk /= 2) {
        float *got = malloc(bytes);
        vlmd_session *s = vlmd_session_open(f->engine, &err);
        assert_int_equal(vlmd_session_append(s, tokens, n, &image, 1, &err), 0);
        while (vlmd_session_pending(s) > 0) {
            int32_t take = vlmd_session_pending(s) < chunk ? vlmd_session_pending(s) : chunk;
            struct vlmd_step_item item = {s, take, got, NULL};
            assert_int_equal(vlmd_step(f->engine, &item, 1, NULL, NULL, &err), 0);
        }
        vlmd_session_close(s);
        if (want)
            assert_memory_equal(got, want, bytes);
        free(want);
        want = got;
    }
    int asked = 0;
    assert_null(
        vlmd_image_encode(f->engine, rgb, plan.width, plan.height, stop_at_once, &asked, &err));
    assert_int_equal(err.code, VLMD_CANCELLED);
    assert_null(vlmd_image_encode(f->engine, rgb, plan.width - 1, plan.height, NULL, NULL, &err));
    assert_int_equal(err.code, VLMD_INVALID);
    free(want);
    free(tokens);
    free(rgb);
    vlmd_image_free(image);
}

static void refuses_bad_options_and_folders(void **state)
{
    (void)state;
    struct vlmd_error err;
    const struct vlmd_engine_options bad[] = {
        {.threads = -1}, {.kv_tokens = -1}, {.batch_tokens = 1 << 30}, {.isa = "mmx"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(vlmd_engine_open(CHECKPOINT, &bad[i], &err));
        assert_true(err.code == VLMD_INVALID || err.code == VLMD_UNSUPPORTED);
    }
    assert_null(vlmd_engine_open("tests/parity", NULL, &err));
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    assert_non_null(strstr(err.text, "config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_change_nothing),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(all_logits_end_in_the_last),
        cmocka_unit_test(cancelled_step_moves_nobody),
        cmocka_unit_test(kv_runs_out_and_comes_back),
        cmocka_unit_test(refuses_bad_steps_and_tokens),
        cmocka_unit_test(image_is_cut_anywhere),
        cmocka_unit_test(refuses_bad_options_and_folders),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
