/* Limits of control groups, from folders that stand for the system's. */
#include "base/control_group.h"
#include "base/file.h"
#include "system_files.h"

static void no_group_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(control_group_processors(root), 0);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(control_group_processors(root), 0);
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(control_group_processors(root), 0);
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
        assert_int_equal(control_group_processors(root), cases[i].whole);
    }
}

static void smallest_quota_above_holds(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/kitchen/stove/pan\n");
    put("sys/fs/cgroup/kitchen/cpu.max", "300000 100000\n");
    put("sys/fs/cgroup/kitchen/stove/cpu.max", "600000 100000\n");
    put("sys/fs/cgroup/kitchen/stove/pan/cpu.max", "max 100000\n");
    assert_int_equal(control_group_processors(root), 3);
    put("sys/fs/cgroup/kitchen/stove/pan/cpu.max", "100000 50000\n");
    assert_int_equal(control_group_processors(root), 2);
}

/* A path that is the host's: only the container's own group is mounted. */
static void groups_that_are_not_there(void **state)
{
    (void)state;
    put("sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    assert_int_equal(control_group_processors(root), 4);
    put("proc/self/cgroup", "0::/../../elsewhere\n");
    assert_int_equal(control_group_processors(root), 4);
}

static void quota_of_version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "12:cpuset:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/box\n0::/\n");
    put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(control_group_processors(root), 0);
    put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(control_group_processors(root), 3);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(control_group_processors(root), 1);
}

static void quota_of_version_1_by_all_names(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:cpu,cpuacct:/\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "500000\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(control_group_processors(root), 5);
    put("proc/self/cgroup", "4:cpuacct:/\n");
    assert_int_equal(control_group_processors(root), 0);
}

/* ---- memory */

static void memory_of_version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/system.slice/vlmd.service\n");
    assert_int_equal(control_group_memory(root), 0);
    put("sys/fs/cgroup/system.slice/vlmd.service/memory.max", "max\n");
    assert_int_equal(control_group_memory(root), 0);
    put("sys/fs/cgroup/system.slice/memory.max", "17179869184\n");
    assert_int_equal(control_group_memory(root), 17179869184);
    put("sys/fs/cgroup/system.slice/vlmd.service/memory.max", "8589934592\n");
    assert_int_equal(control_group_memory(root), 8589934592);
    put("sys/fs/cgroup/system.slice/vlmd.service/memory.high", "4294967296\n");
    assert_int_equal(control_group_memory(root), 4294967296);
    put("sys/fs/cgroup/system.slice/vlmd.service/memory.high", "nonsense\n");
    assert_int_equal(control_group_memory(root), 8589934592);
}

static void memory_of_a_container(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/memory.max", "2147483648\n");
    assert_int_equal(control_group_memory(root), 2147483648);
    put("proc/self/cgroup", "4:memory:/docker/0123456789abcdef\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    assert_int_equal(control_group_memory(root), 1073741824);
    assert_int_equal(control_group_processors(root), 0);
}

/* Their size is given as 0, or as a page. */
static void files_of_the_system_are_read(void **state)
{
    (void)state;
    char text[256], small[4];
    if (access("/proc/self/status", R_OK) != 0)
        return;
    assert_true(file_read_small("/proc/self/status", text, sizeof text));
    assert_memory_equal(text, "Name:", 5);
    assert_true(file_read_small("/proc/self/status", small, sizeof small));
    assert_string_equal(small, "Nam");
    assert_false(file_read_small("/proc/self/nothing", text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_group_is_no_limit, empty_root),
        cmocka_unit_test_setup(quota_of_version_2, empty_root),
        cmocka_unit_test_setup(smallest_quota_above_holds, empty_root),
        cmocka_unit_test_setup(groups_that_are_not_there, empty_root),
        cmocka_unit_test_setup(quota_of_version_1, empty_root),
        cmocka_unit_test_setup(quota_of_version_1_by_all_names, empty_root),
        cmocka_unit_test_setup(memory_of_version_2, empty_root),
        cmocka_unit_test_setup(memory_of_a_container, empty_root),
        cmocka_unit_test(files_of_the_system_are_read),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
