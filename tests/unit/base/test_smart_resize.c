/* smart_resize against transformers' (tests/parity/pixels/smart_resize.csv, made by
 * tools/fixtures/pixels.py), and what it refuses. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/smart_resize.h"

static void test_reference(void **state)
{
    (void)state;
    FILE *file = fopen("tests/parity/pixels/smart_resize.csv", "r");
    assert_non_null(file);
    char line[160];
    int cases = 0, refused = 0;
    assert_non_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file)) {
        int height, width, want_height, want_width;
        long long least, most;
        assert_int_equal(sscanf(line, "%d,%d,%lld,%lld,%d,%d", &height, &width, &least, &most,
                                &want_height, &want_width),
                         6);
        struct vlmd_error err = {0};
        int32_t got_height = 0, got_width = 0;
        int result = smart_resize(height, width, 28, least, most, &got_height, &got_width, &err);
        /* A side of 0, which the reference returns without saying so, is refused here. */
        assert_int_equal(result, want_height && want_width ? 0 : -1);
        if (result == 0 && (got_height != want_height || got_width != want_width))
            fail_msg("%d x %d becomes %d x %d instead of %d x %d", height, width, got_height,
                     got_width, want_height, want_width);
        refused += result < 0;
        cases++;
    }
    fclose(file);
    assert_true(cases > 700 && refused > 50 && refused < cases / 2);
}

static void assert_refused(int32_t height, int32_t width, int32_t factor, int64_t least,
                           int64_t most, const char *says)
{
    struct vlmd_error err = {0};
    int32_t h, w;
    assert_int_equal(smart_resize(height, width, factor, least, most, &h, &w, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused(1, 201, 28, 3136, 1003520, "too narrow");
    assert_refused(20100000, 100000, 28, 3136, 1003520, "too narrow");
    assert_refused(INT32_MAX, 1, 28, 3136, 1003520, "too narrow");
    assert_refused(0, 5, 28, 3136, 1003520, "no area");
    assert_refused(5, -1, 28, 3136, 1003520, "no area");
    assert_refused(50, 50, 0, 3136, 1003520, "make no sense");
    assert_refused(50, 50, 28, 200, 100, "make no sense");
    assert_refused(50, 50, 28, -1, 100, "make no sense");
    assert_refused(50, 50, 28, 0, 0, "make no sense");
    assert_refused(3, 3, 28, 0, 1003520, "vanishes");
    assert_refused(50, 50, 28, INT64_MAX, INT64_MAX, "too large");
}

static void test_extremes_stay_in_range(void **state)
{
    (void)state;
    int32_t h, w;
    assert_int_equal(smart_resize(INT32_MAX, INT32_MAX, 28, 3136, 1003520, &h, &w, NULL), 0);
    assert_int_equal(h, 980);
    assert_int_equal(w, 980);
    assert_int_equal(smart_resize(1, 200, 28, 3136, 1003520, &h, &w, NULL), 0);
    assert_int_equal(h, 28);
    assert_int_equal(w, 812);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_extremes_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
