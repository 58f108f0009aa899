/* Files read and mapped, in a folder of their own. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

static char folder[] = "/tmp/vlmd-test-file-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static char *write_file(const char *name, const void *bytes, size_t len)
{
    char *path = file_join(folder, name);
    assert_non_null(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void test_read_and_map(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    char *path = write_file("some", "ab\0cd", 5);
    size_t size = 0;
    char *data = file_read(path, 5, &size, &err);
    assert_non_null(data);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "ab\0cd", 6);
    free(data);

    struct file_map map;
    assert_int_equal(file_map_open(&map, path, &err), 0);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "ab\0cd", 5);
    file_map_close(&map);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);

    assert_null(file_read(path, 4, &size, &err));
    assert_int_equal(err.code, VLMD_TOO_LARGE);
    assert_string_equal(err.field, path);
    unlink(path);
    free(path);
}

static void test_empty_file(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    char *path = write_file("empty", "", 0);
    size_t size = 1;
    char *data = file_read(path, 0, &size, &err);
    assert_non_null(data);
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    free(data);
    struct file_map map;
    assert_int_equal(file_map_open(&map, path, &err), 0);
    assert_null(map.data);
    file_map_close(&map);
    unlink(path);
    free(path);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct file_map map;
    size_t size;
    char *path = file_join(folder, "absent");
    assert_int_equal(file_map_open(&map, path, &err), -1);
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    assert_null(file_read(path, 10, &size, &err));
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    free(path);
    assert_int_equal(file_map_open(&map, folder, &err), -1);
    assert_int_equal(err.code, VLMD_FORMAT);
    assert_null(file_read(folder, 10, &size, &err));
    assert_int_equal(err.code, VLMD_FORMAT);
}

/* FIPS 180-2's examples. */
static void test_sha256(void **state)
{
    (void)state;
    uint8_t hash[HASH_BYTES];
    assert_int_equal(hash_sha256("abc", 3, hash), 0);
    assert_memory_equal(hash, "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23",
                        16);
    assert_int_equal(hash_sha256(NULL, 0, hash), 0);
    assert_memory_equal(hash, "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24",
                        16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_map),
        cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
