/* Where a checkpoint keeps its chat template and its tokens. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/render.h"

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    snprintf(folder->path, sizeof folder->path, "/tmp/vlmd-chat-XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static const char *const names[] = {"chat_template.jinja", "chat_template.json",
                                    "tokenizer_config.json"};

static void path_of(const struct folder *folder, const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "%s/%s", folder->path, name);
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(folder, names[i], path, sizeof path);
        unlink(path);
    }
    rmdir(folder->path);
    free(folder);
    return 0;
}

static void put(const struct folder *folder, const char *name, const char *text)
{
    char path[128];
    path_of(folder, name, path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_text(const struct folder *folder, const char *wanted)
{
    struct vlmd_error err = {0};
    struct chat_output out = {0};
    json_t *messages = json_loads("[{\"role\": \"user\", \"content\": \"hi\"}]", 0, NULL);
    chat_renderer *renderer = chat_renderer_open(folder->path, &err);
    if (!renderer)
        fail_msg("%s", err.text);
    assert_int_equal(chat_render(renderer, messages, NULL, NULL, true, &out, &err), 0);
    assert_string_equal(out.text, wanted);
    chat_output_free(&out);
    chat_renderer_close(renderer);
    json_decref(messages);
}

static void expect_error(const struct folder *folder, enum vlmd_code code, const char *text)
{
    struct vlmd_error err = {0};
    assert_null(chat_renderer_open(folder->path, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" lacks \"%s\"", err.text, text);
}

static void a_string_in_tokenizer_config(void **state)
{
    put(*state, "tokenizer_config.json",
        "{\"chat_template\": \"{{ bos_token }}{{ messages[0].content }}{{ eos_token }}\","
        " \"bos_token\": {\"content\": \"<B>\", \"special\": true}, \"eos_token\": \"<E>\"}");
    expect_text(*state, "<B>hi<E>");
}

static void the_default_of_a_list(void **state)
{
    put(*state, "tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"wrong\"},"
        " {\"name\": \"default\", \"template\": \"right{{ bos_token is defined }}\"}],"
        " \"bos_token\": null}");
    expect_text(*state, "rightFalse");
}

static void files_of_their_own_come_first(void **state)
{
    put(*state, "tokenizer_config.json", "{\"chat_template\": \"config\"}");
    put(*state, "chat_template.json", "{\"chat_template\": \"json\"}");
    expect_text(*state, "json");
    put(*state, "chat_template.jinja", "jinja {{ add_generation_prompt }}\n");
    expect_text(*state, "jinja True");
}

static void without_a_template_the_files_are_named(void **state)
{
    expect_error(*state, VLMD_NOT_FOUND, "neither chat_template.jinja nor chat_template.json nor");
    put(*state, "tokenizer_config.json", "{\"chat_template\": null}");
    expect_error(*state, VLMD_NOT_FOUND, "tokenizer_config.json");
    put(*state, "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"other\"}, 3]}");
    expect_error(*state, VLMD_NOT_FOUND, "tokenizer_config.json");
}

static void broken_files_are_errors(void **state)
{
    put(*state, "tokenizer_config.json", "{");
    expect_error(*state, VLMD_FORMAT, "tokenizer_config.json");
    put(*state, "tokenizer_config.json", "[]");
    expect_error(*state, VLMD_FORMAT, "must hold an object");
    put(*state, "tokenizer_config.json", "{\"bos_token\": 7}");
    expect_error(*state, VLMD_INVALID, "bos_token");
    put(*state, "tokenizer_config.json", "{}");
    put(*state, "chat_template.jinja", "{% include 'x' %}");
    expect_error(*state, VLMD_UNSUPPORTED, "include");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_string_in_tokenizer_config, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_default_of_a_list, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_of_their_own_come_first, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(without_a_template_the_files_are_named, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(broken_files_are_errors, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
