#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/process_limits.h"
#include "media/sandbox.h"

/* What image codecs, malloc and the channel need. Memory may not become executable. */
static int add_rules(scmp_filter_ctx filter)
{
    static const int calls[] = {
        SCMP_SYS(read),           SCMP_SYS(write),        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),        SCMP_SYS(poll),         SCMP_SYS(ppoll),
        SCMP_SYS(munmap),         SCMP_SYS(mremap),       SCMP_SYS(brk),
        SCMP_SYS(madvise),        SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
        SCMP_SYS(fstat),          SCMP_SYS(close),        SCMP_SYS(sched_yield),
        SCMP_SYS(futex),          SCMP_SYS(getrandom),    SCMP_SYS(clock_gettime),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
        SCMP_SYS(getpid),         SCMP_SYS(gettid),       SCMP_SYS(exit),
        SCMP_SYS(exit_group),
    };
    /* Not F_SETOWN: a descriptor's signals could be sent to the front. */
    static const int descriptor[] = {F_GETFD, F_SETFD,     F_GETFL,
                                     F_SETFL, F_ADD_SEALS, F_DUPFD_CLOEXEC};
    static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    int status = 0;
#ifdef PROCESS_SANITIZED /* the sanitizer puts its signal stack away when a thread ends */
    status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
#endif
    for (size_t i = 0; i < sizeof calls / sizeof *calls && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (size_t i = 0; i < sizeof mapping / sizeof *mapping && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    for (size_t i = 0; i < sizeof descriptor / sizeof *descriptor && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)descriptor[i], 0));
    /* abort() sends a signal to its own process, and nobody else may get one. */
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    /* fstat() is newfstatat(fd, "", ..., AT_EMPTY_PATH) in newer libraries. A path given to it
     * could only tell whether a file exists. */
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 0);
    return status;
}

int sandbox_enter(struct vlmd_error *err)
{
    if (process_limit((uint64_t)3 << 30, 64, err) < 0)
        return -1;
    prctl(PR_SET_DUMPABLE, 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return err_no_memory(err, 0);
    int status = add_rules(filter);
    if (status == 0)
        status = seccomp_load(filter);
    seccomp_release(filter);
    if (status < 0) {
        errno = -status;
        return err_errno(err, NULL, "the system refuses a seccomp filter");
    }
    return 1;
}

#else
typedef int sandbox_linux_is_not_for_this_platform;
#endif
