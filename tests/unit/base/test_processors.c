/* Lists of processors and cores, the latter from folders that stand for the system's. */
#include "base/processors.h"
#include "system_files.h"

static void lists_are_read(void **state)
{
    (void)state;
    struct processors set;
    struct vlmd_error err;
    assert_int_equal(processors_parse(&set, "0-3,8", &err), 0);
    assert_int_equal(processors_count(&set), 5);
    assert_true(processors_has(&set, 0) && processors_has(&set, 3) && processors_has(&set, 8));
    assert_false(processors_has(&set, 4) || processors_has(&set, -1) ||
                 processors_has(&set, PROCESSORS_MAX));
    assert_int_equal(processors_parse(&set, "7,7,5-7,1023", &err), 0);
    assert_int_equal(processors_count(&set), 4);
    assert_true(processors_has(&set, 1023));
    assert_int_equal(processors_parse(&set, "64", &err), 0);
    assert_true(processors_has(&set, 64) && !processors_has(&set, 0));
}

static void other_lists_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"",
                                        ",",
                                        "1,",
                                        "-1",
                                        "1-",
                                        "3-1",
                                        "1 2",
                                        "a",
                                        "0x1",
                                        "1024",
                                        "1--2",
                                        "0-1-2",
                                        "99999999999999999999",
                                        " 1",
                                        "0,-"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct processors set;
        struct vlmd_error err = {.code = VLMD_OK};
        assert_int_equal(processors_parse(&set, lists[i], &err), -1);
        assert_int_equal(err.code, VLMD_INVALID);
        assert_string_equal(err.field, "cpus");
    }
}

static void threads_of_a_core_count_once(void **state)
{
    (void)state;
    static const char *const siblings[] = {"0,4\n", "1,5\n", "2-3\n", "2-3\n", "0,4\n", "1,5\n"};
    for (int cpu = 0; cpu < 6; cpu++) {
        char name[128];
        snprintf(name, sizeof name, "sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        put(name, siblings[cpu]);
    }
    struct processors set;
    assert_int_equal(processors_parse(&set, "0-5", NULL), 0);
    assert_int_equal(processors_cores(&set, root), 3);
    assert_int_equal(processors_parse(&set, "3-5", NULL), 0); /* one thread of each */
    assert_int_equal(processors_cores(&set, root), 3);
    assert_int_equal(processors_parse(&set, "1,5", NULL), 0);
    assert_int_equal(processors_cores(&set, root), 1);
    assert_int_equal(processors_parse(&set, "5-9", NULL), 0); /* of four nothing is known */
    assert_int_equal(processors_cores(&set, root), 5);
    put("sys/devices/system/cpu/cpu5/topology/thread_siblings_list", "garbage\n");
    assert_int_equal(processors_parse(&set, "1,5", NULL), 0);
    assert_int_equal(processors_cores(&set, root), 2);
}

/* ---- of this process */

static void only_what_is_allowed_is_chosen(void **state)
{
    (void)state;
    struct processors allowed, chosen;
    struct vlmd_error err = {.code = VLMD_OK};
    if (!processors_allowed(&allowed)) {
        assert_int_equal(processors_choose(&chosen, "0", &err), -1);
        assert_int_equal(err.code, VLMD_UNSUPPORTED);
        return;
    }
    int first = 0;
    while (!processors_has(&allowed, first))
        first++;
    char list[32];
    snprintf(list, sizeof list, "%d", first);
    assert_int_equal(processors_choose(&chosen, list, &err), 0);
    assert_int_equal(processors_count(&chosen), 1);
    assert_int_equal(processors_bind(list, &err), 0);
    assert_true(processors_allowed(&allowed));
    assert_int_equal(processors_count(&allowed), 1);
    snprintf(list, sizeof list, "%d-%d", first, first + 1);
    assert_int_equal(processors_choose(&chosen, list, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_non_null(strstr(err.text, "is not among the 1 that"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(other_lists_are_refused),
        cmocka_unit_test_setup(threads_of_a_core_count_once, empty_root),
        cmocka_unit_test(only_what_is_allowed_is_chosen),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
