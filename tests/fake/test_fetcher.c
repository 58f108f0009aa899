/* The fetcher with what only tests may have; the rest is the fetcher that is shipped. It is started
 * by `vlmd serve --fetcher-program` through a script that sets these variables:
 *
 *   VLMD_TEST_PUBLIC    a part of the loopback network that counts as public: 127.77 means
 *                       127.77.0.0/16; the other addresses of the machine stay what they are
 *   VLMD_TEST_DNS       port of a name server on 127.0.0.1 that is asked about all names
 *   VLMD_TEST_CA        file of certificates to trust
 *   VLMD_TEST_CONNECTS  file that gets a line for every connect() of the process: "127.77.0.1 8080"
 *
 * The functions of the C library that are defined here take the place of its own in libcurl too.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fetch/allowance.h"
#include "fetch/fetcher.h"

#define MAX_ADDRESSES 32

static struct in_addr public_network;
static bool has_public;
static int connects = -1;
static int name_server_port;

bool allowance_address(const struct sockaddr *address)
{
    if (!has_public || address->sa_family != AF_INET)
        return false;
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return (ntohl(in.sin_addr.s_addr) ^ ntohl(public_network.s_addr)) >> 16 == 0;
}

const char *allowance_certificates(void)
{
    return getenv("VLMD_TEST_CA");
}

/* ---- what was connected to */

static void note(const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "?", line[96];
    unsigned port = 0;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        port = ntohs(in.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
        port = ntohs(in6.sin6_port);
    }
    int len = snprintf(line, sizeof line, "%s %u\n", text, port);
    ssize_t written = write(connects, line, (size_t)len);
    (void)written;
}

/* Under another name here, since the C library declares it with a type of its own. */
int test_connect(int fd, const struct sockaddr *address, socklen_t len) __asm__("connect");
int test_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (connects >= 0)
        note(address);
    return (int)syscall(SYS_connect, fd, address, len);
}

/* ---- names */

struct answer {
    uint8_t bytes[MAX_ADDRESSES][16];
    int family[MAX_ADDRESSES];
    int n;
};

static void ask(res_state state, const char *name, int type, struct answer *answer)
{
    unsigned char reply[4096];
    ns_msg message;
    int len = res_nquery(state, name, ns_c_in, type, reply, sizeof reply);
    if (len < 0 || ns_initparse(reply, len, &message) < 0)
        return;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        ns_rr record;
        if (ns_parserr(&message, ns_s_an, i, &record) < 0 || (int)ns_rr_type(record) != type ||
            answer->n == MAX_ADDRESSES)
            continue;
        size_t size = type == ns_t_a ? 4 : 16;
        if (ns_rr_rdlen(record) != size)
            continue;
        memcpy(answer->bytes[answer->n], ns_rr_rdata(record), size);
        answer->family[answer->n++] = type == ns_t_a ? AF_INET : AF_INET6;
    }
}

static struct addrinfo *new_info(const struct answer *answer, int i, int port)
{
    bool v4 = answer->family[i] == AF_INET;
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in6));
    if (!info)
        return NULL;
    info->ai_family = answer->family[i];
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addr = (struct sockaddr *)(info + 1);
    info->ai_addrlen = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (v4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        memcpy(&in.sin_addr, answer->bytes[i], 4);
        memcpy(info->ai_addr, &in, sizeof in);
    } else {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        memcpy(&in6.sin6_addr, answer->bytes[i], 16);
        memcpy(info->ai_addr, &in6, sizeof in6);
    }
    return info;
}

/* As the C library reads numbers: 127.1, 0x7f000001 and 017700000001 are addresses. */
static bool read_number(const char *name, struct answer *answer)
{
    struct in_addr in;
    if (inet_aton(name, &in)) {
        answer->family[0] = AF_INET;
        memcpy(answer->bytes[0], &in, 4);
    } else if (inet_pton(AF_INET6, name, answer->bytes[0]) == 1) {
        answer->family[0] = AF_INET6;
    } else {
        return false;
    }
    answer->n = 1;
    return true;
}

static void look_up(const char *name, int family, struct answer *answer)
{
    struct __res_state state = {0};
    if (res_ninit(&state) < 0)
        return;
    state.nscount = 1;
    state.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET,
                                                .sin_port = htons((uint16_t)name_server_port),
                                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    state.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
    if (family != AF_INET6)
        ask(&state, name, ns_t_a, answer);
    if (family != AF_INET)
        ask(&state, name, ns_t_aaaa, answer);
    res_nclose(&state);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    struct answer answer = {.n = 0};
    struct addrinfo **last = out;
    *out = NULL;
    if (!name)
        return EAI_NONAME;
    if (!read_number(name, &answer) && name_server_port > 0)
        look_up(name, hints ? hints->ai_family : AF_UNSPEC, &answer);
    for (int i = 0; i < answer.n; i++) {
        *last = new_info(&answer, i, service ? atoi(service) : 0);
        if (!*last)
            return EAI_MEMORY;
        last = &(*last)->ai_next;
    }
    return answer.n > 0 ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- the role, as cli/roles.c has it */

int main(int argc, char **argv)
{
    const char *network = getenv("VLMD_TEST_PUBLIC"), *port = getenv("VLMD_TEST_DNS");
    const char *log = getenv("VLMD_TEST_CONNECTS");
    char whole[64];
    if (argc < 7)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    snprintf(whole, sizeof whole, "%s.0.0", network ? network : "");
    has_public = inet_pton(AF_INET, whole, &public_network) == 1;
    name_server_port = port ? atoi(port) : 0;
    if (log)
        connects = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct fetcher_options options = {
        .sandbox = strcmp(argv[2], "no-sandbox") != 0,
        .ports = argv[3],
        .redirects = (unsigned)strtoul(argv[4], NULL, 10),
        .seconds = (unsigned)strtoul(argv[5], NULL, 10),
        .blocks = argv[6],
        .folders = (const char *const *)(argv + 7),
        .n_folders = argc - 7,
    };
    return fetcher_main(3, &options);
}
