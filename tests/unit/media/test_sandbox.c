/* What a process can still do inside the sandbox, tried in a child each. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/shared_memory.h"
#include "media/sandbox.h"

enum {
    DENIED = 10,
    ALLOWED = 11,
    NO_SANDBOX = 12,
};

/* Runs `attempt` in a child that has locked itself in. */
static int inside(bool (*attempt)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sandbox_enter(NULL) != 1)
            _exit(NO_SANDBOX);
        _exit(attempt() ? ALLOWED : DENIED);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : DENIED;
}

static bool opens_a_file(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool creates_a_file(void)
{
    return open("/tmp/vlmd-sandbox-test", O_CREAT | O_WRONLY, 0600) >= 0;
}

static bool removes_a_file(void)
{
    return unlink("/tmp/vlmd-no-such-file") == 0 || errno == ENOENT;
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

static bool runs_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno == ENOENT;
}

static bool forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool kills_its_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static bool traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool makes_memory_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool maps_executable_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

static bool changes_folder(void)
{
    return chdir("/") == 0;
}

static bool changes_user(void)
{
    return setuid(65534) == 0;
}

static bool raises_its_limits(void)
{
    return nice(1) != -1;
}

static bool signals_its_parent_thread(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static bool signals_through_a_descriptor(void)
{
    return fcntl(STDERR_FILENO, F_SETOWN, getppid()) == 0;
}

static bool runs_from_memory(void)
{
    static const char *const none[] = {NULL};
    int fd = memfd_create("program", 0);
    return syscall(SYS_execveat, fd, "", none, none, 0x1000) == 0 || errno == ENOEXEC;
}

static bool reads_its_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {stdin, 1};
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) >= 0;
}

static bool holds_its_parent(void)
{
    return syscall(SYS_pidfd_open, getppid(), 0) >= 0;
}

static bool leaves_namespaces(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool links_a_file(void)
{
    return symlink("/etc/passwd", "/tmp/vlmd-sandbox-test") == 0;
}

static bool queues_io(void)
{
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) >= 0;
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
        if (got == NO_SANDBOX)
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
    if (got == NO_SANDBOX)
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
