#include "cli/talk.h"

#include <signal.h>
#include <sys/wait.h>

int talk_tell(struct child *child, struct ipc_message *message, struct vlmd_error *err)
{
    return channel_send(child->channel, message, err) < 0 && err->code != VLMD_IO ? -1 : 0;
}

static int hear(struct child *child, const char *who, struct ipc_message **out,
                struct vlmd_error *err)
{
    int status;
    char how[64];
    if (channel_next_wait(child->channel, -1, out, err) == 1)
        return 0;
    if (err->code == VLMD_IO && waitpid(child->pid, &status, 0) == child->pid) {
        child->pid = 0;
        child_describe_exit(status, how, sizeof how);
        err_set(err, VLMD_INTERNAL, NULL, "the %s ended: %s", who, how);
    }
    return -1;
}

struct ipc_message *talk_hear(struct child *child, const char *who, struct vlmd_error *err)
{
    struct ipc_message *m;
    while (hear(child, who, &m, err) == 0) {
        if (m->type != IPC_HELLO)
            return m;
        struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
        ipc_message_free(m);
        if (talk_tell(child, &welcome, err) < 0)
            break;
    }
    return NULL;
}

int talk_told(struct vlmd_error *err, ipc_CODE code, const struct ipc_string *text)
{
    return err_set(err, code == VLMD_OK ? VLMD_INTERNAL : code, NULL, "%s", text->data);
}

void talk_stop(struct child *child)
{
    channel_close(child->channel);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    *child = (struct child){0};
}
