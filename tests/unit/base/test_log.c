/* Lines of the log, read back from what is written to standard error and to a file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/log.h"

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vlmd-log-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/vlmd.log", folder);
    assert_int_equal(log_set_file(path, NULL), 0);
    log_set_level(LOG_INFO);
    log_set_format(LOG_HUMAN);
    log_set_role("test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(log_set_file(NULL, NULL), 0);
    unlink(path);
    rmdir(folder);
    return 0;
}

/* All that is in the file. */
static char *written(void)
{
    size_t size;
    char *text = file_read(path, 1u << 20, &size, NULL);
    assert_non_null(text);
    return text;
}

static json_t *written_json(void)
{
    char *text = written();
    json_error_t error;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s: %s", error.text, text);
    free(text);
    return object;
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(none)";
}

static void test_human(void **state)
{
    (void)state;
    const struct log_field fields[] = {{"a", "b", 0}};
    log_write(LOG_DEBUG, "hidden");
    log_write(LOG_WARN, "one %d\ntwo \033[1m", 1);
    log_event(LOG_INFO, fields, 1, "three");
    char *text = written();
    assert_non_null(strstr(text, "Z warn  test: one 1 two  [1m\n"));
    assert_non_null(strstr(text, "Z info  test: three\n"));
    assert_null(strstr(text, "hidden"));
    assert_null(strstr(text, "\033"));
    free(text);
}

static void test_json(void **state)
{
    (void)state;
    const struct log_field fields[] = {
        {"path", "/a\"b\\c\n", 0}, {"n", NULL, 42}, {"x", NULL, 0.125}};
    log_set_format(LOG_JSON);
    log_event(LOG_ERROR, fields, 3, "req_12ab: says \"%s\"", "hello");
    json_t *o = written_json();
    assert_string_equal(text_of(o, "level"), "error");
    assert_string_equal(text_of(o, "role"), "test");
    assert_string_equal(text_of(o, "request_id"), "req_12ab");
    assert_string_equal(text_of(o, "path"), "/a\"b\\c\n");
    assert_string_equal(text_of(o, "message"), "req_12ab: says \"hello\"");
    assert_true(json_integer_value(json_object_get(o, "n")) == 42);
    assert_true(json_real_value(json_object_get(o, "x")) == 0.125);
    assert_int_equal(strlen(text_of(o, "time")), strlen("2026-01-01T00:00:00.000Z"));
    json_decref(o);
}

static void test_json_of_anything(void **state)
{
    (void)state;
    srandom(1);
    log_set_format(LOG_JSON);
    for (int i = 0; i < 500; i++) {
        char bytes[200];
        size_t len = (size_t)random() % sizeof bytes;
        for (size_t j = 0; j < len; j++)
            bytes[j] = (char)(1 + random() % 255);
        assert_int_equal(truncate(path, 0), 0);
        log_content("req_1", "answer", bytes, len);
        json_decref(written_json());
        bytes[len < 199 ? len : 199] = '\0';
        assert_int_equal(truncate(path, 0), 0);
        log_write(LOG_INFO, "%s", bytes);
        json_decref(written_json());
    }
    char longer[5000]; /* cut inside a character: still UTF-8 */
    for (size_t i = 0; i + 3 < sizeof longer; i += 3)
        memcpy(longer + i, "\xe2\x82\xac", 4);
    assert_int_equal(truncate(path, 0), 0);
    log_write(LOG_INFO, "x%s", longer);
    json_t *o = written_json();
    assert_null(strchr(text_of(o, "message"), '?'));
    json_decref(o);
}

static void test_content_is_whole(void **state)
{
    (void)state;
    char *text = malloc(100000);
    assert_non_null(text);
    memset(text, 'y', 100000);
    log_content("req_1", "prompt", text, 100000);
    char *all = written();
    assert_non_null(strstr(all, "info  test: req_1: prompt: yyy"));
    assert_true(strlen(all) > 100000);
    free(all);
    free(text);
}

static void test_forwarded_lines(void **state)
{
    (void)state;
    static const char ours[] = "2026-01-02T03:04:05.678Z warn  worker: m: no \"luck\"";
    log_forward(ours, strlen(ours));
    char *text = written();
    assert_memory_equal(text, ours, strlen(ours));
    assert_string_equal(text + strlen(ours), "\n");
    free(text);
    log_set_format(LOG_JSON);
    assert_int_equal(truncate(path, 0), 0);
    log_forward(ours, strlen(ours));
    json_t *o = written_json();
    assert_string_equal(text_of(o, "time"), "2026-01-02T03:04:05.678Z");
    assert_string_equal(text_of(o, "level"), "warn");
    assert_string_equal(text_of(o, "role"), "worker");
    assert_string_equal(text_of(o, "message"), "m: no \"luck\"");
    json_decref(o);
    static const char *const foreign[] = {"==7==ERROR: AddressSanitizer", "a b c: d", "", "x"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        assert_int_equal(truncate(path, 0), 0);
        log_forward(foreign[i], strlen(foreign[i]));
        o = written_json();
        assert_string_equal(text_of(o, "role"), "child");
        assert_string_equal(text_of(o, "message"), foreign[i]);
        json_decref(o);
    }
    assert_int_equal(truncate(path, 0), 0);
    log_set_level(LOG_ERROR);
    log_forward(ours, strlen(ours));
    text = written();
    assert_string_equal(text, "");
    free(text);
}

static void test_files(void **state)
{
    (void)state;
    char moved[112];
    snprintf(moved, sizeof moved, "%s.1", path);
    log_write(LOG_INFO, "before");
    assert_int_equal(rename(path, moved), 0);
    log_write(LOG_INFO, "between");
    assert_int_equal(log_set_file(path, NULL), 0);
    log_write(LOG_INFO, "after");
    char *text = written();
    assert_non_null(strstr(text, "after"));
    assert_null(strstr(text, "between"));
    free(text);
    struct vlmd_error err;
    assert_int_equal(log_set_file("/nowhere/at/all.log", &err), -1);
    log_write(LOG_INFO, "still here");
    text = written();
    assert_non_null(strstr(text, "still here"));
    free(text);
    unlink(moved);
}

static void test_levels(void **state)
{
    (void)state;
    assert_int_equal(log_level_from_name("debug"), LOG_DEBUG);
    assert_int_equal(log_level_from_name("error"), LOG_ERROR);
    assert_int_equal(log_level_from_name("loud"), -1);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(test_human),
        EACH(test_json),
        EACH(test_json_of_anything),
        EACH(test_content_is_whole),
        EACH(test_forwarded_lines),
        EACH(test_files),
        EACH(test_levels),
    };
    /* Lines go to standard error too: into nothing. */
    int nothing = open("/dev/null", O_WRONLY);
    if (nothing >= 0)
        dup2(nothing, STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
