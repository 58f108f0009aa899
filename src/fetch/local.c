#include "fetch/local.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

int local_add(struct local_folders *folders, const char *path, struct vlmd_error *err)
{
    if (folders->n == LOCAL_MAX_FOLDERS)
        return err_set(err, VLMD_TOO_LARGE, NULL, "at most %d folders", LOCAL_MAX_FOLDERS);
    char *real = realpath(path, NULL);
    if (!real)
        return err_errno(err, NULL, "cannot open the folder %s", path);
    int fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        free(real);
        return err_errno(err, NULL, "cannot open the folder %s", path);
    }
    if (strcmp(real, "/") == 0)
        *real = '\0';
    folders->folder[folders->n].path = real;
    folders->folder[folders->n++].fd = fd;
    return 0;
}

void local_close(struct local_folders *folders)
{
    for (size_t i = 0; i < folders->n; i++) {
        free(folders->folder[i].path);
        close(folders->folder[i].fd);
    }
    folders->n = 0;
}

bool local_is(const char *text)
{
    return *text == '/' || strncasecmp(text, "file:", 5) == 0;
}

/* The absolute path that is meant, in memory from curl, or NULL. */
static char *path_of(const char *text)
{
    char *path = NULL;
    if (*text == '/') {
        return strdup(text);
    }
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK) {
        char *decoded = NULL;
        if (curl_url_get(url, CURLUPART_PATH, &decoded, CURLU_URLDECODE) == CURLUE_OK)
            path = strdup(decoded);
        curl_free(decoded);
    }
    curl_url_cleanup(url);
    return path;
}

/* The descriptor of what lies at `rest` ("a/b.png") beneath the folder, or -1 with errno. */
static int walk(int folder, const char *rest)
{
    int at = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    while (at >= 0) {
        char name[NAME_MAX + 1];
        size_t len = strcspn(rest, "/");
        bool last = rest[len] == '\0';
        int next = -1;
        if (len > 0 && len <= NAME_MAX) {
            memcpy(name, rest, len);
            name[len] = '\0';
            int flags = last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY;
            if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
                next = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
        }
        close(at);
        at = next;
        if (last)
            break;
        rest += len + 1;
    }
    return at;
}

static int open_beneath(const struct local_folders *folders, const char *path)
{
    for (size_t i = 0; i < folders->n; i++) {
        size_t len = strlen(folders->folder[i].path);
        if (strncmp(path, folders->folder[i].path, len) == 0 && path[len] == '/') {
            int fd = walk(folders->folder[i].fd, path + len + 1);
            if (fd >= 0)
                return fd;
        }
    }
    return -1;
}

static int read_all(int fd, size_t max_bytes, struct buf *out, struct vlmd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, VLMD_IO, NULL, "it is no regular file");
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        return err_set(err, VLMD_TOO_LARGE, NULL, "the file is too large");
    for (;;) {
        if (buf_reserve(out, 65536) < 0)
            return err_no_memory(err, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0)
            return err_errno(err, NULL, "cannot read it");
        if (n == 0)
            return out->len > 0 ? 0 : err_set(err, VLMD_IO, NULL, "the file is empty");
        if ((size_t)n > max_bytes - out->len)
            return err_set(err, VLMD_TOO_LARGE, NULL, "the file is too large");
        out->len += (size_t)n;
    }
}

int local_read(const struct local_folders *folders, const char *text, size_t max_bytes,
               struct buf *out, struct vlmd_error *err)
{
    char *path = path_of(text);
    if (!path)
        return err_set(err, VLMD_IO, NULL, "the file's URL is malformed");
    int fd = open_beneath(folders, path);
    free(path);
    if (fd < 0)
        return err_set(err, VLMD_IO, NULL, "there is no such file beneath the named folders");
    int status = read_all(fd, max_bytes, out, err);
    close(fd);
    return status;
}
