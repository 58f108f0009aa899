/* Locks the process in: from then on it can compute, use the descriptors that it has, and get
 * memory; no file, socket or program can be opened. One implementation a platform. */
#pragma once

#include "base/err.h"

/* 1: locked in. 0: this platform has no implementation yet. -1 with *err: the system refused. */
int sandbox_enter(struct vlmd_error *err);
