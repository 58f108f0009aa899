/* The children's standard error as a pipe that the front reads, so that their lines get into its
 * log in the log's own form. Only where the log is more than text on standard error. */
#pragma once

#include <uv.h>

#include "base/err.h"

struct log_pipe;

/* Children started from now on write into it (child_set_stderr). NULL with *err. */
struct log_pipe *log_pipe_open(uv_loop_t *loop, struct vlmd_error *err);
/* Lets the loop end. */
void log_pipe_stop(struct log_pipe *p);
/* The loop has ended: forwards what is left. */
void log_pipe_close(struct log_pipe *p);
