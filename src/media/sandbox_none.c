#ifndef __linux__

#include "media/sandbox.h"

int sandbox_enter(struct vlmd_error *err)
{
    (void)err;
    return 0;
}

#else
typedef int sandbox_none_is_not_for_this_platform;
#endif
