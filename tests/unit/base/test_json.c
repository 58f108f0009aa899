#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static json_t *parse(const char *text)
{
    struct vlmd_error err = {0};
    json_t *value = json_parse(text, strlen(text), "body", &err);
    if (!value)
        fail_msg("%s: %s", text, err.text);
    return value;
}

static void test_strictness(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "{\"a\":1} x",
        "{\"a\":1,\"a\":2}",
        "[1,]",
        "{'a':1}",
        "NaN",
        "[1e999]",
        "[01]",
        "\"\\ud800\"",
        "\"\xC3\x28\"",
        "\"a\nb\"",
        "[99999999999999999999]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct vlmd_error err = {0};
        json_t *value = json_parse(wrong[i], strlen(wrong[i]), "body", &err);
        if (value)
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(err.code, VLMD_FORMAT);
        assert_string_equal(err.field, "body");
    }
    char deep[20001];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    struct vlmd_error err = {0};
    assert_null(json_parse(deep, 20000, "body", &err));
    json_decref(parse("\"only a string\""));
}

static void test_getters_take_what_they_ask_for(void **state)
{
    (void)state;
    json_t *o = parse("{\"i\":-5,\"d\":2.5,\"b\":true,\"s\":\"x\",\"o\":{},\"a\":[1],\"n\":null}");
    int64_t i = 0;
    int32_t small = 0;
    double d = 0;
    float f = 0;
    bool b = false;
    const char *s = NULL;
    json_t *part = NULL;
    assert_int_equal(json_get_int(o, "i", -5, 5, &i, NULL), 1);
    assert_int_equal(i, -5);
    assert_int_equal(json_get_int32(o, "i", -5, 5, &small, NULL), 1);
    assert_int_equal(small, -5);
    assert_int_equal(json_get_double(o, "d", &d, NULL), 1);
    assert_true(d == 2.5);
    assert_int_equal(json_get_float(o, "i", &f, NULL), 1);
    assert_true(f == -5.0f);
    assert_int_equal(json_get_bool(o, "b", &b, NULL), 1);
    assert_true(b);
    assert_int_equal(json_get_string(o, "s", &s, NULL), 1);
    assert_string_equal(s, "x");
    assert_int_equal(json_get_object(o, "o", &part, NULL), 1);
    assert_true(json_is_object(part));
    assert_int_equal(json_get_array(o, "a", &part, NULL), 1);
    assert_int_equal(json_array_size(part), 1);
    json_decref(o);
}

static void test_absent_and_null_change_nothing(void **state)
{
    (void)state;
    json_t *o = parse("{\"n\":null}");
    const char *const keys[] = {"n", "absent"};
    for (int k = 0; k < 2; k++) {
        int64_t i = 42;
        bool b = true;
        const char *s = "kept";
        json_t *part = o;
        assert_int_equal(json_get_int(o, keys[k], 0, 1, &i, NULL), 0);
        assert_int_equal(json_get_bool(o, keys[k], &b, NULL), 0);
        assert_int_equal(json_get_string(o, keys[k], &s, NULL), 0);
        assert_int_equal(json_get_array(o, keys[k], &part, NULL), 0);
        assert_true(i == 42 && b && strcmp(s, "kept") == 0 && part == o);
    }
    struct vlmd_error err = {0};
    assert_int_equal(json_require(0, "model", &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, "model");
    assert_int_equal(json_require(1, "model", NULL), 1);
    assert_int_equal(json_require(-1, "model", NULL), -1);
    json_decref(o);
}

static void assert_wrong(int got, const struct vlmd_error *err, const char *key)
{
    assert_int_equal(got, -1);
    assert_int_equal(err->code, VLMD_INVALID);
    assert_string_equal(err->field, key);
    assert_non_null(strstr(err->text, key));
}

static void test_wrong_types_and_ranges_name_the_key(void **state)
{
    (void)state;
    json_t *o = parse("{\"i\":5,\"d\":1.0,\"s\":\"5\",\"huge\":1e300,\"big\":5000000000}");
    struct vlmd_error err;
    int64_t i = 42;
    int32_t small = 42;
    float f = 42;
    bool b;
    const char *s;
    json_t *part;
    assert_wrong(json_get_int(o, "i", 6, 9, &i, &err), &err, "i");
    assert_wrong(json_get_int(o, "i", 0, 4, &i, &err), &err, "i");
    assert_wrong(json_get_int(o, "d", 0, 9, &i, &err), &err, "d");
    assert_wrong(json_get_int(o, "s", 0, 9, &i, &err), &err, "s");
    assert_wrong(json_get_int32(o, "big", INT32_MIN, INT32_MAX, &small, &err), &err, "big");
    assert_wrong(json_get_float(o, "s", &f, &err), &err, "s");
    assert_wrong(json_get_float(o, "huge", &f, &err), &err, "huge"); /* no float is that large */
    assert_wrong(json_get_bool(o, "i", &b, &err), &err, "i");
    assert_wrong(json_get_string(o, "i", &s, &err), &err, "i");
    assert_wrong(json_get_object(o, "i", &part, &err), &err, "i");
    assert_wrong(json_get_array(o, "s", &part, &err), &err, "s");
    assert_true(i == 42 && small == 42 && f == 42);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strictness),
        cmocka_unit_test(test_getters_take_what_they_ask_for),
        cmocka_unit_test(test_absent_and_null_change_nothing),
        cmocka_unit_test(test_wrong_types_and_ranges_name_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
