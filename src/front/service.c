#include "front/service.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_SOCKET 3  /* SD_LISTEN_FDS_START */
#define MAX_SOCKETS  16 /* that we look at */

struct service {
    int fd;
    struct sockaddr_un address;
    socklen_t address_len;
    uv_timer_t watchdog;
};

/* ---- sockets */

/* A variable that holds a number and is meant for us; 0 when it is not there. */
static long long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long long n = text ? strtoll(text, &end, 10) : 0;
    return text && *text && *end == '\0' && n > 0 ? n : 0;
}

/* The n-th of a list "a:b:c", or "". */
static void nth_name(const char *list, int n, char *out, size_t cap)
{
    while (list && n-- > 0) {
        list = strchr(list, ':');
        list = list ? list + 1 : NULL;
    }
    size_t len = list ? strcspn(list, ":") : 0;
    len = len < cap ? len : cap - 1;
    memcpy(out, list ? list : "", len);
    out[len] = '\0';
}

static void take(struct service_sockets *sockets, int fd, const char *name)
{
    int *place = NULL;
    if (strcmp(name, "admin") == 0)
        place = &sockets->admin;
    else if (strcmp(name, "api") == 0 || sockets->api == 0)
        place = &sockets->api;
    else
        place = &sockets->admin;
    if (*place != 0) {
        log_write(LOG_WARN, "the socket %d (%s) that was passed on is one too many", fd, name);
        close(fd);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *place = fd;
}

struct service_sockets service_take_sockets(void)
{
    struct service_sockets sockets = {0};
    long long n = number_of("LISTEN_PID") == getpid() ? number_of("LISTEN_FDS") : 0;
    const char *names = getenv("LISTEN_FDNAMES");
    for (int i = 0; i < n && i < MAX_SOCKETS; i++) {
        char name[32];
        nth_name(names, i, name, sizeof name);
        take(&sockets, FIRST_SOCKET + i, name);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return sockets;
}

/* ---- messages */

void service_tell(struct service *s, const char *message)
{
    if (!s)
        return;
    if (sendto(s->fd, message, strlen(message), 0, (struct sockaddr *)&s->address, s->address_len) <
        0)
        log_write(LOG_DEBUG, "the service manager does not listen");
}

static void on_watchdog(uv_timer_t *timer)
{
    service_tell(timer->data, "WATCHDOG=1");
}

/* A path, or with '@' a name that is no file. */
static int set_address(struct service *s, const char *path)
{
    size_t len = strlen(path);
    if ((*path != '/' && *path != '@') || len >= sizeof s->address.sun_path)
        return -1;
    s->address.sun_family = AF_UNIX;
    memcpy(s->address.sun_path, path, len + 1);
    s->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (*path == '@')
        s->address.sun_path[0] = '\0';
    return 0;
}

struct service *service_open(uv_loop_t *loop)
{
    const char *path = getenv("NOTIFY_SOCKET");
    long long pid = number_of("WATCHDOG_PID");
    uint64_t microseconds = pid == 0 || pid == getpid() ? (uint64_t)number_of("WATCHDOG_USEC") : 0;
    struct service *s = path && *path ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->fd = set_address(s, path) == 0 ? socket(AF_UNIX, SOCK_DGRAM, 0) : -1;
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    uv_timer_init(loop, &s->watchdog);
    s->watchdog.data = s;
    uint64_t ms = microseconds / 1000 / 3;
    if (microseconds > 0)
        uv_timer_start(&s->watchdog, on_watchdog, 0, ms > 0 ? ms : 1);
    return s;
}

static void on_closed(uv_handle_t *handle)
{
    struct service *s = handle->data;
    close(s->fd);
    free(s);
}

void service_close(struct service *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->watchdog, on_closed);
}
