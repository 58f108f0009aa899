/* The template interpreter: where bytes come from, what it refuses, and its bounds. That it renders
 * what jinja2 renders is test_prompts.c's matter. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "chat/template.h"

static const char chatml[] = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
                             "{% if m.content is string %}{{ m.content }}{% else %}"
                             "{% for p in m.content %}{% if p.type == 'image' %}<|image_pad|>"
                             "{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
                             "{% endfor %}";

/* Renders `source` over messages given as JSON; the text with untrusted runs in [brackets], or the
 * error. The caller frees it. */
static char *marked(const char *source, const char *messages_json)
{
    struct vlmd_error err = {0};
    struct chat_output out = {0};
    struct buf text = {0};
    json_t *messages = json_loads(messages_json, 0, NULL);
    const struct chat_context context = {
        .messages = messages, .bos_token = "<s>", .eos_token = "</s>", .now = 1};
    chat_template *tmpl = chat_template_open(source, strlen(source), &err);
    if (!tmpl || chat_template_render(tmpl, &context, &out, &err) < 0)
        buf_append_text(&text, err.text);
    for (size_t i = 0; i < out.n_segments; i++)
        buf_appendf(&text, out.segments[i].trusted ? "%.*s" : "[%.*s]", (int)out.segments[i].len,
                    out.segments[i].text);
    chat_output_free(&out);
    chat_template_close(tmpl);
    json_decref(messages);
    if (!text.data)
        buf_append_text(&text, "");
    return text.data;
}

static void expect(const char *source, const char *messages, const char *wanted)
{
    char *got = marked(source, messages);
    assert_string_equal(got, wanted);
    free(got);
}

static void special_tokens_in_messages_stay_plain(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<|im_start|>",     "<|im_end|>",    "<|image_pad|>",
                                         "<|vision_start|>", "<|endoftext|>", "</s>"};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char messages[512], wanted[512];
        const char *t = tokens[i];
        snprintf(messages, sizeof messages,
                 "[{\"role\": \"%s\", \"content\": \"a%sb\"}, {\"role\": \"user\", \"content\":"
                 " [{\"type\": \"text\", \"text\": \"%s\"}, {\"type\": \"image\"},"
                 " {\"type\": \"text\", \"text\": \"x%s\"}]}]",
                 t, t, t, t);
        snprintf(wanted, sizeof wanted,
                 "<|im_start|>[%s]\n[a%sb]<|im_end|>\n"
                 "<|im_start|>[user]\n[%s]<|image_pad|>[x%s]<|im_end|>\n",
                 t, t, t, t);
        expect(chatml, messages, wanted);
    }
}

static void provenance_survives_every_operation(void **state)
{
    (void)state;
    static const struct {
        const char *source, *wanted;
    } cases[] = {
        {"{{ 'a' + m + 'b' }}", "a[ <|x|> ]b"},
        {"{{ 'a' ~ m ~ 1 }}", "a[ <|x|> ]1"},
        {"{{ m.strip() }}{{ m | trim }}", "[<|x|><|x|>]"},
        {"{{ ('A' + m)[:4] }}", "A[ <|]"},
        {"{{ ('A' + m)[::-1] }}", "[ >|x|< ]A"},
        {"{{ (m + '|B').split('|') | join('+') }}", "[ <]+[x]+[> ]+B"},
        {"{{ ('a' + m) | upper }}", "A[ <|X|> ]"},
        {"{{ ('a' + m) | tojson }}", "[\"]a[ <|x|> \"]"},
        {"{{ [m, 'lit'] }}", "['[ <|x|> ]', 'lit']"},
        {"{{ {'k': m} | tojson }}", "[{\"]k[\": \" <|x|> \"}]"},
        {"{{ messages | tojson }}", "[[{\"role\": \"user\", \"content\": \" <|x|> \"}]]"},
        {"{{ m * 2 }}", "[ <|x|>  <|x|> ]"},
        {"{{ 'T' | replace('T', m) }}", "[ <|x|> ]"},
        {"{% set s %}t{{ m }}{% endset %}{{ s }}", "t[ <|x|> ]"},
        {"{% macro f(v) %}({{ v }}){% endmacro %}{{ f(m) }}", "([ <|x|> ])"},
        {"{% filter upper %}t{{ m }}{% endfilter %}", "T[ <|X|> ]"},
        {"{% for c in m.strip()[:2] %}{{ c }}-{% endfor %}", "[<]-[|]-"},
        {"{% for k in messages[0] %}{{ k }}{% endfor %}", "[rolecontent]"},
        {"{{ m | indent(1, true) }}", " [ <|x|> ]"},
        {"{{ m.splitlines() | first }}", "[ <|x|> ]"},
        {"{{ '<{}|{0}>{{{x}}}'.format(m, x=1) }}", "<[ <|x|> ]|[ <|x|> ]>{1}"},
        {"{{ (m + '{}').format('T') }}", "[ <|x|> ]T"},
        {"{{ m or 'T' }}{{ none or 'T' }}", "[ <|x|> ]T"},
        {"{{ bos_token ~ m ~ eos_token }}", "<s>[ <|x|> ]</s>"},
        {"{{ m | length }}{{ '<|' ~ loop_index ~ '|>' }}", "[7]<||>"},
        {"{% for x in [1] %}<|image_{{ loop.index }}|>{% endfor %}", "<|image_1|>"},
        {"{% set n = namespace(i=0) %}{% set n.i = n.i + 1 %}{{ '<|' ~ n.i ~ '|>' }}", "<|1|>"},
        {"{{ '12' | int + 1 }}{{ m | length | string | int + 1 }}", "13[8]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[512];
        snprintf(source, sizeof source, "{%% set m = messages[0].content %%}%s", cases[i].source);
        expect(source, "[{\"role\": \"user\", \"content\": \" <|x|> \"}]", cases[i].wanted);
    }
}

/* A message must not get the template to write a token for it: what replaces its bytes is its. */
static void replacing_gives_messages_no_control(void **state)
{
    (void)state;
    expect("{{ messages[0].content | replace('<image>', '<|image_pad|>') }}",
           "[{\"content\": \"see <image>!\"}]", "[see <|image_pad|>!]");
    expect("{{ messages[0].content.replace('<image>', '<|image_pad|>') }}",
           "[{\"content\": \"<image>\"}]", "[<|image_pad|>]");
    expect("{{ messages[0].content.format('<|image_pad|>') }}", "[{\"content\": \"a{}\"}]",
           "[a<|image_pad|>]");
    expect("{{ ('<im' + messages[0].content).replace('<image>', '<|image_pad|>') }}",
           "[{\"content\": \"age>\"}]", "[<|image_pad|>]");
    expect("{{ ('<image>' + messages[0].content).replace('<image>', '<|image_pad|>') }}",
           "[{\"content\": \"x\"}]", "<|image_pad|>[x]");
}

static void numbers_of_messages_are_untrusted(void **state)
{
    (void)state;
    expect("{{ '<|image_' ~ messages[0].n ~ '|>' }}", "[{\"n\": 1}]", "<|image_[1]|>");
    expect("{{ '<|image_' ~ (messages[0].n + 1) ~ '|>' }}", "[{\"n\": 1}]", "<|image_[2]|>");
}

static void trusted_placeholders_are_counted(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct chat_output out;
    json_t *messages =
        json_loads("[{\"role\": \"user\", \"content\": [{\"type\": \"image\"}, {\"type\": \"text\","
                   " \"text\": \"<|image_pad|>\"}, {\"type\": \"image\"}, {\"type\": \"image\"}]}]",
                   0, NULL);
    const struct chat_context context = {.messages = messages};
    chat_template *tmpl = chat_template_open(chatml, strlen(chatml), &err);
    assert_non_null(tmpl);
    assert_int_equal(chat_template_render(tmpl, &context, &out, &err), 0);
    assert_int_equal(chat_output_count(&out, "<|image_pad|>"), 3);
    assert_int_equal(chat_output_count(&out, "<|im_end|>"), 1);
    assert_int_equal(chat_output_count(&out, "user"), 0);
    assert_int_equal(chat_output_count(&out, ""), 0);
    chat_output_free(&out);
    chat_template_close(tmpl);
    json_decref(messages);
}

static void expect_refusal(const char *source, enum vlmd_code code, const char *text)
{
    struct vlmd_error err = {0};
    assert_null(chat_template_open(source, strlen(source), &err));
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, "chat_template");
    if (!strstr(err.text, text))
        fail_msg("\"%s\" lacks \"%s\"", err.text, text);
}

static void unknown_constructs_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text;
    } cases[] = {
        {"\n\n{% include 'x' %}", "line 3: the tag 'include'"},
        {"{% extends 'x' %}", "line 1: the tag 'extends'"},
        {"{% do x %}", "the tag 'do'"},
        {"{% call f() %}{% endcall %}", "the tag 'call'"},
        {"x\n{{ a | urlize }}", "line 2: the filter 'urlize'"},
        {"{{ a is borked }}", "the test 'borked'"},
        {"{{ a.__class__() }}", "the method '__class__'"},
        {"{{ a.encode(1) }}", "the method 'encode'"},
        {"{{ lipsum() }}", "the function 'lipsum'"},
        {"{% for a in b recursive %}{% endfor %}", "the loop modifier 'recursive'"},
        {"{{ f(*a) }}", "* or **"},
        {"{{ a | map('urlize') }}", "the filter 'urlize'"},
        {"{{ a | selectattr('b', 'borked') }}", "the test 'borked'"},
        {"{% macro f() %}{{ varargs }}{% endmacro %}", "the variable 'varargs'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(cases[i].source, VLMD_UNSUPPORTED, cases[i].text);
}

static void broken_syntax_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{{",
        "{{ }}",
        "{% if %}{% endif %}",
        "{% if a %}",
        "{% endif %}",
        "{{ 'a }}",
        "{{ a b }}",
        "{# never closed",
        "{% raw %}x",
        "{{ (1, 2 }}",
        "{{ 1 ] }}",
        "{% for in x %}{% endfor %}",
        "{% set 1 = 2 %}",
        "{% break %}",
        "{{ a. }}",
        "{{ a[1, 2] }}",
        "{{ 99999999999999999999 }}",
        "{{ '\\ud800' }}",
        "{{ $ }}",
        "{% %}",
        "{% macro f(a=1, b) %}{% endmacro %}",
        "{{ a is b c is d }}",
        "{{ a ? b : c }}",
        "{% for a in b %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vlmd_error err = {0};
        if (chat_template_open(cases[i], strlen(cases[i]), &err))
            fail_msg("%s was taken", cases[i]);
        assert_non_null(strstr(err.text, "line 1"));
    }
    struct vlmd_error err = {0};
    assert_null(chat_template_open("\xff", 1, &err));
    assert_int_equal(err.code, VLMD_FORMAT);
}

/* `n` times `open`, then `middle`, then `n` times `close`. */
static char *nested(const char *open, const char *middle, const char *close, size_t n)
{
    struct buf text = {0};
    for (size_t i = 0; i < n; i++)
        buf_append_text(&text, open);
    buf_append_text(&text, middle);
    for (size_t i = 0; i < n; i++)
        buf_append_text(&text, close);
    return text.data;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *open, *middle, *close;
    } cases[] = {
        {"(", "1", ")"},           {"[", "", "]"},    {"{1:", "1", "}"},        {"not ", "1", ""},
        {"- ", "1", ""},           {"1 + ", "1", ""}, {"a[", "1", "]"},         {"f(", "1", ")"},
        {"1 if ", "1", " else 1"}, {"", "a", ".b"},   {"", "a", "|upper"},      {"", "a", " and a"},
        {"1 if 1 else ", "1", ""}, {"", "a", "[0]"},  {"", "a", " is defined"}, {"", "f", "()"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *expression = nested(cases[i].open, cases[i].middle, cases[i].close, 100000);
        char *source = nested("{{ ", expression, " }}", 1);
        struct vlmd_error err = {0};
        if (chat_template_open(source, strlen(source), &err))
            fail_msg("100,000 times \"%s%s\" were taken", cases[i].open, cases[i].close);
        assert_true(err.code == VLMD_TOO_LARGE || err.code == VLMD_FORMAT);
        free(expression);
        free(source);
    }
    char *blocks = nested("{% if 1 %}", "x", "{% endif %}", 10000);
    expect_refusal(blocks, VLMD_TOO_LARGE, "nested deeper");
    free(blocks);
}

static void long_templates_of_ordinary_depth_are_taken(void **state)
{
    (void)state;
    char *source = nested("{% if 1 %}x{% endif %}", "", "{{ ('a' + 'b' + 'c') }}", 5000);
    char *got = marked(source, "[]");
    assert_int_equal(strlen(got), 5000 * 4);
    free(got);
    free(source);
    char *deep = nested("{{ ", "((((((((((((((((((((1))))))))))))))))))))", " }}", 1);
    expect(deep, "[]", "1");
    free(deep);
}

static void expect_bound(const char *source, const char *text)
{
    struct vlmd_error err = {0};
    struct chat_output out;
    const struct chat_context context = {0};
    chat_template *tmpl = chat_template_open(source, strlen(source), &err);
    assert_non_null(tmpl);
    assert_int_equal(chat_template_render(tmpl, &context, &out, &err), -1);
    assert_int_equal(err.code, VLMD_TOO_LARGE);
    assert_string_equal(err.field, "messages");
    if (!strstr(err.text, text))
        fail_msg("\"%s\" lacks \"%s\"", err.text, text);
    assert_null(out.text);
    chat_template_close(tmpl);
}

static void rendering_is_bounded(void **state)
{
    (void)state;
    expect_bound("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
                 "");
    expect_bound("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested deeper");
    expect_bound("{% set n = namespace(s='ab') %}{% for i in range(40) %}"
                 "{% set n.s = n.s + n.s %}{% endfor %}",
                 "memory");
    expect_bound("{% set n = namespace(s=[]) %}{% for i in range(5000) %}"
                 "{% set n.s = [n.s] %}{% endfor %}{{ n.s }}",
                 "nested deeper");
    expect_bound("{% set n = namespace(s=[]) %}{% for i in range(5000) %}"
                 "{% set n.s = [n.s] %}{% endfor %}{{ n.s | tojson }}",
                 "nested deeper");
    expect_bound("{% set n = namespace(s=[], t=[]) %}{% for i in range(5000) %}"
                 "{% set n.s = [n.s] %}{% set n.t = [n.t] %}{% endfor %}{{ n.s == n.t }}",
                 "nested deeper");
    expect_bound("{% set s = 'x' * 1000000 %}{% for i in range(90) %}{{ s }}{% endfor %}",
                 "longer than");
    expect_bound("{% set s = 'a' * 3000000 %}{% for i in range(99999) %}{{ s.rfind('b' * 1000) }}"
                 "{% endfor %}",
                 "");
    expect_bound("{{ 'x' * 9999999999 }}", "");
}

static void messages_may_not_be_nested_too_deeply(void **state)
{
    (void)state;
    char *deep = nested("[", "", "]", 1500);
    struct vlmd_error err = {0};
    struct chat_output out;
    json_t *messages = json_loads(deep, 0, NULL);
    assert_non_null(messages);
    const struct chat_context context = {.messages = messages};
    chat_template *tmpl = chat_template_open("x", 1, &err);
    assert_int_equal(chat_template_render(tmpl, &context, &out, &err), -1);
    assert_int_equal(err.code, VLMD_TOO_LARGE);
    chat_template_close(tmpl);
    json_decref(messages);
    free(deep);
}

static void the_template_may_refuse_messages(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct chat_output out;
    static const char source[] = "\n{{ raise_exception('roles must alternate') }}";
    const struct chat_context context = {0};
    chat_template *tmpl = chat_template_open(source, strlen(source), &err);
    assert_non_null(tmpl);
    assert_int_equal(chat_template_render(tmpl, &context, &out, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, "messages");
    assert_string_equal(err.text, "chat template, line 2: roles must alternate");
    chat_template_close(tmpl);
}

static void operations_on_wrong_values_are_errors(void **state)
{
    (void)state;
    static const char *const cases[] = {"{{ 'a' + none }}",
                                        "{{ nothing.x }}",
                                        "{{ nothing() }}",
                                        "{{ 1 / 0 }}",
                                        "{{ 1 % 0 }}",
                                        "{{ 9223372036854775807 + 1 }}",
                                        "{{ -9223372036854775807 - 2 }}",
                                        "{{ 3 ** 99 }}",
                                        "{{ (-9223372036854775807 - 1) // -1 }}",
                                        "{{ 'a' < 1 }}",
                                        "{{ 1 in 'a' }}",
                                        "{{ 1 in 2 }}",
                                        "{{ namespace }}",
                                        "{% for a, b in [1] %}{% endfor %}",
                                        "{% for a, b in [(1,)] %}{% endfor %}",
                                        "{% set x = 1 %}{% set x.y = 1 %}",
                                        "{{ range(1, 5, 0) }}",
                                        "{{ 'a'[::0] }}",
                                        "{{ 'a' | tojson(indent=99999) }}",
                                        "{{ nothing | tojson }}",
                                        "{{ 'a'.split('') }}",
                                        "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
                                        "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
                                        "{{ 'a'.strip(1) }}",
                                        "{{ 'a'.strip('a', 'b') }}",
                                        "{{ {}.get() }}",
                                        "{{ strftime_now(1) }}",
                                        "{{ messages | selectattr() | list | length + nothing.x }}",
                                        "{{ range(9999999) }}",
                                        "{{ [].append(1) }}",
                                        "{{ {}.update(a=1) }}",
                                        "{{ '{}'.format() }}",
                                        "{{ '{'.format(1) }}",
                                        "{{ '}'.format(1) }}",
                                        "{{ '{!r}'.format(1) }}",
                                        "{{ '{a.b}'.format(a=1) }}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = marked(cases[i], "[]");
        if (strncmp(got, "chat template, line 1: ", 23) != 0)
            fail_msg("%s gave \"%s\"", cases[i], got);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_tokens_in_messages_stay_plain),
        cmocka_unit_test(provenance_survives_every_operation),
        cmocka_unit_test(replacing_gives_messages_no_control),
        cmocka_unit_test(numbers_of_messages_are_untrusted),
        cmocka_unit_test(trusted_placeholders_are_counted),
        cmocka_unit_test(unknown_constructs_are_named_with_their_line),
        cmocka_unit_test(broken_syntax_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(long_templates_of_ordinary_depth_are_taken),
        cmocka_unit_test(rendering_is_bounded),
        cmocka_unit_test(messages_may_not_be_nested_too_deeply),
        cmocka_unit_test(the_template_may_refuse_messages),
        cmocka_unit_test(operations_on_wrong_values_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
