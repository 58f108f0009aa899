#include "front/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "base/log.h"

#define PROGRAM_MAX     4096
#define CHILD_LOG_LEVEL "VLMD_LOG_LEVEL"
/* Thousandths of all memory (of the control group's) that the kernel adds to what a child has,
 * before it chooses whom to end: as much as browsers add to their tabs. */
#define YIELD_MEMORY 300
#define YIELD_MOST   1000

static int child_stderr = STDERR_FILENO;

void child_set_stderr(int fd)
{
    child_stderr = fd;
}

/* The whole environment of a child: a path that holds nothing of the user's, the level of its log,
 * and the options of the sanitizers, which only builds with them read. */
static size_t make_environment(const char **out, char (*texts)[512])
{
    static const char *const kept[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                       "TSAN_OPTIONS"};
    size_t n = 0;
    out[n++] = "PATH=/usr/bin:/bin";
    snprintf(*texts, sizeof *texts, CHILD_LOG_LEVEL "=%s", log_level_name());
    out[n++] = *texts++;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = getenv(kept[i]);
        if (!value || strlen(value) > 400)
            continue;
        snprintf(texts[i], sizeof texts[i], "%s=%s", kept[i], value);
        out[n++] = texts[i];
    }
    out[n] = NULL;
    return n;
}

static int describe_files(posix_spawn_file_actions_t *files, int channel)
{
    int status = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (status == 0)
        status = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (status == 0 && child_stderr != STDERR_FILENO)
        status = posix_spawn_file_actions_adddup2(files, child_stderr, STDERR_FILENO);
    if (status == 0)
        status = posix_spawn_file_actions_adddup2(files, channel, CHILD_CHANNEL_FD);
#ifdef __GLIBC__
    if (status == 0)
        status = posix_spawn_file_actions_addclosefrom_np(files, CHILD_CHANNEL_FD + 1);
#endif
#ifdef __APPLE__
    if (status == 0)
        status = posix_spawn_file_actions_addinherit_np(files, STDERR_FILENO);
#endif
    return status;
}

static int describe_process(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#ifdef __APPLE__
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
    int status = posix_spawnattr_setflags(attributes, flags);
    if (status == 0)
        status = posix_spawnattr_setsigmask(attributes, &none);
    if (status == 0)
        status = posix_spawnattr_setsigdefault(attributes, &all);
    return status;
}

/* Returns 0 or an errno. */
static int spawn(const struct child_plan *plan, int channel, pid_t *pid)
{
    const char *environment[8];
    char texts[5][512];
    make_environment(environment, texts);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int status = posix_spawn_file_actions_init(&files);
    if (status != 0)
        return status;
    status = posix_spawnattr_init(&attributes);
    if (status != 0) {
        posix_spawn_file_actions_destroy(&files);
        return status;
    }
    status = describe_files(&files, channel);
    if (status == 0)
        status = describe_process(&attributes);
    if (status == 0)
        status = posix_spawn(pid, plan->program, &files, &attributes,
                             (char *const *)(uintptr_t)plan->arguments,
                             (char *const *)(uintptr_t)environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return status;
}

/* When memory runs out, the system is to end the child rather than us, who start it again. Said by
 * us, as soon as it runs: what a child does first may be what memory runs out at. */
static void yield_memory(pid_t child)
{
#ifdef __linux__
    char text[32] = "";
    int own = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    ssize_t n = own >= 0 ? read(own, text, sizeof text - 1) : -1;
    if (own >= 0)
        close(own);
    int now = atoi(text); /* what runs the server may have a wish of its own */
    snprintf(text, sizeof text, "/proc/%ld/oom_score_adj", (long)child);
    int its = n > 0 ? open(text, O_WRONLY | O_CLOEXEC) : -1;
    int len = snprintf(text, sizeof text, "%d",
                       now + YIELD_MEMORY < YIELD_MOST ? now + YIELD_MEMORY : YIELD_MOST);
    if (its < 0 || write(its, text, (size_t)len) < 0)
        log_write(LOG_DEBUG, "a child's memory cannot be said to go first");
    if (its >= 0)
        close(its);
#else
    (void)child;
#endif
}

int child_start(const struct child_plan *plan, struct child *out, struct vlmd_error *err)
{
    int ends[2];
    *out = (struct child){0};
    if (channel_pair(ends, err) < 0)
        return -1;
    int status = spawn(plan, ends[1], &out->pid);
    close(ends[1]);
    if (status != 0) {
        close(ends[0]);
        errno = status;
        return err_errno(err, NULL, "cannot start %s", plan->program);
    }
    yield_memory(out->pid);
    out->channel = channel_open(ends[0], IPC_BY_FRONT, plan->role, err);
    if (out->channel)
        return 0;
    kill(out->pid, SIGKILL);
    waitpid(out->pid, NULL, 0);
    return -1;
}

void child_take_log_level(void)
{
    const char *name = getenv(CHILD_LOG_LEVEL);
    int level = name ? log_level_from_name(name) : -1;
    if (level >= 0)
        log_set_level((enum log_level)level);
}

void child_tie_to_parent(void)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have died before that line; then its end of the channel is closed. Its process id says
     * nothing: as the first process of a container it has number 1 itself. */
    struct pollfd channel = {.fd = CHILD_CHANNEL_FD};
    if (poll(&channel, 1, 0) == 1 && (channel.revents & POLLHUP))
        _exit(1);
#endif
}

#ifdef __APPLE__
static bool own_path(char *out, size_t cap)
{
    uint32_t size = (uint32_t)cap;
    return _NSGetExecutablePath(out, &size) == 0;
}
#else
static bool own_path(char *out, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}
#endif

const char *child_own_program(void)
{
#ifdef __APPLE__
    static char path[PROGRAM_MAX];
    if (own_path(path, sizeof path))
        return path;
#endif
    return "/proc/self/exe"; /* also when the file was replaced meanwhile */
}

char *child_program_folder(void)
{
    char path[PROGRAM_MAX];
    if (!own_path(path, sizeof path))
        return NULL;
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return strdup(path);
}

void child_describe_exit(int status, char *out, size_t cap)
{
    if (WIFSIGNALED(status))
        snprintf(out, cap, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, cap, "exit status %d", WEXITSTATUS(status));
}
