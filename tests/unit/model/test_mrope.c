/* M-RoPE positions against transformers' (tests/parity/engine/positions.json, made by
 * tools/fixtures/engine_positions.py), what is refused, and which position turns which frequency.
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/mrope.h"

#define FIXTURE    "tests/parity/engine/positions.json"
#define MAX_TOKENS 4096
#define MAX_GRIDS  16

struct turn {
    int32_t tokens[MAX_TOKENS];
    int32_t n_tokens;
    struct image_grid grids[MAX_GRIDS];
    int32_t n_grids;
};

static int32_t integer(const json_t *value)
{
    assert_true(json_is_integer(value));
    return (int32_t)json_integer_value(value);
}

static void lay_out(struct turn *turn, const json_t *parts, int32_t image_token)
{
    size_t i;
    json_t *part;

    memset(turn, 0, sizeof(*turn));
    json_array_foreach (parts, i, part) {
        bool image = json_is_array(part);
        int32_t count = image ? 0 : integer(part);
        if (image) {
            struct image_grid grid = {integer(json_array_get(part, 0)),
                                      integer(json_array_get(part, 1))};
            assert_true(turn->n_grids < MAX_GRIDS);
            turn->grids[turn->n_grids++] = grid;
            count = grid.rows * grid.cols;
        }
        assert_true(turn->n_tokens + count <= MAX_TOKENS);
        for (int32_t k = 0; k < count; k++)
            turn->tokens[turn->n_tokens++] = image ? image_token : 1;
    }
}

static void check_case(const json_t *fixture, int32_t image_token)
{
    static struct turn turn;
    static int32_t out[MAX_TOKENS][3];
    const char *name = json_string_value(json_object_get(fixture, "name"));
    const json_t *expected = json_object_get(fixture, "positions");
    int32_t done = 0, next = 0;
    size_t i;
    json_t *parts;

    json_array_foreach (json_object_get(fixture, "turns"), i, parts) {
        struct vlmd_error err;
        lay_out(&turn, parts, image_token);
        if (mrope_positions(turn.tokens, turn.n_tokens, image_token, turn.grids, turn.n_grids, next,
                            out, &next, &err) != 0)
            fail_msg("%s: %s", name, err.text);
        for (int32_t k = 0; k < turn.n_tokens; k++)
            for (size_t axis = 0; axis < 3; axis++) {
                const json_t *row = json_array_get(expected, axis);
                int32_t want = integer(json_array_get(row, (size_t)(done + k)));
                if (out[k][axis] != want)
                    fail_msg("%s: token %d axis %zu is %d, not %d", name, (int)(done + k), axis,
                             (int)out[k][axis], (int)want);
            }
        done += turn.n_tokens;
    }
    assert_int_equal(done, json_array_size(json_array_get(expected, 0)));
    assert_int_equal(next, integer(json_object_get(fixture, "next")));
}

static void positions_equal_the_reference(void **state)
{
    struct vlmd_error err;
    json_t *root, *cases, *fixture;
    int32_t image_token;
    size_t i;

    (void)state;
    root = json_parse_file(FIXTURE, 4 << 20, &err);
    if (root == NULL)
        fail_msg("%s", err.text);
    image_token = integer(json_object_get(root, "image_token"));
    cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) >= 30);
    json_array_foreach (cases, i, fixture)
        check_case(fixture, image_token);
    json_decref(root);
}

static void refuses_what_does_not_match(void **state)
{
    const int32_t tokens[] = {1, 9, 9, 9, 9, 1};
    const struct image_grid four = {2, 2}, six = {2, 3}, empty = {0, 4};
    const struct image_grid two[] = {{2, 2}, {1, 1}}, huge[] = {{65536, 65536}};
    int32_t out[6][3], next;
    struct vlmd_error err;

    (void)state;
    assert_int_equal(mrope_positions(tokens, 6, 9, &four, 1, 0, out, &next, &err), 0);
    assert_int_equal(next, 4);
    assert_int_equal(mrope_positions(tokens, 6, 9, NULL, 0, 0, out, &next, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_int_equal(mrope_positions(tokens, 6, 9, &six, 1, 0, out, &next, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_int_equal(mrope_positions(tokens, 6, 9, &empty, 1, 0, out, &next, &err), -1);
    assert_int_equal(mrope_positions(tokens, 6, 9, two, 2, 0, out, &next, &err), -1);
    assert_int_equal(mrope_positions(tokens, 6, 9, huge, 1, 0, out, &next, &err), -1);
}

static void angles_follow_the_sections(void **state)
{
    const int32_t positions[2][3] = {{3, 50, 700}, {0, 0, 0}};
    const int32_t sections[3] = {1, 2, 1};
    const int32_t axis_of[4] = {0, 1, 1, 2};
    float inv_freq[4], cos_out[8], sin_out[8];

    (void)state;
    rope_frequencies(inv_freq, 8, 10000.0);
    for (int j = 0; j < 4; j++)
        assert_float_equal(inv_freq[j], pow(10000.0, -2.0 * j / 8.0), 1e-7);
    mrope_angles(positions, 2, sections, inv_freq, cos_out, sin_out);
    for (int j = 0; j < 4; j++) {
        double angle = positions[0][axis_of[j]] * (double)inv_freq[j];
        assert_float_equal(cos_out[j], cos(angle), 1e-4);
        assert_float_equal(sin_out[j], sin(angle), 1e-4);
        assert_float_equal(cos_out[4 + j], 1.0, 0.0);
        assert_float_equal(sin_out[4 + j], 0.0, 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_equal_the_reference),
        cmocka_unit_test(refuses_what_does_not_match),
        cmocka_unit_test(angles_follow_the_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
