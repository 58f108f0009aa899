#include "base/processors.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "base/file.h"

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

/* ---- cores */

/* The least of a core's threads that is in the set stands for the core. */
static bool stands_for_core(const struct processors *set, int cpu, const char *root)
{
    char path[PATH_BYTES], text[SMALL_FILE];
    struct processors siblings;
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             root, cpu);
    if (!file_read_small(path, text, sizeof text))
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
