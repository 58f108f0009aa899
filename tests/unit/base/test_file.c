/* Files read and mapped, in a folder of their own. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

/* pread, with a fault for the next calls when a test wants one. */
static enum {
    NO_FAULT,
    INTERRUPTED,
    SHORT,
    REFUSED,
    BROKEN
} fault;

ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
    if (fault == SHORT && bytes > FILE_PAGE)
        bytes = bytes > 3 * FILE_PAGE ? 2 * FILE_PAGE + 512 : FILE_PAGE;
    if (fault == INTERRUPTED || fault == REFUSED || fault == BROKEN) {
        errno = fault == INTERRUPTED ? EINTR : fault == REFUSED ? EINVAL : EIO;
        if (fault == INTERRUPTED)
            fault = NO_FAULT;
        return -1;
    }
    return (ssize_t)syscall(SYS_pread64, fd, to, bytes, at);
}

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

enum {
    PARTS_SIZE = 10 * FILE_PAGE + 77
};

/* A file of PARTS_SIZE bytes that differ. */
static char *write_parts(const char *name)
{
    static unsigned char bytes[PARTS_SIZE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    return write_file(name, bytes, sizeof bytes);
}

/* Reads a part past the cache; where it lies must be what was asked for. */
static void read_part(const struct file_map *map, void *room, size_t first, size_t bytes)
{
    struct vlmd_error err = {0};
    const void *at;
    memset(room, 0xee, FILE_ROOM(bytes) + 1);
    assert_true(file_map_holds(map, map->data + first, bytes));
    assert_int_equal(file_map_read(map, map->data + first, bytes, room, &at, &err), 0);
    assert_memory_equal(at, map->data + first, bytes);
    assert_int_equal(((unsigned char *)room)[FILE_ROOM(bytes)], 0xee);
    bool moved = at != map->data + first;
    assert_int_equal(moved, map->direct >= 0 && fault != REFUSED);
}

static void test_parts_past_the_cache(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct file_map map;
    char *path = write_parts("parts");
    unsigned char *room = aligned_alloc(FILE_PAGE, FILE_ROOM(PARTS_SIZE) + FILE_PAGE);
    assert_int_equal(file_map_open(&map, path, &err), 0);
    if (map.direct < 0)
        print_message("SKIPPED: the file's system reads through the cache only\n");
    for (fault = NO_FAULT; fault <= REFUSED; fault++) {
        int kind = (int)fault; /* an interruption ends itself */
        read_part(&map, room, 0, 1);
        read_part(&map, room, FILE_PAGE - 1, 2);
        read_part(&map, room, 100, 6 * FILE_PAGE);
        read_part(&map, room, 2 * FILE_PAGE, 3 * FILE_PAGE);
        read_part(&map, room, PARTS_SIZE - 1, 1);
        read_part(&map, room, 0, PARTS_SIZE);
        fault = kind;
    }
    fault = NO_FAULT;
    assert_true(file_map_holds(&map, map.data + PARTS_SIZE, 0));
    assert_false(file_map_holds(&map, map.data + PARTS_SIZE, 1));
    assert_false(file_map_holds(&map, map.data + 1, PARTS_SIZE));
    assert_false(file_map_holds(&map, map.data - 1, 1));
    assert_false(file_map_holds(&map, room, 1));
    file_map_close_direct(&map);
    read_part(&map, room, 100, 200);
    file_map_close(&map);
    assert_false(file_map_holds(&map, NULL, 0));
    free(room);
    unlink(path);
    free(path);
}

static void test_parts_that_cannot_be_read(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct file_map map;
    const void *at;
    char *path = write_parts("broken");
    unsigned char *room = aligned_alloc(FILE_PAGE, FILE_ROOM(PARTS_SIZE));
    assert_int_equal(file_map_open(&map, path, &err), 0);
    if (map.direct >= 0) {
        fault = BROKEN;
        assert_int_equal(file_map_read(&map, map.data, PARTS_SIZE, room, &at, &err), -1);
        fault = NO_FAULT;
        assert_int_equal(err.code, VLMD_IO);
        assert_string_equal(err.field, path);
        for (long size = 3 * FILE_PAGE + 5; size >= 0; size -= FILE_PAGE - 1) {
            assert_int_equal(truncate(path, size), 0);
            assert_int_equal(file_map_read(&map, map.data, PARTS_SIZE, room, &at, &err), -1);
            assert_int_equal(err.code, VLMD_IO);
            assert_non_null(strstr(err.text, "shorter"));
        }
    }
    file_map_close(&map);
    free(room);
    unlink(path);
    free(path);
}

static void test_what_is_in_memory(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct file_map map;
    char *path = write_parts("memory");
    int fd = open(path, O_RDONLY);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(file_map_open(&map, path, &err), 0);
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < PARTS_SIZE; i += FILE_PAGE)
        sum = (unsigned char)(sum + map.data[i]);
    assert_true(file_map_in_memory(&map, map.data + 17, 5 * FILE_PAGE));
    file_map_close(&map);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    assert_int_equal(file_map_open(&map, path, &err), 0);
    if (map.direct < 0 || file_map_in_memory(&map, map.data, PARTS_SIZE))
        print_message("SKIPPED: this system keeps files in memory\n");
    else
        assert_false(file_map_in_memory(&map, map.data + PARTS_SIZE - 1, 1));
    file_map_close(&map);
    close(fd);
    unlink(path);
    free(path);
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
        cmocka_unit_test(test_parts_past_the_cache),
        cmocka_unit_test(test_parts_that_cannot_be_read),
        cmocka_unit_test(test_what_is_in_memory),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
