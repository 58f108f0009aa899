/* Lists of processors, cores and quotas, the latter from folders that stand for the system's. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/processors.h"

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

/* ---- a folder that stands for / */

static char root[] = "/tmp/vlmd-test-processors-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int empty_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/proc %s/sys", root, root);
    return system(command);
}

static int remove_root(void **state)
{
    return empty_root(state) == 0 ? rmdir(root) : -1;
}

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
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

static void no_group_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(processors_quota(root), 0);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(processors_quota(root), 0);
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(processors_quota(root), 0);
}

static void quota_of_version_2(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int whole;
    } cases[] = {
        {"200000 100000\n", 2},
        {"250000 100000\n", 2},
        {"50000 100000\n", 1},
        {"0 100000\n", 0},
        {"-1 100000\n", 0},
        {"100000 0\n", 0},
        {"nonsense\n", 0},
        {"", 0},
        {"999999999999999999 1\n", 0},
    };
    put("proc/self/cgroup", "0::/\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("sys/fs/cgroup/cpu.max", cases[i].text);
        assert_int_equal(processors_quota(root), cases[i].whole);
    }
}

static void smallest_quota_above_holds(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/kitchen/stove/pan\n");
    put("sys/fs/cgroup/kitchen/cpu.max", "300000 100000\n");
    put("sys/fs/cgroup/kitchen/stove/cpu.max", "600000 100000\n");
    put("sys/fs/cgroup/kitchen/stove/pan/cpu.max", "max 100000\n");
    assert_int_equal(processors_quota(root), 3);
    put("sys/fs/cgroup/kitchen/stove/pan/cpu.max", "100000 50000\n");
    assert_int_equal(processors_quota(root), 2);
}

/* A path that is the host's: only the container's own group is mounted. */
static void groups_that_are_not_there(void **state)
{
    (void)state;
    put("sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    assert_int_equal(processors_quota(root), 4);
    put("proc/self/cgroup", "0::/../../elsewhere\n");
    assert_int_equal(processors_quota(root), 4);
}

static void quota_of_version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "12:cpuset:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/box\n0::/\n");
    put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(processors_quota(root), 0);
    put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(processors_quota(root), 3);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(processors_quota(root), 1);
}

static void quota_of_version_1_by_all_names(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:cpu,cpuacct:/\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "500000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(processors_quota(root), 5);
    put("proc/self/cgroup", "4:cpuacct:/\n");
    assert_int_equal(processors_quota(root), 0);
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
        cmocka_unit_test_setup(no_group_is_no_limit, empty_root),
        cmocka_unit_test_setup(quota_of_version_2, empty_root),
        cmocka_unit_test_setup(smallest_quota_above_holds, empty_root),
        cmocka_unit_test_setup(groups_that_are_not_there, empty_root),
        cmocka_unit_test_setup(quota_of_version_1, empty_root),
        cmocka_unit_test_setup(quota_of_version_1_by_all_names, empty_root),
        cmocka_unit_test(only_what_is_allowed_is_chosen),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
