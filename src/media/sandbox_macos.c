/* Apple's sandbox by a profile of our own. Written from its public description and never run so
 * far. */
#ifdef __APPLE__

#include <sandbox.h>

#include "media/sandbox.h"

/* Computing, the descriptors that are there, and new shared memory of our names for pixels. */
static const char profile[] = "(version 1)\n"
                              "(deny default)\n"
                              "(allow ipc-posix-shm* (ipc-posix-name-regex #\"^/vlmd-\"))\n"
                              "(allow sysctl-read)\n"
                              "(allow signal (target self))\n";

/* The calls are marked as deprecated since 10.8; programs that lock themselves in have no others.
 */
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

int sandbox_enter(struct vlmd_error *err)
{
    char *why = NULL;
    if (sandbox_init(profile, 0, &why) == 0)
        return 1;
    err_set(err, VLMD_INTERNAL, NULL, "the system refuses a sandbox: %s", why ? why : "no reason");
    sandbox_free_error(why);
    return -1;
}

#else
typedef int sandbox_macos_is_not_for_this_platform;
#endif
