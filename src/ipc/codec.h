/* Messages as structs, and their form on the wire: little-endian, every length and range checked
 * against messages.def. Knows nothing of sockets. Descriptors travel beside the bytes: the codec
 * only puts them into and takes them out of an array. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define IPC_VERSION    7
#define IPC_MAX_IMAGES 64
#define IPC_MAX_STOPS  16
#define IPC_MAX_SIDE   65535
#define IPC_MAX_FDS    IPC_MAX_IMAGES /* of one message */

enum ipc_type {
    IPC_NONE, /* never on the wire */
#define MESSAGE(NAME, name, sender, states, next) IPC_##NAME,
#include "ipc/messages.def"
    IPC_TYPES,
};

enum ipc_role {
    IPC_BY_FRONT = 1,
    IPC_BY_WORKER = 2,
    IPC_BY_DECODER = 4,
    IPC_BY_FETCHER = 8,
    IPC_BY_CHILD = IPC_BY_WORKER | IPC_BY_DECODER | IPC_BY_FETCHER,
};

/* A conversation's state is the same at both ends: it moves with the child's messages only. */
enum ipc_state {
    IPC_STATE_SAME = 0, /* in the table: no change */
    IPC_STATE_NEW = 1,
    IPC_STATE_LOADING = 2,
    IPC_STATE_SERVING = 4,
    IPC_STATE_OVER = 8,
};

enum ipc_finish {
    IPC_FINISH_STOP,
    IPC_FINISH_LENGTH,
    IPC_FINISH_CANCELLED,
};

/* What a decoder did to a picture besides resizing it. */
enum ipc_change {
    IPC_CHANGE_ORIENTED = 1,      /* turned or mirrored as its EXIF orientation says */
    IPC_CHANGE_FLATTENED = 2,     /* transparency laid over white */
    IPC_CHANGE_FIRST_FRAME = 4,   /* further frames were left out */
    IPC_CHANGE_DEPTH = 8,         /* 16 bits a sample became 8 */
    IPC_CHANGE_FROM_CMYK = 16,    /* inks became RGB */
    IPC_CHANGE_CLIPPED = 32,      /* samples beyond 255 became white (16-bit grey) */
    IPC_CHANGE_FROM_PROFILE = 64, /* an ICC profile was converted to sRGB */
    IPC_CHANGES = 127,
};

enum ipc_sandbox {
    IPC_SANDBOX_OFF, /* not asked for, or this platform has none */
    IPC_SANDBOX_ON,
    IPC_SANDBOX_REFUSED, /* the system refused it */
};

/* Text with its length; in received messages a NUL follows that is not counted. */
struct ipc_string {
    const char *data;
    size_t len;
};

typedef bool ipc_BOOL;
typedef uint8_t ipc_U8;
typedef uint32_t ipc_U32;
typedef uint64_t ipc_U64;
typedef int32_t ipc_I32;
typedef float ipc_F32;
typedef enum vlmd_code ipc_CODE;
typedef int ipc_FD;
typedef struct ipc_string ipc_TEXT;
typedef struct {
    uint8_t bytes[32];
} ipc_HASH;

#define RECORD(name) struct ipc_##name {
#define RECORD_END(name)                                                                           \
    }                                                                                              \
    ;
#define MESSAGE(NAME, name, sender, states, next) struct ipc_##name {
#define END(name)                                                                                  \
    }                                                                                              \
    ;
#define FIELD(owner, kind, name, max) ipc_##kind name;
#define LIST(owner, kind, name, items, max)                                                        \
    uint32_t n_##name;                                                                             \
    ipc_##kind name[items];
#define ipc_IMAGE struct ipc_image
#include "ipc/messages.def"

struct ipc_message {
    enum ipc_type type;
    union {
#define MESSAGE(NAME, name, sender, states, next) struct ipc_##name name;
#include "ipc/messages.def"
    };
};

struct ipc_string ipc_string(const char *text); /* borrows a C string; NULL is "" */
const char *ipc_type_name(enum ipc_type type);  /* "GENERATE" */
/* Bytes that the body of such a message may have at most; 0 for an unknown type. */
size_t ipc_max_body(enum ipc_type type);
/* May `sender` send this in that state? */
bool ipc_allowed(enum ipc_type type, enum ipc_role sender, enum ipc_state state);
/* The state after it. */
enum ipc_state ipc_next_state(enum ipc_type type, enum ipc_state state);

/* Appends the body to `out` and the descriptors to fds[0..*n_fds) (room for IPC_MAX_FDS). Fails
 * with VLMD_INVALID when a field breaks its limit; `out` then is as it was. Ownership of
 * descriptors does not change. */
int ipc_encode(const struct ipc_message *message, struct buf *out, int *fds, size_t *n_fds,
               struct vlmd_error *err);
/* Returns a message in memory of its own (texts included), which the caller frees with
 * ipc_message_free, or NULL. All given descriptors belong to it from here on and are closed on
 * failure. */
struct ipc_message *ipc_decode(enum ipc_type type, const void *body, size_t len, const int *fds,
                               size_t n_fds, struct vlmd_error *err);
/* Closes the descriptors that are still in the message (those not set to -1). NULL is fine. */
void ipc_message_free(struct ipc_message *message);
/* For messages that live on a stack: closes the descriptors and sets them to -1, or only the latter
 * (they have another owner now). */
void ipc_message_close_fds(struct ipc_message *message);
void ipc_message_forget_fds(struct ipc_message *message);
