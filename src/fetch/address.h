/* Which addresses the fetcher may connect to: those of the public internet, and none by which a
 * machine reaches itself, its neighbours, its provider's services, or an IPv4 address in disguise.
 * Judges addresses of sockets, never names or texts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

#define ADDRESS_MAX_BLOCKS 64

/* The first `bits` bits of an address; family is AF_INET (4 bytes) or AF_INET6 (16 bytes). */
struct network {
    int family;
    unsigned bits;
    uint8_t bytes[16];
};

/* What the operator blocks in addition. */
struct address_blocks {
    struct network networks[ADDRESS_MAX_BLOCKS];
    size_t n;
};

/* Reads "198.51.100.0/24,2001:db8::/32", or nothing from "". -1 with *err. */
int address_blocks_parse(struct address_blocks *out, const char *text, struct vlmd_error *err);

/* NULL: it may be connected to. Otherwise what it is ("private network", "this machine's own
 * address"), for the log. Anything but IPv4 and IPv6 is refused, and so is everything when the
 * machine's own addresses cannot be found out. */
const char *address_refusal(const struct sockaddr *address, const struct address_blocks *blocks);

/* The same without the operator's networks and the machine's own addresses: a pure function. */
const char *address_special(const struct sockaddr *address);
