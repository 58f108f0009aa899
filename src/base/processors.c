#include "base/processors.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

enum {
    PATH_BYTES = 4096,
    SMALL_FILE = 4096
};

bool processors_has(const struct processors *set, int cpu)
{
    return cpu >= 0 && cpu < PROCESSORS_MAX && (set->words[cpu / 64] >> (cpu % 64) & 1);
}

static void add(struct processors *set, int cpu)
{
    set->words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
}

int processors_count(const struct processors *set)
{
    int n = 0;
    for (int i = 0; i < PROCESSORS_MAX / 64; i++)
        n += __builtin_popcountll(set->words[i]);
    return n;
}

/* ---- lists */

/* The number at *text, which is moved behind it; -1: none, or too large. */
static int read_number(const char **text)
{
    int n = 0;
    if (!isdigit((unsigned char)**text))
        return -1;
    for (; isdigit((unsigned char)**text); (*text)++) {
        n = n * 10 + (**text - '0');
        if (n >= PROCESSORS_MAX)
            return -1;
    }
    return n;
}

int processors_parse(struct processors *out, const char *text, struct vlmd_error *err)
{
    *out = (struct processors){0};
    const char *p = text;
    for (;;) {
        int first = read_number(&p), last = first;
        if (first >= 0 && *p == '-') {
            p++;
            last = read_number(&p);
        }
        if (first < 0 || last < first || (*p != ',' && *p != '\0'))
            return err_set(err, VLMD_INVALID, "cpus",
                           "\"%.80s\" is no list of processors: numbers below %d and ranges, as "
                           "0-3,8",
                           text, PROCESSORS_MAX);
        for (int cpu = first; cpu <= last; cpu++)
            add(out, cpu);
        if (*p++ == '\0')
            return 0;
    }
}

/* ---- of this process */

#ifdef __linux__
bool processors_allowed(struct processors *out)
{
    cpu_set_t set;
    *out = (struct processors){0};
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < PROCESSORS_MAX; cpu++)
        if (CPU_ISSET(cpu, &set))
            add(out, cpu);
    return processors_count(out) > 0;
}

static int bind_to(const struct processors *chosen, struct vlmd_error *err)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < PROCESSORS_MAX; cpu++)
        if (processors_has(chosen, cpu))
            CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        return err_errno(err, "cpus", "cannot bind this process to its processors");
    return 0;
}
#else
bool processors_allowed(struct processors *out)
{
    *out = (struct processors){0};
    return false;
}

static int bind_to(const struct processors *chosen, struct vlmd_error *err)
{
    (void)chosen;
    return err_set(err, VLMD_UNSUPPORTED, "cpus", "processes cannot be bound to processors here");
}
#endif

int processors_choose(struct processors *out, const char *text, struct vlmd_error *err)
{
    struct processors allowed;
    if (processors_parse(out, text, err) < 0)
        return -1;
    if (!processors_allowed(&allowed))
        return err_set(err, VLMD_UNSUPPORTED, "cpus",
                       "this system cannot bind processes to processors");
    for (int cpu = 0; cpu < PROCESSORS_MAX; cpu++)
        if (processors_has(out, cpu) && !processors_has(&allowed, cpu))
            return err_set(err, VLMD_INVALID, "cpus",
                           "processor %d is not among the %d that this process may use", cpu,
                           processors_count(&allowed));
    return 0;
}

int processors_bind(const char *text, struct vlmd_error *err)
{
    struct processors chosen;
    return processors_choose(&chosen, text, err) < 0 ? -1 : bind_to(&chosen, err);
}

/* ---- what the system tells in small files */

/* Files of /proc and /sys say nothing of their size. False when it is not there. */
static bool read_small(const char *path, char text[SMALL_FILE])
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    while (n < SMALL_FILE - 1) {
        ssize_t got = read(fd, text + n, SMALL_FILE - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    text[n] = '\0';
    return n > 0;
}

/* The least of a core's threads that is in the set stands for the core. */
static bool stands_for_core(const struct processors *set, int cpu, const char *root)
{
    char path[PATH_BYTES], text[SMALL_FILE];
    struct processors siblings;
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             root, cpu);
    if (!read_small(path, text))
        return true;
    text[strcspn(text, "\n")] = '\0';
    if (processors_parse(&siblings, text, NULL) < 0)
        return true;
    for (int other = 0; other < cpu; other++)
        if (processors_has(&siblings, other) && processors_has(set, other))
            return false;
    return true;
}

int processors_cores(const struct processors *set, const char *root)
{
    int n = 0;
    for (int cpu = 0; cpu < PROCESSORS_MAX; cpu++)
        n += processors_has(set, cpu) && stands_for_core(set, cpu, root);
    return n;
}

/* ---- control groups */

/* Whole processors of quota / period; 0 where that is no limit. */
static int whole(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= PROCESSORS_MAX)
        return 0;
    return quota < period ? 1 : (int)(quota / period);
}

static int quota_of_v2(const char *folder)
{
    char path[PATH_BYTES + 32], text[SMALL_FILE];
    long long quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_small(path, text) || sscanf(text, "%19lld %19lld", &quota, &period) != 2)
        return 0; /* "max 100000" */
    return whole(quota, period);
}

static long long number_in(const char *folder, const char *name)
{
    char path[PATH_BYTES + 32], text[SMALL_FILE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_small(path, text) ? strtoll(text, NULL, 10) : 0;
}

static int quota_of_v1(const char *folder)
{
    return whole(number_in(folder, "cpu.cfs_quota_us"), number_in(folder, "cpu.cfs_period_us"));
}

static int smaller_limit(int a, int b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* The smallest limit of the group and those above it. In a container the path may be the host's,
 * which is not there: its mount's top is the container's own group then. */
static int quota_above(const char *mount, const char *group, int (*quota_of)(const char *folder))
{
    char folder[PATH_BYTES];
    size_t top = strlen(mount);
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group), limit = 0;
    if (n < 0 || (size_t)n >= sizeof folder || strstr(group, ".."))
        return quota_of(mount);
    for (;;) {
        limit = smaller_limit(limit, quota_of(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + top)
            return limit;
        *slash = '\0';
    }
}

static bool lists_cpu(const char *controllers)
{
    for (const char *p = controllers; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
        if (strcspn(p, ",") == 3 && strncmp(p, "cpu", 3) == 0)
            return true;
    return false;
}

/* A line of /proc/self/cgroup: number:controllers:group; version 2 has none in the middle. */
static int quota_of_line(char *line, const char *root)
{
    char mount[PATH_BYTES];
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return 0;
    *controllers++ = '\0';
    *group++ = '\0';
    if (*controllers == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return quota_above(mount, group, quota_of_v2);
    }
    if (!lists_cpu(controllers))
        return 0;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
    int limit = quota_above(mount, group, quota_of_v1);
    if (limit > 0 || strcmp(controllers, "cpu") == 0)
        return limit;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%.256s", root, controllers);
    return quota_above(mount, group, quota_of_v1);
}

int processors_quota(const char *root)
{
    char path[PATH_BYTES], text[SMALL_FILE], *rest = NULL;
    int limit = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!read_small(path, text))
        return 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        limit = smaller_limit(limit, quota_of_line(line, root));
    return limit;
}
