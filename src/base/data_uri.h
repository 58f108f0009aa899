/* data: URIs (RFC 2397), base64 or percent-encoded. The label is reported, never believed: what the
 * bytes are is decided where they are decoded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct data_uri {
    char
        mime[96]; /* "image/png": lower case, without parameters; "text/plain" when none is given */
    uint8_t *bytes; /* owned; data_uri_free */
    size_t len;
};

/* Does the text begin with "data:" in any case? */
bool data_uri_is(const char *text, size_t len);

/* Decodes text[0..len) into *out. At most max_bytes of content (VLMD_TOO_LARGE, found before memory
 * for it is asked for). Base64 may lack its padding and may hold line breaks and percent-encoded
 * characters. Errors say where, with an empty field; *out is empty then. */
int data_uri_decode(const char *text, size_t len, size_t max_bytes, struct data_uri *out,
                    struct vlmd_error *err);
void data_uri_free(struct data_uri *uri);
