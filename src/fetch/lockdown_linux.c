#ifdef __linux__

#include "fetch/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process_limits.h"

/* ---- files: Landlock, where the kernel has it */

#define READ_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ALL_FILES  ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* of the first version */

static void allow_reading(int rules, int fd)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = READ_FILES, .parent_fd = fd};
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

/* What resolvers and TLS read: folders, since their files are replaced while we run. */
static void allow_system(int rules)
{
    static const char *const folders[] = {
        "/etc",
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/share",
        "/usr/local/lib",
        "/usr/local/share",
        "/run/systemd/resolve",
        "/run/resolvconf",
        "/run/NetworkManager",
        "/run/connman",
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int fd = open(folders[i], O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue;
        allow_reading(rules, fd);
        close(fd);
    }
}

/* A kernel without Landlock still has the filter below, which denies every change. */
static void hide_files(const struct local_folders *readable)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs = ALL_FILES};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (rules < 0)
        return;
    allow_system(rules);
    for (size_t i = 0; i < readable->n; i++)
        allow_reading(rules, readable->folder[i].fd);
    syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

/* ---- calls */

/* Nothing that starts programs, serves, looks into or ends other processes, or changes files. A
 * list of what is denied: which calls a resolver makes is decided by the system's configuration. */
static int deny_calls(scmp_filter_ctx filter)
{
    static const int calls[] = {
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(fork),
        SCMP_SYS(vfork),
        SCMP_SYS(listen),
        SCMP_SYS(accept),
        SCMP_SYS(accept4),
        SCMP_SYS(kill),
        SCMP_SYS(tkill),
        SCMP_SYS(pidfd_open),
        SCMP_SYS(pidfd_send_signal),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(rt_sigqueueinfo),
        SCMP_SYS(rt_tgsigqueueinfo),
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(process_madvise),
        SCMP_SYS(kcmp),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(bpf),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_enter),
        SCMP_SYS(io_uring_register),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(keyctl),
        SCMP_SYS(mount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        SCMP_SYS(open_tree),
        SCMP_SYS(move_mount),
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(openat2),
        SCMP_SYS(creat),
        SCMP_SYS(unlink),
        SCMP_SYS(unlinkat),
        SCMP_SYS(rename),
        SCMP_SYS(renameat),
        SCMP_SYS(renameat2),
        SCMP_SYS(link),
        SCMP_SYS(linkat),
        SCMP_SYS(symlink),
        SCMP_SYS(symlinkat),
        SCMP_SYS(mkdir),
        SCMP_SYS(mkdirat),
        SCMP_SYS(rmdir),
        SCMP_SYS(mknod),
        SCMP_SYS(mknodat),
        SCMP_SYS(chmod),
        SCMP_SYS(fchmod),
        SCMP_SYS(fchmodat),
        SCMP_SYS(chown),
        SCMP_SYS(fchown),
        SCMP_SYS(lchown),
        SCMP_SYS(fchownat),
        SCMP_SYS(truncate),
        SCMP_SYS(setxattr),
        SCMP_SYS(lsetxattr),
        SCMP_SYS(fsetxattr),
        SCMP_SYS(setuid),
        SCMP_SYS(setgid),
        SCMP_SYS(setreuid),
        SCMP_SYS(setregid),
        SCMP_SYS(setresuid),
        SCMP_SYS(setresgid),
        SCMP_SYS(setgroups),
        SCMP_SYS(capset),
        SCMP_SYS(personality),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(delete_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(reboot),
        SCMP_SYS(swapon),
        SCMP_SYS(swapoff),
        SCMP_SYS(settimeofday),
        SCMP_SYS(clock_settime),
        SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname),
        SCMP_SYS(acct),
        SCMP_SYS(quotactl),
        SCMP_SYS(syslog),
        SCMP_SYS(setpriority),
        SCMP_SYS(ioprio_set),
    };
    int status = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    return status;
}

/* Threads yes, processes no; libraries fall back to clone() when there is no clone3(). */
static int deny_processes(scmp_filter_ctx filter)
{
    int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return status;
}

/* abort() sends a signal to its own process. Nobody else gets one, neither directly nor by way of a
 * descriptor's owner, and nobody else's limits are touched. */
static int deny_signals(scmp_filter_ctx filter)
{
    static const int owners[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY};
    static const unsigned requests[] = {FIOSETOWN, SIOCSPGRP, TIOCSTI};
    int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                                  SCMP_A0(SCMP_CMP_NE, 0, 0));
    for (size_t i = 0; i < sizeof owners / sizeof *owners && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)owners[i], 0));
    for (size_t i = 0; i < sizeof requests / sizeof *requests && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_EQ, requests[i], 0));
    return status;
}

/* Files may be opened for reading only. */
static int deny_writing(scmp_filter_ctx filter)
{
    static const unsigned bits[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    int status = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits && status == 0; i++) {
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, bits[i], bits[i]));
        if (status == 0)
            status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open), 1,
                                      SCMP_A1(SCMP_CMP_MASKED_EQ, bits[i], bits[i]));
    }
    return status;
}

/* Internet sockets and the kernel's lists of addresses; no sockets of local services. */
static int deny_other_sockets(scmp_filter_ctx filter)
{
    int status = 0;
    for (int family = 0; family <= AF_MAX && status == 0; family++)
        if (family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
            status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                      SCMP_A0(SCMP_CMP_EQ, (unsigned)family, 0));
    return status;
}

/* Modules of resolvers are mapped from their files; nothing becomes executable after it was
 * written. */
static int deny_new_code(scmp_filter_ctx filter)
{
    int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 2,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC),
                                  SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    if (status == 0)
        status = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE));
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    return status;
}

static int filter_calls(struct vlmd_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return err_no_memory(err, 0);
    int status = deny_calls(filter);
    if (status == 0)
        status = deny_processes(filter);
    if (status == 0)
        status = deny_signals(filter);
    if (status == 0)
        status = deny_writing(filter);
    if (status == 0)
        status = deny_other_sockets(filter);
    if (status == 0)
        status = deny_new_code(filter);
    if (status == 0)
        status = seccomp_load(filter);
    seccomp_release(filter);
    if (status == 0)
        return 0;
    errno = -status;
    return err_errno(err, NULL, "the system refuses a seccomp filter");
}

int lockdown_enter(const struct local_folders *readable, struct vlmd_error *err)
{
    if (process_limit((uint64_t)6 << 30, 512, err) < 0)
        return -1;
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, NULL, "the system refuses to let go of privileges");
    hide_files(readable);
    return filter_calls(err) < 0 ? -1 : 1;
}

#else
typedef int lockdown_linux_is_not_for_this_platform;
#endif
