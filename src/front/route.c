#include "front/route.h"

#include <string.h>
#include <strings.h>

static bool path_matches(const char *pattern, const char *path)
{
    size_t len = strlen(pattern);
    if (len > 1 && pattern[len - 1] == '/')
        return strncmp(pattern, path, len) == 0 && path[len] != '\0';
    return strcmp(pattern, path) == 0;
}

static void allow(char *list, size_t cap, const char *method)
{
    size_t used = strlen(list);
    if (used + strlen(method) + 3 > cap)
        return;
    if (used > 0)
        strcat(list, ", ");
    strcat(list, method);
}

struct route_match route_find(const struct route *routes, size_t n, const char *method,
                              const char *path)
{
    struct route_match match = {.status = 404};
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < n; i++) {
        if (!path_matches(routes[i].path, path))
            continue;
        if (strcmp(routes[i].method, wanted) == 0) {
            match.route = &routes[i];
            return match;
        }
        match.status = 405;
        allow(match.allow, sizeof match.allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            allow(match.allow, sizeof match.allow, "HEAD");
    }
    return match;
}

bool route_host_is_local(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        if (strncasecmp(host, names[i], len) == 0 && (host[len] == '\0' || host[len] == ':'))
            return true;
    }
    return false;
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool route_percent_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex(in[1]);
        int low = high < 0 ? -1 : hex(in[2]);
        if (low < 0 || high * 16 + low == 0)
            return false;
        *out++ = (char)(high * 16 + low);
        in += 2;
    }
    *out = '\0';
    return true;
}

bool route_type_is_json(const char *type)
{
    static const char wanted[] = "application/json";
    size_t len = sizeof wanted - 1;
    if (!type || strncasecmp(type, wanted, len) != 0)
        return false;
    return type[len] == '\0' || type[len] == ';' || type[len] == ' ' || type[len] == '\t';
}
