/* Apple's sandbox by a profile of our own. Written from its public description and never run so
 * far. */
#ifdef __APPLE__

#include <sandbox.h>

#include "base/buf.h"
#include "fetch/lockdown.h"

/* A list of what is denied, as on Linux: what the system's resolver and certificates need is its
 * own matter. Later lines go before earlier ones. */
static const char profile[] =
    "(version 1)\n"
    "(allow default)\n"
    "(deny process-exec*)\n"
    "(deny process-fork)\n"
    "(deny network-bind)\n"
    "(deny network-inbound)\n"
    "(deny signal)\n"
    "(allow signal (target self))\n"
    "(deny file-write*)\n"
    "(deny file-read-data (subpath \"/Users\") (subpath \"/private/var/root\") (subpath "
    "\"/Volumes\"))\n";

static void append_quoted(struct buf *out, const char *text)
{
    buf_append_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
    buf_append_char(out, '"');
}

#pragma clang diagnostic ignored "-Wdeprecated-declarations"

int lockdown_enter(const struct local_folders *readable, struct vlmd_error *err)
{
    struct buf text = {0};
    char *why = NULL;
    buf_append_text(&text, profile);
    for (size_t i = 0; i < readable->n; i++) {
        buf_append_text(&text, "(allow file-read-data (subpath ");
        append_quoted(&text, readable->folder[i].path);
        buf_append_text(&text, "))\n");
    }
    int status = text.failed ? err_no_memory(err, text.len) : sandbox_init(text.data, 0, &why);
    if (status != 0 && !text.failed) {
        err_set(err, VLMD_INTERNAL, NULL, "the system refuses a sandbox: %s",
                why ? why : "no reason");
        sandbox_free_error(why);
    }
    buf_free(&text);
    return status == 0 ? 1 : -1;
}

#else
typedef int lockdown_macos_is_not_for_this_platform;
#endif
