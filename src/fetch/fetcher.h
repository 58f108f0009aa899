/* The fetcher role: a process that gets images from the addresses and files that users name, with
 * no connection of a client, no model and no picture in its reach. What arrives is not looked at.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* Texts as on the command line; see docs/SECURITY.md. */
struct fetcher_options {
    const char *ports;          /* "80,443"; "": nothing is fetched over the network */
    const char *blocks;         /* "198.51.100.0/24,..." or "" */
    unsigned redirects;         /* followed for one image */
    unsigned seconds;           /* for one image */
    const char *const *folders; /* whose files may be named */
    int n_folders;
    bool sandbox;
};

/* Can it run with these? -1 with *err, whose field is the setting of `vlmd serve`. */
int fetcher_check(const struct fetcher_options *options, struct vlmd_error *err);
/* Runs until the front closes the channel (the socket `channel_fd`, which it takes over). Returns
 * the exit status of the process. */
int fetcher_main(int channel_fd, const struct fetcher_options *options);
