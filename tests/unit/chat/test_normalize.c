/* OpenAI's messages in the template's form, and the field that an error names. */
#include "unit.h"

#include <jansson.h>
#include <string.h>

#include "chat/normalize.h"

static void expect(const char *openai, const char *wanted, const char *wanted_images)
{
    struct vlmd_error err = {0};
    json_t *from = json_loads(openai, 0, NULL), *messages, *images;
    json_t *want = json_loads(wanted, 0, NULL), *want_images = json_loads(wanted_images, 0, NULL);
    assert_non_null(from);
    json_t *before = json_deep_copy(from);
    if (chat_normalize(from, &messages, &images, &err) < 0)
        fail_msg("%s: %s", err.field, err.text);
    assert_true(json_equal(messages, want));
    assert_true(json_equal(images, want_images));
    assert_true(json_equal(from, before));
    json_decref(before);
    json_decref(from);
    json_decref(messages);
    json_decref(images);
    json_decref(want);
    json_decref(want_images);
}

static void contents_become_strings_or_parts(void **state)
{
    (void)state;
    expect(
        "[{\"role\": \"developer\", \"content\": \"d\"}, {\"role\": \"user\", \"content\": \"u\","
        " \"name\": \"Ann\"}, {\"role\": \"assistant\", \"content\": \"a\"}]",
        "[{\"role\": \"system\", \"content\": \"d\"}, {\"role\": \"user\", \"content\": \"u\","
        " \"name\": \"Ann\"}, {\"role\": \"assistant\", \"content\": \"a\"}]",
        "[]");
    expect("[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"},"
           " {\"type\": \"image_url\", \"image_url\": {\"url\": \"data:1\", \"detail\": \"low\"}},"
           " {\"type\": \"input_image\", \"image_url\": \"data:2\"},"
           " {\"type\": \"image_url\", \"image_url\": \"data:3\"},"
           " {\"type\": \"text\", \"text\": \"<|image_pad|>\"}]}]",
           "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"},"
           " {\"type\": \"image\"}, {\"type\": \"image\"}, {\"type\": \"image\"},"
           " {\"type\": \"text\", \"text\": \"<|image_pad|>\"}]}]",
           "[\"data:1\", \"data:2\", \"data:3\"]");
}

static void calls_have_their_arguments_parsed(void **state)
{
    (void)state;
    expect("[{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"1\","
           " \"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\":"
           " \"{\\\"a\\\": [1]}\"}}, {\"function\": {\"name\": \"g\", \"arguments\": \"no json\"}},"
           " {\"function\": {\"name\": \"h\", \"arguments\": \"[1]\"}}]},"
           " {\"role\": \"tool\", \"tool_call_id\": \"1\", \"content\": \"r\"}]",
           "[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"1\","
           " \"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\":"
           " {\"a\": [1]}}}, {\"function\": {\"name\": \"g\", \"arguments\": \"no json\"}},"
           " {\"function\": {\"name\": \"h\", \"arguments\": \"[1]\"}}]},"
           " {\"role\": \"tool\", \"tool_call_id\": \"1\", \"content\": \"r\"}]",
           "[]");
}

static void errors_name_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *openai, *field;
    } cases[] = {
        {"[]", "messages"},
        {"{}", "messages"},
        {"[1]", "messages[0]"},
        {"[{\"content\": \"a\"}]", "messages[0].role"},
        {"[{\"role\": \"critic\", \"content\": \"a\"}]", "messages[0].role"},
        {"[{\"role\": 1, \"content\": \"a\"}]", "messages[0].role"},
        {"[{\"role\": \"user\"}]", "messages[0].content"},
        {"[{\"role\": \"user\", \"content\": null}]", "messages[0].content"},
        {"[{\"role\": \"user\", \"content\": 7}]", "messages[0].content"},
        {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\"}]",
         "messages[1].content"},
        {"[{\"role\": \"user\", \"content\": [3]}]", "messages[0].content[0]"},
        {"[{\"role\": \"user\", \"content\": [{\"text\": \"a\"}]}]", "messages[0].content[0].type"},
        {"[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"\"},"
         " {\"type\": \"input_audio\"}]}]",
         "messages[0].content[1].type"},
        {"[{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]",
         "messages[0].content[0].text"},
        {"[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]",
         "messages[0].content[0].image_url"},
        {"[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\": \"system\", \"content\": [{\"type\": \"image_url\", \"image_url\": \"d\"}]}]",
         "messages[0].content[0].type"},
        {"[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": 1}]",
         "messages[0].tool_calls"},
        {"[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [1]}]",
         "messages[0].tool_calls[0].function"},
        {"[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"function\": {}}]}]",
         "messages[0].tool_calls[0].function.name"},
        {"[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\":"
         " [{\"function\": {\"name\": \"f\"}}]}]",
         "messages[0].tool_calls[0].function.arguments"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vlmd_error err = {0};
        json_t *from = json_loads(cases[i].openai, 0, NULL), *messages;
        assert_non_null(from);
        assert_int_equal(chat_normalize(from, &messages, NULL, &err), -1);
        assert_null(messages);
        assert_string_equal(err.field, cases[i].field);
        assert_true(strlen(err.text) > 0);
        json_decref(from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_become_strings_or_parts),
        cmocka_unit_test(calls_have_their_arguments_parsed),
        cmocka_unit_test(errors_name_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
