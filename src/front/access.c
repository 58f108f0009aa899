#include "front/access.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "front/route.h"

#define MINUTE_MS 60000u

struct access {
    struct auth_keys keys;
    bool admin_wants_key;
    struct rate_limit everyone; /* without a key, or with one that has no limit of its own */
    struct rate_limit *rates;   /* by key */
    struct config_list hosts;   /* texts of the settings, which live as long as the server */
    struct config_list origins;
};

/* ---- settings */

static int make_rate(struct rate_limit *out, const struct config *config, unsigned of_key)
{
    if (of_key > 0)
        return rate_limit_init(out, of_key, MINUTE_MS);
    if (!config->rate_limit_enabled)
        return rate_limit_init(out, 0, 0);
    uint64_t rpm = (uint64_t)config->rate_limit_rpm;
    uint64_t burst = config->rate_limit_burst ? (uint64_t)config->rate_limit_burst : rpm;
    return rate_limit_init(out, (unsigned)burst, burst * MINUTE_MS / rpm);
}

static void free_rates(struct access *a)
{
    for (size_t i = 0; a->rates && i < a->keys.n; i++)
        rate_limit_free(&a->rates[i]);
    free(a->rates);
    a->rates = NULL;
    rate_limit_free(&a->everyone);
}

static void free_contents(struct access *a)
{
    free_rates(a);
    auth_keys_free(&a->keys);
}

static void keep_count(struct rate_limit *fresh, struct rate_limit *old)
{
    if (fresh->requests != old->requests || fresh->window_ms != old->window_ms)
        return;
    struct rate_limit counted = *old;
    *old = *fresh;
    *fresh = counted;
}

static void keep_counts(struct access *fresh, struct access *old)
{
    keep_count(&fresh->everyone, &old->everyone);
    for (size_t i = 0; i < fresh->keys.n; i++)
        for (size_t j = 0; j < old->keys.n; j++)
            if (strcmp(fresh->keys.items[i].name, old->keys.items[j].name) == 0)
                keep_count(&fresh->rates[i], &old->rates[j]);
}

static int fill(struct access *a, const struct config *config, struct vlmd_error *err)
{
    if (auth_keys_copy(&a->keys, &config->keys, err) < 0)
        return -1;
    a->hosts = config->allowed_hosts;
    a->origins = config->cors_origins;
    a->rates = calloc(a->keys.n + 1, sizeof *a->rates);
    if (!a->rates || make_rate(&a->everyone, config, 0) < 0)
        return err_no_memory(err, sizeof *a->rates);
    for (size_t i = 0; i < a->keys.n; i++) {
        a->admin_wants_key |= a->keys.items[i].admin;
        if (make_rate(&a->rates[i], config, a->keys.items[i].rate_limit) < 0)
            return err_no_memory(err, sizeof *a->rates);
    }
    return 0;
}

int access_configure(struct access *a, const struct config *config, struct vlmd_error *err)
{
    struct access fresh = {0};
    if (fill(&fresh, config, err) < 0) {
        free_contents(&fresh);
        return -1;
    }
    keep_counts(&fresh, a);
    free_contents(a);
    *a = fresh;
    return 0;
}

struct access *access_open(const struct config *config, struct vlmd_error *err)
{
    struct access *a = calloc(1, sizeof *a);
    if (!a) {
        err_no_memory(err, sizeof *a);
        return NULL;
    }
    if (access_configure(a, config, err) == 0)
        return a;
    free(a);
    return NULL;
}

void access_close(struct access *a)
{
    if (!a)
        return;
    free_contents(a);
    free(a);
}

/* ---- verdicts */

static void refuse(struct access_verdict *out, int status, const char *code, const char *text)
{
    out->status = status;
    out->type = "invalid_request_error";
    out->code = code;
    out->text = text;
}

__attribute__((format(printf, 2, 3))) static void add_field(struct access_verdict *out,
                                                            const char *format, ...)
{
    size_t used = strlen(out->fields), room = sizeof out->fields - used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out->fields + used, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room)
        out->fields[used] = '\0'; /* a whole field or none */
}

static bool is_listed(const struct config_list *list, const char *text, size_t len)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *item = list->items[i];
        if (strcmp(item, "*") == 0 || (strlen(item) == len && strncasecmp(item, text, len) == 0))
            return true;
    }
    return false;
}

/* A listed Host may come with any port, or it is listed with its port. */
static bool host_is_listed(const struct config_list *list, const char *host)
{
    size_t len = strlen(host);
    const char *colon = strrchr(host, ':');
    if (is_listed(list, host, len))
        return true;
    return colon && strcspn(host, "]") != len - 1 && is_listed(list, host, (size_t)(colon - host));
}

static bool host_is_allowed(const struct access *a, const struct access_port *port,
                            const char *host)
{
    if (*host == '\0' || route_host_is_local(host))
        return true;
    if (port->admin || a->hosts.n == 0)
        return !port->loopback;
    return host_is_listed(&a->hosts, host);
}

/* What a page of an origin that may ask is told; false for those that may not. */
static bool allow_origin(const struct access *a, const struct http_request *q,
                         struct access_verdict *out)
{
    const char *origin = http_request_field(q, "origin");
    if (!origin || !is_listed(&a->origins, origin, strlen(origin)))
        return false;
    if (is_listed(&a->origins, "*", 1)) /* only the star itself is that */
        add_field(out, "Access-Control-Allow-Origin: *\r\n");
    else
        add_field(out, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n", origin);
    add_field(out, "Access-Control-Expose-Headers: X-Request-Id, Retry-After, X-Queue-Wait-Ms, "
                   "X-Queue-Position, X-RateLimit-Limit-Requests, X-RateLimit-Remaining-Requests, "
                   "X-RateLimit-Reset-Requests\r\n");
    return true;
}

static bool answer_preflight(const struct http_request *q, struct access_verdict *out)
{
    const char *headers = http_request_field(q, "access-control-request-headers");
    if (strcmp(q->method, "OPTIONS") != 0 ||
        !http_request_field(q, "access-control-request-method"))
        return false;
    out->status = 200;
    add_field(out, "Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Max-Age: 600\r\n");
    add_field(out, "Access-Control-Allow-Headers: %s\r\n",
              headers ? headers : "Authorization, Content-Type, X-Priority");
    return true;
}

static bool wants_key(const struct access *a, const struct access_port *port,
                      const struct http_request *q)
{
    if (port->admin)
        return a->admin_wants_key && strcmp(q->path, "/admin/health") != 0;
    return a->keys.n > 0 && strcmp(q->path, "/health") != 0;
}

static void judge_key(const struct access *a, const struct access_port *port,
                      const struct http_request *q, struct access_verdict *out)
{
    const char *shown = http_request_field(q, "authorization");
    const struct auth_key *key = auth_find(&a->keys, shown);
    if (!wants_key(a, port, q))
        return;
    if (!key) {
        refuse(out, 401, "invalid_api_key",
               shown ? "this API key is not known here"
                     : "an API key is wanted: Authorization: Bearer KEY");
        add_field(out, "WWW-Authenticate: Bearer\r\n");
    } else if (port->admin && !key->admin) {
        refuse(out, 403, "not_allowed", "this API key does not open the admin");
    }
}

void access_judge(const struct access *a, const struct access_port *port,
                  const struct http_request *q, struct access_verdict *out)
{
    *out = (struct access_verdict){0};
    if (!host_is_allowed(a, port, q->host)) {
        refuse(out, 403, "host_not_allowed",
               a->hosts.n > 0 && !port->admin
                   ? "this server does not answer to that Host"
                   : "this server listens on loopback and answers to the Hosts localhost, "
                     "127.0.0.1 and [::1] only");
        return;
    }
    if (!port->admin && allow_origin(a, q, out) && answer_preflight(q, out))
        return;
    judge_key(a, port, q, out);
}

const struct auth_key *access_key(const struct access *a, const struct http_request *q)
{
    return auth_find(&a->keys, http_request_field(q, "authorization"));
}

unsigned access_owner(const struct access *a, const struct auth_key *key)
{
    return key ? (unsigned)(key - a->keys.items) + 1 : 0;
}

enum priority access_priority(const struct auth_key *key, const struct http_request *q)
{
    const char *asked = http_request_field(q, "x-priority");
    int wanted = asked ? priority_from_text(asked) : -1;
    bool bound = key && key->has_priority;
    int most = bound ? (int)key->priority : PRIORITY_HIGH;
    if (wanted < 0)
        wanted = bound ? most : PRIORITY_NORMAL;
    return (enum priority)(wanted > most ? wanted : most);
}

void access_count(struct access *a, const struct http_request *q, uint64_t now_ms,
                  struct access_verdict *out)
{
    const struct auth_key *key = access_key(a, q);
    struct rate_limit *rate = key ? &a->rates[key - a->keys.items] : &a->everyone;
    if (rate->requests == 0)
        return;
    struct rate_answer answer = rate_limit_take(rate, now_ms);
    add_field(out,
              "X-RateLimit-Limit-Requests: %u\r\nX-RateLimit-Remaining-Requests: %u\r\n"
              "X-RateLimit-Reset-Requests: %.3fs\r\n",
              answer.limit, answer.remaining, (double)answer.reset_ms / 1000);
    if (answer.allowed)
        return;
    refuse(out, 429, "rate_limit_exceeded", "too many requests: the rate limit is reached");
    out->type = "requests";
    add_field(out, "Retry-After: %llu\r\n", (unsigned long long)(answer.retry_ms + 999) / 1000);
}
