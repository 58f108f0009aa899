/* Prompt texts against jinja2 set up as transformers does: every case of the files that
 * tools/fixtures/prompts.py made.
 *
 *     test_prompts                 all of tests/parity/prompts, as a unit test
 *     test_prompts FILE...         these, with a line for every difference */
#include "unit.h"

#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "chat/template.h"

#define FILES "tests/parity/prompts/*.json"

struct tally {
    size_t cases, errors, differences;
};

/* Message bytes must stay untrusted, and the segments must be the text. */
static bool segments_are_sound(const struct chat_output *out)
{
    size_t at = 0;
    for (size_t i = 0; i < out->n_segments; i++) {
        const struct chat_segment *segment = &out->segments[i];
        if (segment->text != out->text + at || segment->len == 0)
            return false;
        if (i > 0 && segment->trusted == out->segments[i - 1].trusted)
            return false;
        at += segment->len;
    }
    return at == out->len && strlen(out->text) <= out->len;
}

static bool is_expected(const json_t *item, const struct chat_output *out)
{
    const json_t *wanted = json_object_get(item, "expected");
    return wanted && json_string_length(wanted) == out->len &&
           memcmp(json_string_value(wanted), out->text, out->len) == 0 && segments_are_sound(out);
}

static void report(const char *file, size_t number, const json_t *item, const char *got)
{
    const char *wanted = json_string_value(json_object_get(item, "expected"));
    const char *source = json_string_value(json_object_get(item, "template"));
    const char *error = json_string_value(json_object_get(item, "error"));
    fprintf(stderr, "%s, case %zu%s%s\n  wanted: %s\n  got:    %s\n", file, number,
            source ? ": " : "", source ? source : "", wanted ? wanted : error, got);
}

static bool run_case(const char *file, const json_t *all, const json_t *item, size_t number)
{
    const json_t *own = json_object_get(item, "template");
    const json_t *source = own ? own : json_object_get(all, "template");
    const json_t *extra = json_object_get(item, "extra");
    const struct chat_context context = {
        .messages = json_object_get(item, "messages"),
        .tools = json_object_get(item, "tools"),
        .extra = json_is_string(extra) ? json_object_get(all, json_string_value(extra)) : extra,
        .add_generation_prompt = json_is_true(json_object_get(item, "add_generation_prompt")),
        .bos_token = json_string_value(json_object_get(item, "bos_token")),
        .eos_token = json_string_value(json_object_get(item, "eos_token")),
        .now = 1769862896, /* 2026-01-31 12:34:56 UTC */
    };
    struct vlmd_error err = {0};
    struct chat_output out = {0};
    chat_template *tmpl =
        chat_template_open(json_string_value(source), json_string_length(source), &err);
    bool rendered = tmpl && chat_template_render(tmpl, &context, &out, &err) == 0;
    bool good = rendered ? is_expected(item, &out) : json_object_get(item, "error") && err.text[0];
    if (!good)
        report(file, number, item, rendered ? out.text : err.text);
    chat_output_free(&out);
    chat_template_close(tmpl);
    return good;
}

static void run_file(const char *file, struct tally *tally)
{
    struct vlmd_error err = {0};
    json_t *all = json_parse_file(file, 64 << 20, &err);
    if (!all) {
        fprintf(stderr, "%s\n", err.text);
        tally->differences++;
        return;
    }
    const json_t *cases = json_object_get(all, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i);
        tally->cases++;
        tally->errors += json_object_get(item, "error") != NULL;
        tally->differences += !run_case(file, all, item, i);
    }
    json_decref(all);
}

static void prompts_equal_those_of_jinja2(void **state)
{
    (void)state;
    struct tally tally = {0};
    glob_t files;
    assert_int_equal(glob(FILES, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        run_file(files.gl_pathv[i], &tally);
    globfree(&files);
    assert_int_equal(tally.differences, 0);
    assert_true(tally.cases >= 300);
}

int main(int argc, char **argv)
{
    setenv("TZ", "UTC", 1);
    if (argc > 1) {
        struct tally tally = {0};
        for (int i = 1; i < argc; i++)
            run_file(argv[i], &tally);
        printf("%zu cases (%zu of them errors), %zu differences\n", tally.cases, tally.errors,
               tally.differences);
        return tally.differences != 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(prompts_equal_those_of_jinja2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
