/* The commands of the program. Each gets the arguments behind its name and returns the exit status:
 * 0 done, 1 it failed, 2 it was called wrongly. */
#pragma once

int command_serve(int argc, char **argv);
int command_run(int argc, char **argv);
int command_list(int argc, char **argv);
int command_help(int argc, char **argv);
int command_version(int argc, char **argv);

/* The roles that the program plays for itself; see docs/PROCESSES.md. */
int role_worker(int argc, char **argv);
int role_decoder(int argc, char **argv);
int role_fetcher(int argc, char **argv);

/* Shows a usage error and returns 2. */
int command_misused(const char *command, const char *text);
