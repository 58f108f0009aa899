/* The decoder role: a process that takes untrusted image bytes and gives upright RGB pixels at the
 * model's size, one image after another, with nothing else in its reach. */
#pragma once

#include <stdbool.h>

/* Runs until the front closes the channel (the socket `channel_fd`, which it takes over). Returns
 * the exit status of the process. */
int decoder_main(int channel_fd, bool want_sandbox);
