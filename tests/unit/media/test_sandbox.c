/* What a process can still do inside the sandbox, tried in a child each. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
