#include "base/process_limits.h"

#include <sys/resource.h>

/* What somebody has limited more narrowly stays so: it could not be widened, and should not. */
static int limit(int resource, uint64_t value, struct vlmd_error *err)
{
    struct rlimit r;
    if (getrlimit(resource, &r) < 0)
        return err_errno(err, NULL, "cannot read the limits of this process");
    if (r.rlim_max > (rlim_t)value)
        r.rlim_max = (rlim_t)value;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(resource, &r) < 0)
        return err_errno(err, NULL, "cannot limit the resources of this process");
    return 0;
}

int process_limit(uint64_t memory, unsigned descriptors, struct vlmd_error *err)
{
#ifdef PROCESS_SANITIZED
    (void)memory;
#else
    if (limit(RLIMIT_AS, memory, err) < 0)
        return -1;
#endif
    if (limit(RLIMIT_FSIZE, (uint64_t)1 << 30, err) < 0 ||
        limit(RLIMIT_NOFILE, descriptors, err) < 0 || limit(RLIMIT_CORE, 0, err) < 0)
        return -1;
    return 0;
}
