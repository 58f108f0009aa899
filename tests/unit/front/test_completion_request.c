/* Bodies of text completions into values; the table of refusals is tests/e2e/test_completions.py.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "front/completion_request.h"

static struct completion_request parse(const char *body)
{
    struct completion_request q;
    struct vlmd_error err;
    if (completion_request_parse(body, strlen(body), &q, &err) < 0)
        fail_msg("%s: %s: %s", body, err.field, err.text);
    return q;
}

static void refuse(const char *body, enum vlmd_code code, const char *field)
{
    struct completion_request q;
    struct vlmd_error err;
    if (completion_request_parse(body, strlen(body), &q, &err) == 0)
        fail_msg("accepted: %s", body);
    if (err.code != code || strcmp(err.field, field) != 0)
        fail_msg("%s: %s in %s (%s)", body, err_code_name(err.code), err.field, err.text);
    completion_request_free(&q);
}

static void test_defaults(void **state)
{
    (void)state;
    struct completion_request q = parse("{\"model\":\"m\",\"prompt\":\"a\\u0000\\\"\xC3\xBC\"}");
    assert_string_equal(q.params.model, "m");
    assert_int_equal(q.n_prompts, 1);
    assert_string_equal(q.prompts[0], "\"a\\u0000\\\"\xC3\xBC\"");
    assert_int_equal(q.params.max_tokens, 16);
    assert_int_equal(q.n, 1);
    assert_true(!q.several && !q.echo && !q.params.stream);
    completion_request_free(&q);
}

static void test_forms_of_prompts(void **state)
{
    (void)state;
    struct completion_request q = parse("{\"model\":\"m\",\"prompt\":[1, 2,2147483647]}");
    assert_int_equal(q.n_prompts, 1);
    assert_string_equal(q.prompts[0], "[1,2,2147483647]");
    assert_false(q.several);
    completion_request_free(&q);
    q = parse("{\"model\":\"m\",\"prompt\":[\"a\",[0]],\"n\":64,\"best_of\":64,\"echo\":true}");
    assert_int_equal(q.n_prompts, 2);
    assert_string_equal(q.prompts[0], "\"a\"");
    assert_string_equal(q.prompts[1], "[0]");
    assert_true(q.several && q.echo);
    assert_int_equal(q.n, 64);
    completion_request_free(&q);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("{\"model\":\"m\"}", VLMD_INVALID, "prompt");
    refuse("{\"prompt\":\"a\"}", VLMD_INVALID, "model");
    refuse("{\"model\":\"m\",\"prompt\":[2147483648]}", VLMD_INVALID, "prompt");
    refuse("{\"model\":\"m\",\"prompt\":[[1],[true]]}", VLMD_INVALID, "prompt[1]");
    refuse("{\"model\":\"m\",\"prompt\":[[1],{}]}", VLMD_INVALID, "prompt[1]");
    refuse("{\"model\":\"m\",\"prompt\":[\"a\",\"b\",\"c\"],\"n\":43}", VLMD_TOO_LARGE, "n");
    refuse("{\"model\":\"m\",\"prompt\":\"a\",\"suffix\":\"b\"}", VLMD_UNSUPPORTED, "suffix");
    refuse("[]", VLMD_INVALID, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_forms_of_prompts),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
