#include "front/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__

#include <libproc.h>
#include <mach/mach_time.h>

struct process_use process_use(pid_t pid)
{
    struct process_use use = {0};
    struct rusage_info_v2 info;
    mach_timebase_info_data_t base;
    if (proc_pid_rusage(pid, RUSAGE_INFO_V2, (rusage_info_t *)&info) < 0 ||
        mach_timebase_info(&base) != 0)
        return use;
    double ticks = (double)(info.ri_user_time + info.ri_system_time);
    use.resident_bytes = info.ri_resident_size;
    use.private_bytes = info.ri_phys_footprint;
    use.cpu_seconds = ticks * base.numer / base.denom / 1e9;
    return use;
}

#define DESCRIPTORS "/dev/fd"

#else

/* /proc/PID/statm: pages of size, resident, shared. */
static void read_memory(pid_t pid, struct process_use *use)
{
    char path[48];
    unsigned long long size, resident, shared;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f, "%llu %llu %llu", &size, &resident, &shared) == 3 && shared <= resident) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        use->resident_bytes = resident * page;
        use->private_bytes = (resident - shared) * page;
    }
    fclose(f);
}

/* /proc/PID/stat: behind the name in brackets, field 14 and 15 are ticks of user and system. */
static void read_time(pid_t pid, struct process_use *use)
{
    char path[48], line[1024];
    unsigned long long user, system;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *rest = strrchr(line, ')');
    if (rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                       &system) == 2)
        use->cpu_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct process_use process_use(pid_t pid)
{
    struct process_use use = {0};
    read_memory(pid, &use);
    read_time(pid, &use);
    return use;
}

#define DESCRIPTORS "/proc/self/fd"

#endif

unsigned process_open_descriptors(void)
{
    unsigned n = 0;
#ifdef __linux__
    /* Since 6.2 their number is the folder's size: with thousands of them, worth having. */
    struct stat status;
    if (stat(DESCRIPTORS, &status) == 0 && status.st_size > 0)
        return (unsigned)status.st_size;
#endif
    DIR *folder = opendir(DESCRIPTORS);
    if (!folder)
        return 0;
    for (struct dirent *e; (e = readdir(folder));)
        n += *e->d_name != '.';
    closedir(folder);
    return n > 0 ? n - 1 : 0; /* without the folder itself */
}

unsigned process_max_descriptors(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (unsigned)limit.rlim_cur : 0;
}

uint64_t process_system_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}
