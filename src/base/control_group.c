#include "base/control_group.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum {
    PATH_BYTES = 4096,
    FILE_BYTES = 4096,
    MOST_PROCESSORS = 1 << 20
};

/* One group's limit, from its folder; 0: none. */
typedef uint64_t (*limit_fn)(const char *folder);

/* A controller of version 1 by its name, and how limits are read in each version. */
struct controller {
    const char *name;
    limit_fn of_v1, of_v2;
};

static bool read_in(const char *folder, const char *name, char text[FILE_BYTES])
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return file_read_small(path, text, FILE_BYTES);
}

/* 0 for "max", for -1 and for a file that is not there. */
static uint64_t number_in(const char *folder, const char *name)
{
    char text[FILE_BYTES];
    long long number = read_in(folder, name, text) ? strtoll(text, NULL, 10) : 0;
    return number > 0 ? (uint64_t)number : 0;
}

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* ---- processors */

/* Whole processors of quota / period; 0 where that is no limit. */
static uint64_t whole(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= MOST_PROCESSORS)
        return 0;
    return quota < period ? 1 : (uint64_t)(quota / period);
}

static uint64_t quota_of_v2(const char *folder)
{
    char text[FILE_BYTES];
    long long quota, period;
    if (!read_in(folder, "cpu.max", text) || sscanf(text, "%19lld %19lld", &quota, &period) != 2)
        return 0; /* "max 100000" */
    return whole(quota, period);
}

static uint64_t quota_of_v1(const char *folder)
{
    return whole((long long)number_in(folder, "cpu.cfs_quota_us"),
                 (long long)number_in(folder, "cpu.cfs_period_us"));
}

/* ---- memory */

/* Above memory.high a group is slowed down until it has given back, which a model cannot. */
static uint64_t memory_of_v2(const char *folder)
{
    return smaller_limit(number_in(folder, "memory.max"), number_in(folder, "memory.high"));
}

static uint64_t memory_of_v1(const char *folder)
{
    return number_in(folder, "memory.limit_in_bytes");
}

/* ---- groups */

/* The smallest limit of the group and those above it. In a container the path may be the host's,
 * which is not there: its mount's top is the container's own group then. */
static uint64_t limit_above(const char *mount, const char *group, limit_fn limit_of)
{
    char folder[PATH_BYTES];
    size_t top = strlen(mount);
    uint64_t limit = 0;
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (n < 0 || (size_t)n >= sizeof folder || strstr(group, ".."))
        return limit_of(mount);
    for (;;) {
        limit = smaller_limit(limit, limit_of(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + top)
            return limit;
        *slash = '\0';
    }
}

static bool lists(const char *controllers, const char *name)
{
    for (const char *p = controllers; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
        if (strcspn(p, ",") == strlen(name) && strncmp(p, name, strlen(name)) == 0)
            return true;
    return false;
}

/* A line of /proc/self/cgroup: number:controllers:group; version 2 has none in the middle. */
static uint64_t limit_of_line(char *line, const char *root, const struct controller *c)
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
        return limit_above(mount, group, c->of_v2);
    }
    if (!lists(controllers, c->name))
        return 0;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, c->name);
    uint64_t limit = limit_above(mount, group, c->of_v1);
    if (limit > 0 || strcmp(controllers, c->name) == 0)
        return limit;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%.256s", root, controllers);
    return limit_above(mount, group, c->of_v1);
}

static uint64_t limit_of_process(const char *root, const struct controller *c)
{
    char path[PATH_BYTES], text[FILE_BYTES], *rest = NULL;
    uint64_t limit = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!file_read_small(path, text, sizeof text))
        return 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        limit = smaller_limit(limit, limit_of_line(line, root, c));
    return limit;
}

int control_group_processors(const char *root)
{
    static const struct controller cpu = {"cpu", quota_of_v1, quota_of_v2};
    return (int)limit_of_process(root, &cpu);
}

uint64_t control_group_memory(const char *root)
{
    static const struct controller memory = {"memory", memory_of_v1, memory_of_v2};
    return limit_of_process(root, &memory);
}
