/* Settings from flags, variables, files and machines: which holds, what is refused, and that what
 * --check prints means the same as what was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "front/config.h"
#include "front/config_internal.h"

#define GB 1000000000u

/* A file of settings, gone with file_end. */
static const char *file_begin(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/vlmd-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

/* Reads flags (words separated by blanks), variables (NULL-terminated, or NULL) and a file (or
 * NULL). */
static int read_all(struct config *c, const char *flags, char *const *variables, const char *file,
                    struct vlmd_error *err)
{
    char line[512], path[128];
    char *words[32];
    int n = 0;
    snprintf(line, sizeof line, "%s", flags);
    for (char *word = strtok(line, " "); word && n < 30; word = strtok(NULL, " "))
        words[n++] = word;
    if (file) {
        snprintf(path, sizeof path, "--config=%s", file_begin(file));
        words[n++] = path;
    }
    struct config_input input = {n, words, variables, 16ull * GB};
    int status = config_read(c, &input, err);
    if (file)
        unlink(path + strlen("--config="));
    return status;
}

static struct config read_good(const char *flags, char *const *variables, const char *file)
{
    struct config c;
    struct vlmd_error err;
    if (read_all(&c, flags, variables, file, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static enum config_source source_of(const struct config *c, const char *name)
{
    const struct setting *s = setting_find(name, strlen(name));
    assert_non_null(s);
    return c->origins[s - config_settings].source;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config c = read_good("", NULL, NULL);
    assert_int_equal(c.port, 11440);
    assert_int_equal(c.admin_port, 11441);
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.model.n, 0);
    assert_true(c.sandbox);
    assert_false(c.verbose);
    assert_null(c.config);
    assert_int_equal(source_of(&c, "port"), CONFIG_DEFAULT);
    config_free(&c);
}

static void test_flags(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct config c =
        read_good("--model a --port=0 --model=b --verbose --host ::1 --no-sandbox", NULL, NULL);
    assert_int_equal(c.model.n, 2);
    assert_string_equal(c.model.items[1], "b");
    assert_int_equal(c.port, 0);
    assert_string_equal(c.host, "::1");
    assert_true(c.verbose);
    assert_false(c.sandbox);
    config_free(&c);
    static const char *const bad[] = {
        "--port=65536",
        "--port=-1",
        "--port=1x",
        "--port=",
        "--port",
        "--porter",
        "port",
        "--verbose=1",
        "--no-port=1",
        "--max-requests=0",
        "--machine-type=low",
        "--no-",
        "--",
        "-p",
        "--port=0x10",

        "--model=",
        "--port=99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_all(&c, bad[i], NULL, NULL, &err) == 0)
            fail_msg("%s was taken", bad[i]);
        config_free(&c);
    }
}

static void test_precedence(void **state)
{
    (void)state;
    char *variables[] = {(char[]){"VLMD_PORT=3"}, (char[]){"VLMD_DECODERS=4"},
                         (char[]){"MLX_ADMIN_PORT=9"}, (char[]){"VLMD_MODEL=a,b"}, NULL};
    struct config c =
        read_good("--port 1", variables, "port = 5\ndecoders = 6\nmax-images = 7\nmodel = c\n");
    assert_int_equal(c.port, 1);
    assert_int_equal(c.decoders, 4);
    assert_int_equal(c.max_images, 7);
    assert_int_equal(c.admin_port, 9);
    assert_int_equal(c.model.n, 2);
    assert_string_equal(c.model.items[0], "a");
    assert_int_equal(source_of(&c, "port"), CONFIG_FLAG);
    assert_int_equal(source_of(&c, "decoders"), CONFIG_ENVIRONMENT);
    assert_int_equal(source_of(&c, "max-images"), CONFIG_FILE);
    config_free(&c);
}

/* Our own variable goes before the Python server's; an empty one is none. */
static void test_variables(void **state)
{
    (void)state;
    struct vlmd_error err;
    char *both[] = {(char[]){"MLX_ADMIN_PORT=9"}, (char[]){"VLMD_ADMIN_PORT=8"},
                    (char[]){"VLMD_PORT="}, NULL};
    struct config c = read_good("", both, NULL);
    assert_int_equal(c.admin_port, 8);
    assert_int_equal(c.port, 11440);
    config_free(&c);
    char *wrong[] = {(char[]){"MLX_ADMIN_PORT=x"}, NULL};
    assert_int_equal(read_all(&c, "--admin-port 7", wrong, NULL, &err), -1);
    assert_non_null(strstr(err.text, "MLX_ADMIN_PORT"));
    assert_string_equal(err.field, "admin-port");
    config_free(&c);
    char *dropped[] = {(char[]){"MLX_USE_STDIO=1"}, (char[]){"VISION_RESIZE_CACHE_TTL="},
                       (char[]){"MLX_QUEUE_DEPHT=3"}, (char[]){"MLX_QUEUE_ENABLED=1"}, NULL};
    struct buf out = {0};
    config_append_notes(&out, &c, dropped);
    assert_non_null(strstr(out.data, "MLX_USE_STDIO has no effect"));
    assert_null(strstr(out.data, "VISION_"));
    assert_non_null(strstr(out.data, "MLX_QUEUE_DEPHT has no effect: there is no such setting\n"));
    assert_null(strstr(out.data, "MLX_QUEUE_ENABLED"));
    buf_free(&out);
}

static void test_files(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct config c = read_good("", NULL,
                                "# a comment\n\n  port=1 # why\nhost = \"::1\" # too\r\n"
                                "verbose = on\nmodel = a b\nmodel = \"c # d\"");
    assert_int_equal(c.port, 1);
    assert_string_equal(c.host, "::1");
    assert_true(c.verbose);
    assert_int_equal(c.model.n, 2);
    assert_string_equal(c.model.items[0], "a b");
    assert_string_equal(c.model.items[1], "c # d");
    config_free(&c);
    static const char *const bad[][2] = {
        {"port", "\"key = value\""},      {"port = x", ":1: port wants"},
        {"\nporter = 1", ":2: there is"}, {"check = yes", "there is no setting"},
        {"host = \"x", "quotation"},      {"host = \"x\" y", "quotation"},
        {"sandbox = maybe", "yes or no"}, {"= 1", "there is no setting"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_all(&c, "", NULL, bad[i][0], &err), -1);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], err.text);
        config_free(&c);
    }
    assert_int_equal(read_all(&c, "--config=/nowhere/at/all", NULL, NULL, &err), -1);
    config_free(&c);
}

static void test_tiers(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory;
        const char *type;
        int64_t idle_timeout;
    } machines[] = {{128ull * GB, "high-memory", 600},  {67416000000u, "high-memory", 600},
                    {32ull * GB, "medium-memory", 300}, {24ull * GB, "medium-memory", 300},
                    {16ull * GB, "low-memory", 180},    {0, "low-memory", 180}};
    struct vlmd_error err;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        struct config c;
        struct config_input input = {.memory_bytes = machines[i].memory};
        assert_int_equal(config_read(&c, &input, &err), 0);
        assert_string_equal(c.machine_type, machines[i].type);
        assert_int_equal(c.idle_timeout, machines[i].idle_timeout);
        assert_int_equal(source_of(&c, "machine-type"), CONFIG_DETECTED);
        assert_int_equal(source_of(&c, "idle-timeout"), CONFIG_DETECTED);
        config_free(&c);
    }
    char *forced[] = {(char[]){"MLX_MACHINE_TYPE=high-memory"}, NULL};
    struct config c = read_good("", forced, NULL);
    assert_string_equal(c.machine_type, "high-memory");
    assert_int_equal(c.idle_timeout, 600);
    config_free(&c);
}

static void test_that_what_is_shown_means_the_same(void **state)
{
    (void)state;
    char *variables[] = {(char[]){"VLMD_DECODERS=4"}, NULL};
    struct config c =
        read_good("--model a --model b#c --host ::1 --verbose", variables, "max-images = 3\n");
    struct buf text = {0};
    config_append_effective(&text, &c);
    assert_non_null(strstr(text.data, "# VLMD_DECODERS\n"));
    assert_non_null(strstr(text.data, "# command line\n"));
    assert_non_null(strstr(text.data, ":1\n"));
    struct config d = read_good("", NULL, text.data);
    struct buf applied = {0}, waiting = {0};
    struct vlmd_error err;
    assert_int_equal(config_reload(&c, &d, &applied, &waiting, &err), 0);
    assert_int_equal(applied.len, 0);
    assert_int_equal(waiting.len, 0);
    assert_string_equal(d.model.items[1], "b#c");
    buf_free(&text);
    config_free(&c);
    config_free(&d);
}

static void test_reload(void **state)
{
    (void)state;
    struct config running = read_good("", NULL, "max-images = 3\nport = 1\nhost = ::1\n");
    struct config fresh = read_good("", NULL, "max-images = 4\nport = 2\nverbose = yes\n");
    struct buf applied = {0}, waiting = {0};
    struct vlmd_error err;
    assert_int_equal(config_reload(&running, &fresh, &applied, &waiting, &err), 0);
    assert_string_equal(applied.data, "max-images, verbose");
    assert_string_equal(waiting.data, "host, port");
    assert_int_equal(running.max_images, 4);
    assert_int_equal(running.port, 1);
    assert_string_equal(running.host, "::1");
    config_free(&fresh);
    config_free(&running);
    buf_free(&applied);
    buf_free(&waiting);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        const char *text;
    } sizes[] = {{0, "0"}, {1000, "1000"}, {1024, "1k"}, {3ll << 30, "3g"}, {1ll << 50, "1024t"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf out = {0};
        setting_append_size(&out, sizes[i].bytes);
        assert_string_equal(out.data, sizes[i].text);
        buf_free(&out);
    }
}

/* Each setting has a help text that says something, and a default that its own reader takes. */
static void test_the_table(void **state)
{
    (void)state;
    struct buf help = {0}, page = {0}, table = {0};
    config_append_help(&help);
    config_append_manual(&page);
    config_append_markdown(&table);
    for (size_t i = 0; i < CONFIG_LINES; i++) {
        const struct setting *s = &config_settings[i];
        char name[SETTING_NAME_BYTES], entry[SETTING_NAME_BYTES + 8];
        assert_true(strlen(s->help) > 2);
        if (s->kind == KIND_GROUP)
            continue;
        setting_name(s, name);
        assert_ptr_equal(setting_find(name, strlen(name)), s);
        snprintf(entry, sizeof entry, "%s", name);
        assert_non_null(strstr(help.data, entry));
        snprintf(entry, sizeof entry, "| `%s` |", name);
        assert_non_null(strstr(table.data, entry));
        assert_true(s->kind != KIND_NUMBER || s->max > s->min);
    }
    assert_non_null(strstr(help.data, "--port N"));
    assert_non_null(strstr(help.data, "(default: 11440)"));
    assert_non_null(strstr(help.data, "--no-sandbox"));
    for (const char *line = help.data; line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(strcspn(line, "\n") <= 100);
    buf_free(&help);
    buf_free(&page);
    buf_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_that_what_is_shown_means_the_same),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
