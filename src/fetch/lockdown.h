/* Narrows what the fetcher's process can still do, as far as a system's resolver and TLS allow: it
 * may connect, read the system's configuration and certificates and the named folders, and nothing
 * else. One implementation a platform. */
#pragma once

#include "base/err.h"
#include "fetch/local.h"

/* 1: narrowed. 0: this platform has no implementation yet. -1 with *err: the system refused. */
int lockdown_enter(const struct local_folders *readable, struct vlmd_error *err);
