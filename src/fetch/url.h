/* The one reading of a URL: what is checked here is the very handle that the transfer uses. No
 * address is judged here (address.h does that, on the socket). */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define URL_MAX_BYTES 8192
#define URL_MAX_PORTS 32

struct url_ports {
    uint16_t port[URL_MAX_PORTS];
    size_t n;
};

/* "80,443" */
int url_ports_parse(struct url_ports *out, const char *text, struct vlmd_error *err);
bool url_ports_have(const struct url_ports *ports, unsigned long port);

/* Reads text[0..len). The handle is the caller's (curl_url_cleanup). NULL with *err, whose text may
 * be told to the client: it follows from the URL's text alone. */
CURLU *url_parse(const char *text, size_t len, const struct url_ports *ports,
                 struct vlmd_error *err);
/* Where a redirect from `from` leads, checked the same. */
CURLU *url_redirect(CURLU *from, const char *location, const struct url_ports *ports,
                    struct vlmd_error *err);
/* "host:port" for the log, cut to cap. */
void url_describe(CURLU *url, char *out, size_t cap);
