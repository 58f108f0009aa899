#include "fetch/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/allowance.h"

/* IANA's registry of special-purpose IPv4 addresses, multicast and reserved space, and one address
 * by which a cloud serves its guests from public space. */
static const struct {
    uint32_t network;
    unsigned bits;
    const char *what;
} special_v4[] = {
    {0x00000000, 8, "this network"},
    {0x0A000000, 8, "private network"},
    {0x64400000, 10, "shared address space of carriers"},
    {0x7F000000, 8, "loopback"},
    {0xA83F8110, 32, "a cloud's service address"}, /* 168.63.129.16 */
    {0xA9FE0000, 16, "link-local or metadata service"},
    {0xAC100000, 12, "private network"},
    {0xC0000000, 24, "protocol assignments"},
    {0xC0000200, 24, "documentation"},
    {0xC0586300, 24, "6to4 relay"},
    {0xC0A80000, 16, "private network"},
    {0xC6120000, 15, "benchmarks"},
    {0xC6336400, 24, "documentation"},
    {0xCB007100, 24, "documentation"},
    {0xE0000000, 4, "multicast"},
    {0xF0000000, 4, "reserved or broadcast"},
};

/* Within global unicast space. Everything outside of it is refused as a whole: unspecified and
 * loopback, IPv4 compatible, mapped and translated, NAT64, discard, segment routing, unique local,
 * link-local, site-local, multicast, and what nobody has assigned. */
static const struct {
    uint8_t network[4];
    unsigned bits;
    const char *what;
} special_v6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23, "protocol assignments (Teredo and others)"},
    {{0x20, 0x01, 0x0D, 0xB8}, 32, "documentation"},
    {{0x20, 0x02, 0x00, 0x00}, 16, "6to4"},
    {{0x3F, 0xFF, 0x00, 0x00}, 20, "documentation"},
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned bytes = bits / 8;
    if (memcmp(a, b, bytes) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

/* The bytes of an address and how many there are; 0 for other families. */
static size_t bytes_of(const struct sockaddr *address, uint8_t out[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(out, &in.sin_addr, 4);
        return 4;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(out, &in6.sin6_addr, 16);
        return 16;
    }
    return 0;
}

static const char *judge_v4(const uint8_t bytes[4])
{
    uint32_t value =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    for (size_t i = 0; i < sizeof special_v4 / sizeof *special_v4; i++)
        if ((value ^ special_v4[i].network) >> (32 - special_v4[i].bits) == 0)
            return special_v4[i].what;
    return NULL;
}

static const char *judge_v6(const uint8_t bytes[16])
{
    if (bytes[0] >> 5 != 1)
        return "outside of IPv6's global unicast space";
    for (size_t i = 0; i < sizeof special_v6 / sizeof *special_v6; i++)
        if (same_bits(bytes, special_v6[i].network, special_v6[i].bits))
            return special_v6[i].what;
    return NULL;
}

const char *address_special(const struct sockaddr *address)
{
    uint8_t bytes[16];
    size_t len = bytes_of(address, bytes);
    if (len == 0)
        return "no internet address";
    return len == 4 ? judge_v4(bytes) : judge_v6(bytes);
}

/* Asked anew each time: interfaces come and go. */
static const char *judge_own(const struct sockaddr *address)
{
    struct ifaddrs *list;
    uint8_t wanted[16], own[16];
    size_t len = bytes_of(address, wanted);
    if (getifaddrs(&list) < 0)
        return "this machine's own addresses are unknown";
    bool found = false;
    for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next)
        found = i->ifa_addr && bytes_of(i->ifa_addr, own) == len && memcmp(own, wanted, len) == 0;
    freeifaddrs(list);
    return found ? "this machine's own address" : NULL;
}

static bool is_blocked(const struct sockaddr *address, const struct address_blocks *blocks)
{
    uint8_t bytes[16];
    if (bytes_of(address, bytes) == 0)
        return true;
    for (size_t i = 0; i < blocks->n; i++) {
        const struct network *n = &blocks->networks[i];
        if (n->family == address->sa_family && same_bits(bytes, n->bytes, n->bits))
            return true;
    }
    return false;
}

const char *address_refusal(const struct sockaddr *address, const struct address_blocks *blocks)
{
    if (is_blocked(address, blocks))
        return "in a network that the operator blocks";
    if (allowance_address(address))
        return NULL;
    const char *special = address_special(address);
    return special ? special : judge_own(address);
}

static int parse_network(struct network *out, const char *text, struct vlmd_error *err)
{
    char address[64];
    size_t len = strcspn(text, "/");
    unsigned long most;
    *out = (struct network){0};
    if (len >= sizeof address)
        goto wrong;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, out->bytes) == 1) {
        out->family = AF_INET;
        most = 32;
    } else if (inet_pton(AF_INET6, address, out->bytes) == 1) {
        out->family = AF_INET6;
        most = 128;
    } else {
        goto wrong;
    }
    unsigned long bits = most;
    if (text[len] == '/') {
        char *end;
        bits = strtoul(text + len + 1, &end, 10);
        if (end == text + len + 1 || *end || text[len + 1] == '-' || text[len + 1] == '+')
            goto wrong;
    }
    if (bits > most)
        goto wrong;
    out->bits = (unsigned)bits;
    return 0;
wrong:
    return err_set(err, VLMD_INVALID, NULL, "%s is no network (198.51.100.0/24, 2001:db8::/32)",
                   text);
}

int address_blocks_parse(struct address_blocks *out, const char *text, struct vlmd_error *err)
{
    out->n = 0;
    while (*text) {
        char one[96];
        size_t len = strcspn(text, ",");
        if (len >= sizeof one)
            return err_set(err, VLMD_INVALID, NULL, "a network is at most %zu characters long",
                           sizeof one - 1);
        if (out->n == ADDRESS_MAX_BLOCKS)
            return err_set(err, VLMD_TOO_LARGE, NULL, "at most %d networks", ADDRESS_MAX_BLOCKS);
        memcpy(one, text, len);
        one[len] = '\0';
        if (parse_network(&out->networks[out->n], one, err) < 0)
            return -1;
        out->n++;
        text += len;
        if (*text == ',' && *++text == '\0')
            return err_set(err, VLMD_INVALID, NULL, "the list of networks ends with a comma");
    }
    return 0;
}
