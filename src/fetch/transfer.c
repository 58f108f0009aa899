#include "fetch/transfer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "fetch/allowance.h"

#define CONNECT_MS        5000L
#define LOW_SPEED_BYTES   1024L /* a second, on average over LOW_SPEED_SECONDS */
#define LOW_SPEED_SECONDS 5L
#define MAX_HEADER_BYTES  65536

struct transfer {
    CURLM *multi;
    CURL *easy;
    CURLU *url;
    const struct transfer_rules *rules;
    uint64_t deadline; /* ms */
    unsigned redirects;
    size_t max_bytes;
    size_t header_bytes; /* of this hop */
    struct buf body;
    const char *stopped; /* why this side ended the hop */
    char refused[128];   /* the address that was not connected to, or "" */
    char detail[CURL_ERROR_SIZE];
};

/* ---- where it may go */

static const char *judge(struct transfer *t, const struct sockaddr *address)
{
    const char *what = address_refusal(address, &t->rules->blocks);
    if (!what)
        return NULL;
    char text[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
                  sizeof text);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
                  sizeof text);
    snprintf(t->refused, sizeof t->refused, "%s is %s", text, what);
    return what;
}

/* The address that a name resolved to, just before it is connected to. One that is refused ends the
 * transfer, whatever other addresses the name has: an honest name has none of these. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = context;
    if (purpose != CURLSOCKTYPE_IPCXN || t->refused[0] || judge(t, &address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The address that it is connected to, just before the request goes out. */
static int before_request(void *context, char *remote, char *local, int port, int local_port)
{
    struct transfer *t = context;
    (void)local;
    (void)local_port;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {0};
    if (inet_pton(AF_INET, remote, &address.in.sin_addr) == 1)
        address.any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, remote, &address.in6.sin6_addr) == 1)
        address.any.sa_family = AF_INET6;
    if (t->refused[0] || judge(t, &address.any) ||
        !url_ports_have(&t->rules->ports, (unsigned)port))
        return CURL_PREREQFUNC_ABORT;
    return CURL_PREREQFUNC_OK;
}

/* ---- what comes back */

static size_t stop(struct transfer *t, const char *why)
{
    t->stopped = why;
    return 0;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    struct transfer *t = context;
    (void)bytes;
    t->header_bytes += size * n;
    return t->header_bytes > MAX_HEADER_BYTES ? stop(t, "its header is too large") : size * n;
}

static long status_of(const struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Is the header field absent, or this alone? */
static bool field_is_only(const struct transfer *t, const char *name, const char *value)
{
    struct curl_header *field;
    CURLHcode code = curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &field);
    if (code == CURLHE_MISSING || code == CURLHE_NOHEADERS)
        return true;
    return code == CURLHE_OK && field->amount == 1 && strcasecmp(field->value, value) == 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    struct transfer *t = context;
    size_t len = size * n;
    if (status_of(t) != 200)
        return stop(t, "its status is not 200");
    if (t->body.len == 0 && (!field_is_only(t, "Content-Encoding", "identity") ||
                             !field_is_only(t, "Transfer-Encoding", "chunked")))
        return stop(t, "its body is compressed");
    if (len > t->max_bytes - t->body.len)
        return stop(t, "it is too large");
    return buf_append(&t->body, bytes, len) < 0 ? stop(t, "out of memory") : len;
}

/* ---- hops */

static bool set_text(CURL *easy, CURLoption option, const char *text)
{
    return curl_easy_setopt(easy, option, text) == CURLE_OK;
}

static bool set_number(CURL *easy, CURLoption option, long number)
{
    return curl_easy_setopt(easy, option, number) == CURLE_OK;
}

/* No proxy, no other protocol, no redirect of curl's own, nothing kept from one transfer for
 * another, no waiting for a resolver that nobody needs any more. */
static bool set_limits(CURL *easy)
{
    return set_text(easy, CURLOPT_PROXY, "") &&
           set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
           set_text(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") &&
           set_number(easy, CURLOPT_FOLLOWLOCATION, 0) &&
           set_number(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
           set_number(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) &&
           set_number(easy, CURLOPT_HTTP_CONTENT_DECODING, 0) &&
           set_number(easy, CURLOPT_HTTP09_ALLOWED, 0) &&
           set_number(easy, CURLOPT_FRESH_CONNECT, 1) &&
           set_number(easy, CURLOPT_FORBID_REUSE, 1) &&
           set_number(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0) &&
           set_number(easy, CURLOPT_NOSIGNAL, 1) && set_number(easy, CURLOPT_QUICK_EXIT, 1) &&
           set_number(easy, CURLOPT_NOPROGRESS, 1) &&
           set_number(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) &&
           set_number(easy, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES) &&
           set_number(easy, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS) &&
           set_text(easy, CURLOPT_USERAGENT, "vlmd");
}

static bool set_callbacks(struct transfer *t)
{
    CURL *e = t->easy;
    return curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PREREQDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK;
}

static bool set_certificates(CURL *easy)
{
    const char *file = allowance_certificates();
    return !file || set_text(easy, CURLOPT_CAINFO, file);
}

static int begin_hop(struct transfer *t, struct vlmd_error *err)
{
    uint64_t now = clock_ms();
    if (now >= t->deadline)
        return err_set(err, VLMD_IO, NULL, "it took too long");
    t->easy = curl_easy_init();
    if (!t->easy)
        return err_no_memory(err, 0);
    t->header_bytes = 0;
    t->stopped = NULL;
    t->detail[0] = '\0';
    if (!set_limits(t->easy) || !set_callbacks(t) || !set_certificates(t->easy) ||
        curl_easy_setopt(t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max_bytes) !=
            CURLE_OK ||
        !set_number(t->easy, CURLOPT_TIMEOUT_MS, (long)(t->deadline - now)) ||
        curl_easy_setopt(t->easy, CURLOPT_CURLU, t->url) != CURLE_OK ||
        curl_multi_add_handle(t->multi, t->easy) != CURLM_OK)
        return err_set(err, VLMD_INTERNAL, NULL, "curl does not know an option that is wanted");
    return 0;
}

static void end_hop(struct transfer *t)
{
    if (!t->easy)
        return;
    curl_multi_remove_handle(t->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}

struct transfer *transfer_begin(CURLM *multi, CURLU *url, const struct transfer_rules *rules,
                                size_t max_bytes, struct vlmd_error *err)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t) {
        curl_url_cleanup(url);
        err_no_memory(err, sizeof *t);
        return NULL;
    }
    t->multi = multi;
    t->url = url;
    t->rules = rules;
    t->max_bytes = max_bytes;
    t->deadline = clock_ms() + rules->total_ms;
    if (begin_hop(t, err) == 0)
        return t;
    transfer_end(t);
    return NULL;
}

void transfer_end(struct transfer *t)
{
    if (!t)
        return;
    end_hop(t);
    curl_url_cleanup(t->url);
    buf_free(&t->body);
    free(t);
}

struct transfer *transfer_of(CURL *easy)
{
    struct transfer *t = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    return t;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A response that leads elsewhere. */
static int redirect(struct transfer *t, struct vlmd_error *err)
{
    struct curl_header *field;
    if (t->redirects == t->rules->max_redirects)
        return err_set(err, VLMD_IO, NULL, "it is redirected more than %u times", t->redirects);
    if (curl_easy_header(t->easy, "Location", 0, CURLH_HEADER, -1, &field) != CURLHE_OK ||
        field->amount != 1)
        return err_set(err, VLMD_IO, NULL, "a redirect does not say where to");
    struct vlmd_error why;
    CURLU *next = url_redirect(t->url, field->value, &t->rules->ports, &why);
    if (!next)
        return err_set(err, VLMD_IO, NULL, "a redirect leads astray: %s", why.text);
    end_hop(t);
    curl_url_cleanup(t->url);
    t->url = next;
    t->redirects++;
    return begin_hop(t, err);
}

static int fail(const struct transfer *t, CURLcode result, struct vlmd_error *err)
{
    char where[160];
    url_describe(t->url, where, sizeof where);
    const char *why = t->refused[0]          ? t->refused
                      : t->stopped           ? t->stopped
                      : result == CURLE_OK   ? "it is not an image's answer"
                      : t->detail[0] != '\0' ? t->detail
                                             : curl_easy_strerror(result);
    return err_set(err, VLMD_IO, NULL, "%s, status %ld: %.140s", where, status_of(t), why);
}

int transfer_step(struct transfer *t, CURLcode result, struct vlmd_error *err)
{
    bool over = result == CURLE_OK || (result == CURLE_WRITE_ERROR && t->body.len == 0);
    if (over && is_redirect(status_of(t)))
        return redirect(t, err);
    if (result == CURLE_OK && status_of(t) == 200 && t->body.len > 0)
        return 1;
    return fail(t, result, err);
}

const struct buf *transfer_body(const struct transfer *t)
{
    return &t->body;
}
