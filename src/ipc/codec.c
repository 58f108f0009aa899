#include "ipc/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

enum kind {
    KIND_END,
    KIND_BOOL,
    KIND_U8,
    KIND_U32,
    KIND_U64,
    KIND_I32,
    KIND_F32,
    KIND_CODE,
    KIND_HASH,
    KIND_TEXT,
    KIND_FD,
    KIND_IMAGE,
};

struct field {
    enum kind kind;
    const char *name;
    size_t offset;       /* in the message's own struct */
    size_t count_offset; /* of n_<name>, in a list */
    uint32_t items;      /* most items of a list; 0: a single field */
    uint64_t max;
};

/* An array of fields for each record and message, ended by KIND_END. */
#define ROWS(name) static const struct field name##_fields[] = {
#define ROWS_END                                                                                   \
    {                                                                                              \
        KIND_END, NULL, 0, 0, 0, 0                                                                 \
    }                                                                                              \
    }                                                                                              \
    ;
#define RECORD(name)                              ROWS(name)
#define RECORD_END(name)                          ROWS_END
#define MESSAGE(NAME, name, sender, states, next) ROWS(name)
#define END(name)                                 ROWS_END
#define FIELD(owner, kind, name, max)                                                              \
    {KIND_##kind, #name, offsetof(struct ipc_##owner, name), 0, 0, max},
#define LIST(owner, kind, name, items, max)                                                        \
    {                                                                                              \
        KIND_##kind,                                                                               \
        #name,                                                                                     \
        offsetof(struct ipc_##owner, name),                                                        \
        offsetof(struct ipc_##owner, n_##name),                                                    \
        items,                                                                                     \
        max},
#include "ipc/messages.def"

static const struct row {
    const char *name;
    const struct field *fields;
    unsigned senders;
    unsigned states;
    enum ipc_state next;
} rows[IPC_TYPES] = {
#define MESSAGE(NAME, name, sender, states, next)                                                  \
    [IPC_##NAME] = {#NAME, name##_fields, sender, states, next},
#include "ipc/messages.def"
};

static const struct row *row_of(enum ipc_type type)
{
    return type > IPC_NONE && type < IPC_TYPES ? &rows[type] : NULL;
}

struct ipc_string ipc_string(const char *text)
{
    return (struct ipc_string){text ? text : "", text ? strlen(text) : 0};
}

const char *ipc_type_name(enum ipc_type type)
{
    const struct row *row = row_of(type);
    return row ? row->name : "unknown";
}

bool ipc_allowed(enum ipc_type type, enum ipc_role sender, enum ipc_state state)
{
    const struct row *row = row_of(type);
    return row && (row->senders & sender) && (row->states & state);
}

enum ipc_state ipc_next_state(enum ipc_type type, enum ipc_state state)
{
    const struct row *row = row_of(type);
    return row && row->next != IPC_STATE_SAME ? row->next : state;
}

/* Bytes of one item in memory, and the most it takes on the wire. */
static size_t item_size(enum kind kind)
{
    switch (kind) {
    case KIND_BOOL:
        return sizeof(ipc_BOOL);
    case KIND_U8:
        return sizeof(ipc_U8);
    case KIND_U64:
        return sizeof(ipc_U64);
    case KIND_CODE:
        return sizeof(ipc_CODE);
    case KIND_HASH:
        return sizeof(ipc_HASH);
    case KIND_TEXT:
        return sizeof(ipc_TEXT);
    case KIND_IMAGE:
        return sizeof(struct ipc_image);
    default:
        return 4;
    }
}

static size_t max_wire(const struct field *fields)
{
    size_t sum = 0;
    for (const struct field *f = fields; f->kind != KIND_END; f++) {
        size_t one = f->kind == KIND_TEXT    ? 4 + (size_t)f->max
                     : f->kind == KIND_IMAGE ? max_wire(image_fields)
                     : f->kind == KIND_HASH  ? 32
                                             : 8;
        sum += f->items ? 4 + f->items * one : one;
    }
    return sum;
}

size_t ipc_max_body(enum ipc_type type)
{
    const struct row *row = row_of(type);
    return row ? max_wire(row->fields) : 0;
}

/* ---- writing */

struct writer {
    struct buf *out;
    int *fds;
    size_t n_fds;
    struct vlmd_error *err;
};

static void put_number(struct buf *out, uint64_t value, size_t bytes)
{
    char le[8];
    for (size_t i = 0; i < bytes; i++)
        le[i] = (char)(uint8_t)(value >> (8 * i));
    buf_append(out, le, bytes);
}

static int put_bounded(struct writer *w, const struct field *f, uint64_t value, size_t bytes)
{
    if (value > f->max)
        return err_set(w->err, VLMD_INVALID, f->name, "%s is %llu; at most %llu fits the message",
                       f->name, (unsigned long long)value, (unsigned long long)f->max);
    put_number(w->out, value, bytes);
    return 0;
}

static int put_text(struct writer *w, const struct field *f, const struct ipc_string *text)
{
    if (text->len > f->max)
        return err_set(w->err, VLMD_TOO_LARGE, f->name, "%s has %zu bytes; at most %llu are sent",
                       f->name, text->len, (unsigned long long)f->max);
    if (!utf8_valid(text->data, text->len))
        return err_set(w->err, VLMD_INVALID, f->name, "%s is not UTF-8", f->name);
    put_number(w->out, text->len, 4);
    buf_append(w->out, text->data, text->len);
    return 0;
}

static int put_fd(struct writer *w, const struct field *f, int fd)
{
    if (fd < 0 || w->n_fds == IPC_MAX_FDS)
        return err_set(w->err, VLMD_INVALID, f->name, "%s is not a descriptor that can be passed",
                       f->name);
    w->fds[w->n_fds++] = fd;
    return 0;
}

static int put_fields(struct writer *w, const struct field *fields, const void *base);

static int put_item(struct writer *w, const struct field *f, const void *item)
{
    switch (f->kind) {
    case KIND_BOOL:
        put_number(w->out, *(const ipc_BOOL *)item, 1);
        return 0;
    case KIND_U8:
        return put_bounded(w, f, *(const ipc_U8 *)item, 1);
    case KIND_U32:
        return put_bounded(w, f, *(const ipc_U32 *)item, 4);
    case KIND_U64:
        return put_bounded(w, f, *(const ipc_U64 *)item, 8);
    case KIND_I32:
        return put_bounded(w, f, (uint64_t)(int64_t) * (const ipc_I32 *)item, 4);
    case KIND_F32: {
        uint32_t bits;
        memcpy(&bits, item, 4);
        if (!isfinite(*(const ipc_F32 *)item))
            return err_set(w->err, VLMD_INVALID, f->name, "%s is not finite", f->name);
        put_number(w->out, bits, 4);
        return 0;
    }
    case KIND_CODE:
        put_number(w->out, (uint64_t) * (const ipc_CODE *)item, 1);
        return 0;
    case KIND_HASH:
        buf_append(w->out, item, 32);
        return 0;
    case KIND_TEXT:
        return put_text(w, f, item);
    case KIND_FD:
        return put_fd(w, f, *(const int *)item);
    case KIND_IMAGE:
        return put_fields(w, image_fields, item);
    case KIND_END:
        break;
    }
    return err_set(w->err, VLMD_INTERNAL, f->name, "unknown kind of field");
}

static int put_fields(struct writer *w, const struct field *fields, const void *base)
{
    for (const struct field *f = fields; f->kind != KIND_END; f++) {
        const char *item = (const char *)base + f->offset;
        uint32_t n = 1;
        if (f->items) {
            memcpy(&n, (const char *)base + f->count_offset, sizeof n);
            if (n > f->items)
                return err_set(w->err, VLMD_TOO_LARGE, f->name, "%u %s; at most %u are sent", n,
                               f->name, f->items);
            put_number(w->out, n, 4);
        }
        for (uint32_t i = 0; i < n; i++)
            if (put_item(w, f, item + i * item_size(f->kind)) < 0)
                return -1;
    }
    return 0;
}

int ipc_encode(const struct ipc_message *message, struct buf *out, int *fds, size_t *n_fds,
               struct vlmd_error *err)
{
    const struct row *row = row_of(message->type);
    *n_fds = 0;
    if (!row)
        return err_set(err, VLMD_INTERNAL, NULL, "no such message");
    size_t start = out->len;
    struct writer w = {.out = out, .fds = fds, .err = err};
    int status = put_fields(&w, row->fields, &message->hello);
    if (status == 0 && out->failed)
        status = err_no_memory(err, out->len);
    if (status < 0) {
        out->len = start;
        return -1;
    }
    *n_fds = w.n_fds;
    return 0;
}

/* ---- reading */

struct reader {
    uint8_t *at;
    uint8_t *end;
    const int *fds;
    size_t n_fds;
    size_t fds_used;
    struct vlmd_error *err;
};

static int malformed(struct reader *r, const struct field *f, const char *why)
{
    return err_set(r->err, VLMD_FORMAT, f->name, "malformed message: %s %s", f->name, why);
}

static int get_number(struct reader *r, const struct field *f, size_t bytes, uint64_t max,
                      uint64_t *value)
{
    if ((size_t)(r->end - r->at) < bytes)
        return malformed(r, f, "is cut short");
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)r->at[i] << (8 * i);
    r->at += bytes;
    if (v > max)
        return malformed(r, f, "is out of range");
    *value = v;
    return 0;
}

/* The text is moved over its own length, which makes room for the NUL behind it. */
static int get_text(struct reader *r, const struct field *f, struct ipc_string *text)
{
    uint64_t len = 0;
    uint8_t *start = r->at;
    if (get_number(r, f, 4, f->max, &len) < 0)
        return -1;
    if ((size_t)(r->end - r->at) < len)
        return malformed(r, f, "is cut short");
    if (!utf8_valid((const char *)r->at, (size_t)len))
        return malformed(r, f, "is not UTF-8");
    r->at += len;
    memmove(start, start + 4, (size_t)len);
    start[len] = '\0';
    *text = (struct ipc_string){(const char *)start, (size_t)len};
    return 0;
}

static int get_fields(struct reader *r, const struct field *fields, void *base);

static int get_item(struct reader *r, const struct field *f, void *item)
{
    uint64_t v = 0;
    switch (f->kind) {
    case KIND_BOOL:
        if (get_number(r, f, 1, 1, &v) < 0)
            return -1;
        *(ipc_BOOL *)item = v != 0;
        return 0;
    case KIND_U8:
        if (get_number(r, f, 1, f->max, &v) < 0)
            return -1;
        *(ipc_U8 *)item = (uint8_t)v;
        return 0;
    case KIND_U32:
        if (get_number(r, f, 4, f->max, &v) < 0)
            return -1;
        *(ipc_U32 *)item = (uint32_t)v;
        return 0;
    case KIND_U64:
        return get_number(r, f, 8, f->max, item);
    case KIND_I32:
        if (get_number(r, f, 4, f->max, &v) < 0)
            return -1;
        *(ipc_I32 *)item = (int32_t)v;
        return 0;
    case KIND_F32: {
        if (get_number(r, f, 4, UINT32_MAX, &v) < 0)
            return -1;
        uint32_t bits = (uint32_t)v;
        memcpy(item, &bits, 4);
        return isfinite(*(ipc_F32 *)item) ? 0 : malformed(r, f, "is not finite");
    }
    case KIND_CODE:
        if (get_number(r, f, 1, VLMD_INTERNAL, &v) < 0)
            return -1;
        *(ipc_CODE *)item = (ipc_CODE)v;
        return 0;
    case KIND_HASH:
        if (r->end - r->at < 32)
            return malformed(r, f, "is cut short");
        memcpy(item, r->at, 32);
        r->at += 32;
        return 0;
    case KIND_TEXT:
        return get_text(r, f, item);
    case KIND_FD:
        if (r->fds_used == r->n_fds)
            return malformed(r, f, "came without its descriptor");
        *(int *)item = r->fds[r->fds_used++];
        return 0;
    case KIND_IMAGE:
        return get_fields(r, image_fields, item);
    case KIND_END:
        break;
    }
    return malformed(r, f, "is of an unknown kind");
}

static int get_fields(struct reader *r, const struct field *fields, void *base)
{
    for (const struct field *f = fields; f->kind != KIND_END; f++) {
        char *item = (char *)base + f->offset;
        uint64_t n = 1;
        if (f->items) {
            if (get_number(r, f, 4, f->items, &n) < 0)
                return -1;
            uint32_t count = (uint32_t)n;
            memcpy((char *)base + f->count_offset, &count, sizeof count);
        }
        for (uint64_t i = 0; i < n; i++)
            if (get_item(r, f, item + i * item_size(f->kind)) < 0)
                return -1;
    }
    return 0;
}

struct ipc_message *ipc_decode(enum ipc_type type, const void *body, size_t len, const int *fds,
                               size_t n_fds, struct vlmd_error *err)
{
    const struct row *row = row_of(type);
    struct ipc_message *m = NULL;
    if (!row || len > ipc_max_body(type)) {
        err_set(err, VLMD_FORMAT, NULL, "malformed message: %s",
                row ? "longer than its kind may be" : "unknown type");
        goto fail;
    }
    m = calloc(1, sizeof *m + len);
    if (!m) {
        err_no_memory(err, sizeof *m + len);
        goto fail;
    }
    m->type = type;
    uint8_t *copy = (uint8_t *)(m + 1);
    if (len)
        memcpy(copy, body, len);
    struct reader r = {.at = copy, .end = copy + len, .fds = fds, .n_fds = n_fds, .err = err};
    if (get_fields(&r, row->fields, &m->hello) < 0)
        goto fail;
    if (r.at != r.end || r.fds_used != n_fds) {
        err_set(err, VLMD_FORMAT, NULL, "malformed message: %s has more than its fields",
                row->name);
        goto fail;
    }
    return m;
fail:
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    free(m);
    return NULL;
}

/* Closes the descriptors and marks them gone, or only marks them. */
static void drop_fds(const struct field *fields, void *base, bool closing)
{
    for (const struct field *f = fields; f->kind != KIND_END; f++) {
        uint32_t n = 1;
        if (f->items)
            memcpy(&n, (char *)base + f->count_offset, sizeof n);
        for (uint32_t i = 0; i < n && (!f->items || i < f->items); i++) {
            char *item = (char *)base + f->offset + i * item_size(f->kind);
            if (f->kind == KIND_IMAGE)
                drop_fds(image_fields, item, closing);
            if (f->kind != KIND_FD)
                continue;
            int *fd = (int *)(void *)item;
            if (closing && *fd >= 0)
                close(*fd);
            *fd = -1;
        }
    }
}

void ipc_message_close_fds(struct ipc_message *message)
{
    const struct row *row = row_of(message->type);
    if (row)
        drop_fds(row->fields, &message->hello, true);
}

void ipc_message_forget_fds(struct ipc_message *message)
{
    const struct row *row = row_of(message->type);
    if (row)
        drop_fds(row->fields, &message->hello, false);
}

void ipc_message_free(struct ipc_message *message)
{
    if (!message)
        return;
    ipc_message_close_fds(message);
    free(message);
}
