#include "fetch/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HOST 253 /* RFC 1035; longer ones have been cut into something else by resolvers */

/* How every URL is read; spaces and other characters in paths are encoded as browsers do. */
#define READING (CURLU_DISALLOW_USER | CURLU_URLENCODE)

int url_ports_parse(struct url_ports *out, const char *text, struct vlmd_error *err)
{
    out->n = 0;
    for (;;) {
        char *end;
        unsigned long port = strtoul(text, &end, 10);
        if (*text < '0' || *text > '9' || port == 0 || port > 65535 ||
            (*end != ',' && *end != '\0'))
            return err_set(err, VLMD_INVALID, NULL,
                           "ports are numbers from 1 to 65535, as in 80,443");
        if (out->n == URL_MAX_PORTS)
            return err_set(err, VLMD_TOO_LARGE, NULL, "at most %d ports", URL_MAX_PORTS);
        out->port[out->n++] = (uint16_t)port;
        if (*end == '\0')
            return 0;
        text = end + 1;
    }
}

bool url_ports_have(const struct url_ports *ports, unsigned long port)
{
    for (size_t i = 0; i < ports->n; i++)
        if (ports->port[i] == port)
            return true;
    return false;
}

/* Characters that no two readers of URLs agree on. */
static bool has_control_characters(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return true;
    return false;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *value = NULL;
    bool has = curl_url_get(url, part, &value, 0) == CURLUE_OK;
    curl_free(value);
    return has;
}

static int check_scheme(CURLU *url, struct vlmd_error *err)
{
    char *scheme = NULL;
    bool good = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return good ? 0 : err_set(err, VLMD_INVALID, NULL, "only http and https URLs are fetched");
}

static int check_host(CURLU *url, struct vlmd_error *err)
{
    char *host = NULL;
    bool good = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host &&
                strlen(host) <= MAX_HOST && !has_control_characters(host, strlen(host));
    curl_free(host);
    if (!good || has_part(url, CURLUPART_ZONEID))
        return err_set(err, VLMD_INVALID, NULL, "the URL's host is not one that can be asked");
    return 0;
}

static int check_port(CURLU *url, const struct url_ports *ports, struct vlmd_error *err)
{
    char *port = NULL;
    bool good = curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                url_ports_have(ports, strtoul(port, NULL, 10));
    curl_free(port);
    return good
               ? 0
               : err_set(err, VLMD_INVALID, NULL, "the URL's port is not one that is fetched from");
}

static int check(CURLU *url, const struct url_ports *ports, struct vlmd_error *err)
{
    if (check_scheme(url, err) < 0)
        return -1;
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return err_set(err, VLMD_INVALID, NULL, "a URL with a user or a password is not fetched");
    if (check_host(url, err) < 0)
        return -1;
    return check_port(url, ports, err);
}

/* Puts `text` into the handle, which is freed when it will not have it. */
static CURLU *fill(CURLU *url, const char *text, const struct url_ports *ports,
                   struct vlmd_error *err)
{
    if (!url) {
        err_no_memory(err, URL_MAX_BYTES);
        return NULL;
    }
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, READING);
    if (code == CURLUE_OK && check(url, ports, err) == 0)
        return url;
    if (code == CURLUE_USER_NOT_ALLOWED)
        err_set(err, VLMD_INVALID, NULL, "a URL with a user or a password is not fetched");
    else if (code == CURLUE_UNSUPPORTED_SCHEME)
        err_set(err, VLMD_INVALID, NULL, "only http and https URLs are fetched");
    else if (code != CURLUE_OK)
        err_set(err, VLMD_INVALID, NULL, "the URL is malformed");
    curl_url_cleanup(url);
    return NULL;
}

static int check_text(const char *text, size_t len, struct vlmd_error *err)
{
    if (len == 0 || len > URL_MAX_BYTES)
        return err_set(err, VLMD_INVALID, NULL, "a URL has 1 to %d bytes", URL_MAX_BYTES);
    if (has_control_characters(text, len))
        return err_set(err, VLMD_INVALID, NULL, "the URL holds control characters");
    return 0;
}

/* curl takes one slash or three where a URL has two. */
static bool begins_well(const char *text)
{
    const char *colon = strchr(text, ':');
    return colon && strncmp(colon, "://", 3) == 0 && colon[3] != '/' && colon[3] != '\\';
}

CURLU *url_parse(const char *text, size_t len, const struct url_ports *ports,
                 struct vlmd_error *err)
{
    if (check_text(text, len, err) < 0)
        return NULL;
    char *copy = strndup(text, len);
    if (!copy) {
        err_no_memory(err, len);
        return NULL;
    }
    CURLU *url = NULL;
    if (begins_well(copy))
        url = fill(curl_url(), copy, ports, err);
    else
        err_set(err, VLMD_INVALID, NULL, "a URL begins with http:// or https:// and a host");
    free(copy);
    return url;
}

CURLU *url_redirect(CURLU *from, const char *location, const struct url_ports *ports,
                    struct vlmd_error *err)
{
    if (check_text(location, strlen(location), err) < 0)
        return NULL;
    return fill(curl_url_dup(from), location, ports, err);
}

void url_describe(CURLU *url, char *out, size_t cap)
{
    char *host = NULL, *port = NULL;
    bool good = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    snprintf(out, cap, "%.100s:%s", good ? host : "?", good ? port : "?");
    curl_free(host);
    curl_free(port);
}
