/* What only tests may do. In the program that is installed both answers are "nothing", and nothing
 * at run time can change that: programs for tests are linked with a file of their own instead of
 * allowance.c. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* May this address be connected to although it is not public? */
bool allowance_address(const struct sockaddr *address);
/* Certificates to trust instead of the system's, or NULL. */
const char *allowance_certificates(void);
