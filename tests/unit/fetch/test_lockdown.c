/* What the fetcher's process can still do once it has locked itself in, tried in a child each. */
#include "escapes.h"

#include <ifaddrs.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/lockdown.h"
#include "ipc/shared_memory.h"

static char folder[] = "/tmp/vlmd-lockdown-XXXXXX";

static bool enter(void)
{
    struct local_folders folders = {.n = 0};
    return local_add(&folders, folder, NULL) >= 0 && lockdown_enter(&folders, NULL) == 1;
}

static int inside(bool (*attempt)(void))
{
    return escape_attempt(enter, attempt);
}

static bool may_write(const char *name, int flags)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags, 0600) >= 0;
}

static bool creates_a_file(void)
{
    return may_write("new", O_CREAT | O_WRONLY);
}

static bool opens_for_writing(void)
{
    return may_write("image", O_WRONLY) || may_write("image", O_RDWR) ||
           may_write("image", O_RDONLY | O_TRUNC);
}

static bool opens_by_another_call(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/image", folder);
    return syscall(SYS_openat2, AT_FDCWD, path, NULL, 0) >= 0 || errno != EPERM;
}

static bool renames_a_file(void)
{
    return rename("/tmp/vlmd-no-such-file", "/tmp/vlmd-no-such-file-2") == 0 || errno == ENOENT;
}

static bool makes_a_folder(void)
{
    return mkdir("/tmp/vlmd-lockdown-folder", 0700) == 0;
}

static bool changes_rights(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/image", folder);
    return chmod(path, 0777) == 0;
}

static int bound_socket(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0 ? fd : -1;
}

static bool listens(void)
{
    int fd = bound_socket();
    return fd < 0 || listen(fd, 1) == 0;
}

static bool opens_a_local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool opens_a_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool leaves_its_namespaces(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool raises_a_limit(void)
{
    struct rlimit limit = {4096, 4096};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && geteuid() != 0;
}

static bool signals_through_a_socket(void)
{
    int owner = getppid(), fd = socket(AF_INET, SOCK_STREAM, 0);
    return ioctl(fd, FIOSETOWN, &owner) == 0 || ioctl(fd, SIOCSPGRP, &owner) == 0;
}

static bool limits_its_parent(void)
{
    struct rlimit limit;
    return prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit) == 0;
}

static bool links_a_file(void)
{
    return symlink("/etc/passwd", "/tmp/vlmd-lockdown-link") == 0;
}

static void test_denied(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool (*attempt)(void);
    } cases[] = {
        {"create", creates_a_file},
        {"open for writing", opens_for_writing},
        {"openat2", opens_by_another_call},
        {"unlink", removes_a_file},
        {"rename", renames_a_file},
        {"mkdir", makes_a_folder},
        {"chmod", changes_rights},
        {"exec", runs_a_program},
        {"fork", forks},
        {"kill", kills_its_parent},
        {"ptrace", traces},
        {"listen", listens},
        {"unix socket", opens_a_local_socket},
        {"packet socket", opens_a_packet_socket},
        {"mprotect exec", makes_memory_executable},
        {"mmap exec", maps_executable_memory},
        {"setuid", changes_user},
        {"unshare", leaves_its_namespaces},
        {"setrlimit", raises_a_limit},
        {"tgkill", signals_its_parent_thread},
        {"F_SETOWN", signals_through_a_descriptor},
        {"FIOSETOWN", signals_through_a_socket},
        {"prlimit", limits_its_parent},
        {"pidfd", holds_its_parent},
        {"execveat", runs_from_memory},
        {"symlink", links_a_file},
        {"io_uring", queues_io},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = inside(cases[i].attempt);
        if (got == NOT_LOCKED)
            skip(); /* this system has none: the fetcher says so */
        if (got != DENIED)
            fail_msg("%s ended with %d", cases[i].name, got);
    }
}

static void *nothing(void *context)
{
    return context;
}

static bool starts_a_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool knows_its_addresses(void)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0)
        return false;
    bool some = list != NULL;
    freeifaddrs(list);
    return some;
}

static bool resolves_from_files(void)
{
    struct addrinfo *list;
    if (getaddrinfo("localhost", "80", NULL, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

static bool opens_internet_sockets(void)
{
    return bound_socket() >= 0 && socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static bool reads_the_configuration(void)
{
    return open("/etc/nsswitch.conf", O_RDONLY) >= 0 || errno == ENOENT;
}

static bool reads_its_folder(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/image", folder);
    return open(path, O_RDONLY) >= 0;
}

static bool shares_memory(void)
{
    struct shared_map map;
    int fd = shared_memory_create(1 << 20, NULL);
    if (fd < 0 || shared_memory_map_write(fd, 1 << 20, &map, NULL) < 0)
        return false;
    memset(map.data, 7, map.size);
    shared_memory_unmap(&map);
    return shared_memory_seal(fd, 1 << 20, NULL) == 0 && close(fd) == 0;
}

/* A defect must end the process by its own signal. */
static bool ends_itself(void)
{
    return raise(SIGCONT) == 0;
}

static void test_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool (*attempt)(void);
    } cases[] = {
        {"thread", starts_a_thread},       {"addresses", knows_its_addresses},
        {"names", resolves_from_files},    {"sockets", opens_internet_sockets},
        {"/etc", reads_the_configuration}, {"named folder", reads_its_folder},
        {"shared memory", shares_memory},  {"own signal", ends_itself},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = inside(cases[i].attempt);
        if (got == NOT_LOCKED)
            skip();
        if (got != ALLOWED)
            fail_msg("%s ended with %d", cases[i].name, got);
    }
}

/* Only where the kernel has Landlock. */
static bool reads_another_folder(void)
{
    return open("/proc/self/environ", O_RDONLY) >= 0 || open("/tmp", O_RDONLY) >= 0 ||
           open("/var", O_RDONLY) >= 0 || open("/root", O_RDONLY) >= 0;
}

static void test_hidden(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
        skip();
    int got = inside(reads_another_folder);
    if (got == NOT_LOCKED)
        skip();
    assert_int_equal(got, DENIED);
}

static int make_folder(void **state)
{
    (void)state;
    char path[128];
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/image", folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/image", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_hidden),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
