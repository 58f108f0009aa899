/* Ways out of a process that has locked itself in, tried in a child each. Each returns whether it
 * went through. Which of them a role must deny is for its own test to say. */
#pragma once

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DENIED = 10,
    ALLOWED = 11,
    NOT_LOCKED = 12,
};

/* Runs `attempt` in a child that has locked itself in by `enter`. */
static inline int escape_attempt(bool (*enter)(void), bool (*attempt)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!enter())
            _exit(NOT_LOCKED);
        _exit(attempt() ? ALLOWED : DENIED);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : DENIED;
}

static inline bool removes_a_file(void)
{
    return unlink("/tmp/vlmd-no-such-file") == 0 || errno == ENOENT;
}

static inline bool runs_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno == ENOENT;
}

static inline bool forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static inline bool kills_its_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static inline bool traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static inline bool makes_memory_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}

static inline bool maps_executable_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

static inline bool changes_user(void)
{
    return setuid(65534) == 0;
}

static inline bool signals_its_parent_thread(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static inline bool signals_through_a_descriptor(void)
{
    return fcntl(STDERR_FILENO, F_SETOWN, getppid()) == 0;
}

static inline bool holds_its_parent(void)
{
    return syscall(SYS_pidfd_open, getppid(), 0) >= 0;
}

static inline bool runs_from_memory(void)
{
    static const char *const none[] = {NULL};
    int fd = memfd_create("program", 0);
    return syscall(SYS_execveat, fd, "", none, none, 0x1000) == 0 || errno == ENOEXEC;
}

static inline bool queues_io(void)
{
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) >= 0;
}
