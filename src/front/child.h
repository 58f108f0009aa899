/* Starting a child process in one of this program's roles. Everything that a child inherits is in
 * struct child_plan: no other descriptor, no other variable of the environment. */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "ipc/channel.h"

#define CHILD_CHANNEL_FD 3

struct child_plan {
    const char *program;          /* what to run */
    const char *const *arguments; /* argv, NULL-terminated */
    enum ipc_role role;           /* that the child plays */
};

struct child {
    pid_t pid;
    struct channel *channel;
};

/* Starts it in a process group of its own (a terminal's Ctrl-C reaches only the parent, which then
 * ends it), with its standard input and output on /dev/null, its standard error ours
 * (or child_set_stderr's), and its channel at CHILD_CHANNEL_FD. Where memory runs out, the system
 * is asked to end it rather than us. -1 with *err. */
int child_start(const struct child_plan *plan, struct child *out, struct vlmd_error *err);

/* What children that are started from now on have as their standard error; ours at first. */
void child_set_stderr(int fd);

/* For the child: dies with its parent, as far as the platform can. */
void child_tie_to_parent(void);
/* In a child: the log's level is what the parent's was when it started it. */
void child_take_log_level(void);

/* This program itself, to be run in another role. */
const char *child_own_program(void);
/* The folder that holds this program, in memory that the caller frees; NULL if unknown. */
char *child_program_folder(void);

/* "exit status 1", "signal 9 (Killed)": how a process ended, for the log. */
void child_describe_exit(int wait_status, char *out, size_t cap);
