/* What a process can still do inside the sandbox, tried in a child each. */
#include "escapes.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/shared_memory.h"
#include "media/sandbox.h"

static bool enter(void)
{
    return sandbox_enter(NULL) == 1;
}

static int inside(bool (*attempt)(void))
{
    return escape_attempt(enter, attempt);
}

static bool opens_a_file(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool creates_a_file(void)
{
    return open("/tmp/vlmd-sandbox-test", O_CREAT | O_WRONLY, 0600) >= 0;
}

static bool opens_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool opens_a_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool makes_a_pair(void)
{
    int fds[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0;
}

static bool changes_folder(void)
{
    return chdir("/") == 0;
}

static bool raises_its_limits(void)
{
    return nice(1) != -1;
}

static bool reads_its_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {stdin, 1};
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) >= 0;
}

static bool leaves_namespaces(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool links_a_file(void)
{
    return symlink("/etc/passwd", "/tmp/vlmd-sandbox-test") == 0;
}

static bool sets_a_timer(void)
{
    return alarm(1000) == 0 && errno != EPERM && alarm(0) > 0;
}

static bool lists_a_folder(void)
{
    char entries[1024];
    return syscall(SYS_getdents64, 0, entries, sizeof entries) >= 0 || errno != EPERM;
}

static void test_denied(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool (*attempt)(void);
    } cases[] = {
        {"open", opens_a_file},
        {"create", creates_a_file},
        {"unlink", removes_a_file},
        {"socket", opens_a_socket},
        {"unix socket", opens_a_unix_socket},
        {"socketpair", makes_a_pair},
        {"exec", runs_a_program},
        {"fork", forks},
        {"kill", kills_its_parent},
        {"ptrace", traces},
        {"mprotect exec", makes_memory_executable},
        {"mmap exec", maps_executable_memory},
        {"chdir", changes_folder},
        {"setuid", changes_user},
        {"nice", raises_its_limits},
        {"tgkill", signals_its_parent_thread},
        {"F_SETOWN", signals_through_a_descriptor},
        {"execveat", runs_from_memory},
        {"process_vm_readv", reads_its_parent},
        {"pidfd_open", holds_its_parent},
        {"unshare", leaves_namespaces},
        {"symlink", links_a_file},
        {"io_uring", queues_io},
        {"alarm", sets_a_timer},
        {"getdents", lists_a_folder},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = inside(cases[i].attempt);
        if (got == NOT_LOCKED)
            skip(); /* this system has none: the decoder says so */
        if (got != DENIED)
            fail_msg("%s ended with %d", cases[i].name, got);
    }
}

/* What decoding needs: memory, shared memory, hashing of what is in it. */
static bool shares_memory(void)
{
    struct shared_map map;
    int fd = shared_memory_create(1 << 20, NULL);
    if (fd < 0 || shared_memory_map_write(fd, 1 << 20, &map, NULL) < 0)
        return false;
    char *big = malloc(50u << 20);
    if (!big)
        return false;
    memset(big, 1, 50u << 20);
    memcpy(map.data, big, map.size);
    free(big);
    shared_memory_unmap(&map);
    return shared_memory_fix_size(fd, 1 << 20, NULL) == 0 && close(fd) == 0;
}

static void test_allowed(void **state)
{
    (void)state;
    int got = inside(shares_memory);
    if (got == NOT_LOCKED)
        skip();
    assert_int_equal(got, ALLOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
