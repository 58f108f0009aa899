/* Any text as a URL, as the place where a redirect leads, as a list of ports and of networks. The
 * first byte says how. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/address.h"
#include "fetch/local.h"
#include "fetch/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was taken keeps the rules, and reads the same a second time. */
static void check(CURLU *url, const struct url_ports *ports, const struct vlmd_error *err)
{
    char *whole = NULL, *part = NULL, where[160];
    require(url || err->text[0]);
    if (!url)
        return;
    url_describe(url, where, sizeof where);
    require(curl_url_get(url, CURLUPART_SCHEME, &part, 0) == CURLUE_OK &&
            (strcmp(part, "http") == 0 || strcmp(part, "https") == 0));
    curl_free(part);
    require(curl_url_get(url, CURLUPART_USER, &part, 0) != CURLUE_OK);
    require(curl_url_get(url, CURLUPART_PORT, &part, CURLU_DEFAULT_PORT) == CURLUE_OK &&
            url_ports_have(ports, strtoul(part, NULL, 10)));
    curl_free(part);
    require(curl_url_get(url, CURLUPART_HOST, &part, 0) == CURLUE_OK && strlen(part) <= 253);
    for (const char *c = part; *c; c++)
        require((unsigned char)*c > ' ' && *c != '@' && *c != '/' && *c != '\\' && *c != '#');
    curl_free(part);
    require(curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK);
    for (const char *c = whole; *c; c++)
        require((unsigned char)*c >= ' ');
    curl_free(whole);
    curl_url_cleanup(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct url_ports ports, other;
    struct address_blocks blocks;
    struct vlmd_error err = {0};
    if (size == 0)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    require(text && url_ports_parse(&ports, "80,443", NULL) == 0);
    if (data[0] % 4 == 0) {
        check(url_parse((const char *)data + 1, size - 1, &ports, &err), &ports, &err);
    } else if (data[0] % 4 == 1) {
        CURLU *from = url_parse("https://example.org/a/b?c", 25, &ports, &err);
        require(from != NULL);
        check(url_redirect(from, text, &ports, &err), &ports, &err);
        curl_url_cleanup(from);
    } else if (data[0] % 4 == 2) {
        if (url_ports_parse(&other, text, &err) == 0)
            require(other.n > 0 && other.n <= URL_MAX_PORTS && other.port[0] > 0);
        if (address_blocks_parse(&blocks, text, &err) == 0)
            require(blocks.n <= ADDRESS_MAX_BLOCKS);
    } else {
        struct local_folders none = {.n = 0};
        struct buf bytes = {0};
        require(local_read(&none, text, 100, &bytes, &err) < 0 && bytes.len == 0);
        buf_free(&bytes);
    }
    free(text);
    return 0;
}
