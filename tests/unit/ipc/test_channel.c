/* Channels over a real socket pair: order, descriptors, back-pressure, broken peers. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "ipc/pass_fd.h"
#include "ipc/shared_memory.h"

struct pair {
    struct channel *front, *child;
};

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static struct pair open_pair(enum ipc_role child)
{
    int fds[2];
    assert_int_equal(channel_pair(fds, NULL), 0);
    struct pair p = {channel_open(fds[0], IPC_BY_FRONT, child, NULL),
                     channel_open(fds[1], child, IPC_BY_FRONT, NULL)};
    assert_non_null(p.front);
    assert_non_null(p.child);
    return p;
}

static void close_pair(struct pair *p)
{
    channel_close(p->front);
    channel_close(p->child);
}

static void say(struct channel *c, struct ipc_message *m)
{
    struct vlmd_error err = {0};
    if (channel_send(c, m, &err) < 0)
        fail_msg("send: %s", err.text);
}

static struct ipc_message *hear(struct channel *c, enum ipc_type type)
{
    struct ipc_message *m;
    struct vlmd_error err = {0};
    if (channel_next_wait(c, 2000, &m, &err) != 1)
        fail_msg("no message: %s", err.text);
    assert_int_equal(m->type, type);
    return m;
}

/* Brings a pair into the serving state. */
static void serve(struct pair *p, enum ipc_type ready)
{
    say(p->child, &(struct ipc_message){.type = IPC_HELLO, .hello = {IPC_VERSION}});
    ipc_message_free(hear(p->front, IPC_HELLO));
    say(p->front, &(struct ipc_message){.type = IPC_WELCOME, .welcome = {IPC_VERSION}});
    ipc_message_free(hear(p->child, IPC_WELCOME));
    struct ipc_message m = {.type = ready};
    if (ready == IPC_READY)
        m.ready.architecture = m.ready.isa = ipc_string("x");
    say(p->child, &m);
    ipc_message_free(hear(p->front, ready));
    assert_int_equal(channel_state(p->front), IPC_STATE_SERVING);
    assert_int_equal(channel_state(p->child), IPC_STATE_SERVING);
}

static void test_conversation(void **state)
{
    (void)state;
    int before = open_fds();
    struct pair p = open_pair(IPC_BY_WORKER);
    serve(&p, IPC_READY);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "word %d ", i);
        say(p.child,
            &(struct ipc_message){.type = IPC_TEXT,
                                  .text = {.id = 5, .text = ipc_string(text), .tokens = i}});
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(channel_flush(p.child, NULL), 0); /* more than the socket holds at once */
        struct ipc_message *m = hear(p.front, IPC_TEXT);
        assert_int_equal(m->text.tokens, i);
        ipc_message_free(m);
    }
    struct ipc_message *none;
    assert_int_equal(channel_next_wait(p.front, 0, &none, NULL), 0);
    assert_int_equal(channel_next_wait(p.front, 20, &none, NULL), 0);
    close_pair(&p);
    assert_int_equal(open_fds(), before);
}

/* Memory passes as a descriptor and arrives with its message even when many are queued before the
 * other side reads. */
static void test_descriptors(void **state)
{
    (void)state;
    int before = open_fds();
    struct pair p = open_pair(IPC_BY_WORKER);
    serve(&p, IPC_READY);
    for (int i = 0; i < 40; i++) {
        struct ipc_message m = {.type = IPC_GENERATE};
        m.generate.id = (uint64_t)i;
        m.generate.messages = m.generate.tools = ipc_string("[]");
        m.generate.n_images = (uint32_t)(i % 3);
        for (uint32_t k = 0; k < m.generate.n_images; k++) {
            int fd = shared_memory_create(100, NULL);
            struct shared_map map;
            assert_int_equal(shared_memory_map_write(fd, 100, &map, NULL), 0);
            map.data[99] = (uint8_t)(10 * i + (int)k);
            shared_memory_unmap(&map);
            m.generate.images[k].rgb = fd;
        }
        say(p.front, &m);
        for (uint32_t k = 0; k < m.generate.n_images; k++)
            assert_int_equal(m.generate.images[k].rgb, -1);
    }
    for (int i = 0; i < 40; i++) {
        struct ipc_message *m = hear(p.child, IPC_GENERATE);
        assert_int_equal(m->generate.id, i);
        assert_int_equal(m->generate.n_images, i % 3);
        for (uint32_t k = 0; k < m->generate.n_images; k++) {
            struct shared_map map;
            int fd = m->generate.images[k].rgb;
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            assert_int_equal(shared_memory_fix_size(fd, 100, NULL), 0);
            assert_int_equal(shared_memory_map_read(fd, 100, &map, NULL), 0);
            assert_int_equal(map.data[99], (uint8_t)(10 * i + (int)k));
            shared_memory_unmap(&map);
        }
        ipc_message_free(m);
    }
    close_pair(&p);
    assert_int_equal(open_fds(), before);
}

/* Unread and unsent descriptors die with the channel. */
static void test_close_with_descriptors_waiting(void **state)
{
    (void)state;
    int before = open_fds();
    struct pair p = open_pair(IPC_BY_DECODER);
    serve(&p, IPC_DECODER_READY);
    for (int i = 0; i < 300; i++) {
        struct ipc_message m = {.type = IPC_DECODE};
        m.decode.encoded = shared_memory_create(1, NULL);
        if (channel_send(p.front, &m, NULL) < 0)
            assert_int_equal(m.decode.encoded, -1);
    }
    assert_int_equal(channel_receive(p.child, NULL), 1);
    close_pair(&p);
    assert_int_equal(open_fds(), before);
}

static void test_big_message_and_slow_reader(void **state)
{
    (void)state;
    struct pair p = open_pair(IPC_BY_WORKER);
    serve(&p, IPC_READY);
    size_t len = 15u << 20;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'a', len);
    struct vlmd_error err = {0};
    int sent = 0;
    for (; sent < 20; sent++) {
        struct ipc_message m = {.type = IPC_GENERATE};
        m.generate.messages = (struct ipc_string){text, len};
        m.generate.tools = ipc_string("");
        m.generate.id = (uint64_t)sent;
        if (channel_send(p.front, &m, &err) < 0)
            break;
    }
    assert_int_equal(err.code, VLMD_BUSY);
    assert_in_range(sent, 3, 6);
    for (int i = 0; i < sent; i++) {
        struct ipc_message *m = NULL;
        while (!m) {
            assert_int_equal(channel_flush(p.front, NULL), 0);
            assert_true(channel_next_wait(p.child, 0, &m, NULL) >= 0);
        }
        assert_int_equal(m->generate.id, i);
        assert_int_equal(m->generate.messages.len, len);
        ipc_message_free(m);
    }
    assert_int_equal(channel_backlog(p.front), 0);
    free(text);
    close_pair(&p);
}

static void test_sender_keeps_the_rules(void **state)
{
    (void)state;
    struct pair p = open_pair(IPC_BY_WORKER);
    struct vlmd_error err;
    struct ipc_message early = {.type = IPC_TEXT, .text = {.text = ipc_string("x")}};
    assert_int_equal(channel_send(p.child, &early, &err), -1);
    assert_int_equal(err.code, VLMD_INTERNAL);
    close_pair(&p);
}

static void test_peer_gone(void **state)
{
    (void)state;
    struct pair p = open_pair(IPC_BY_WORKER);
    say(p.child, &(struct ipc_message){.type = IPC_HELLO, .hello = {IPC_VERSION}});
    channel_close(p.child);
    ipc_message_free(hear(p.front, IPC_HELLO)); /* what came before the end is still there */
    struct ipc_message *m;
    struct vlmd_error err;
    assert_int_equal(channel_next_wait(p.front, 1000, &m, &err), -1);
    assert_int_equal(err.code, VLMD_IO);
    struct ipc_message welcome = {.type = IPC_WELCOME, .welcome = {IPC_VERSION}};
    assert_int_equal(channel_send(p.front, &welcome, &err), -1);
    channel_close(p.front);
}

static void test_last_words_after_a_failed_send(void **state)
{
    (void)state;
    struct pair p = open_pair(IPC_BY_WORKER);
    serve(&p, IPC_READY);
    say(p.child, &(struct ipc_message){.type = IPC_PONG, .pong = {5}});
    channel_close(p.child);
    p.child = NULL;
    struct vlmd_error err;
    struct ipc_message ping = {.type = IPC_PING, .ping = {6}};
    assert_int_equal(channel_send(p.front, &ping, &err), -1);
    assert_int_equal(err.code, VLMD_IO);
    ipc_message_free(hear(p.front, IPC_PONG));
    struct ipc_message *none;
    assert_int_equal(channel_next_wait(p.front, 2000, &none, &err), -1);
    assert_int_equal(err.code, VLMD_IO);
    close_pair(&p);
}

/* Raw bytes from a hostile child, each ending the conversation with an error. */
static void test_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        size_t len;
        const char *bytes;
    } cases[] = {
        {"unknown type", 8, "\0\0\0\0\xEE\xEE\0\1"},
        {"type 0", 8, "\0\0\0\0\0\0\0\1"},
        {"wrong version", 12, "\4\0\0\0\1\0\0\377\1\0\0\0"},
        {"too long", 8, "\xFF\xFF\xFF\xFF\1\0\0\1"},
        {"longer than the kind may be", 8, "\xFF\0\0\0\1\0\0\1"},
        {"descriptors that did not come", 12, "\4\0\0\0\1\0\1\1\1\0\0\0"},
        {"body shorter than its fields", 11, "\3\0\0\0\1\0\0\1\1\0\0"},
        {"not allowed in this state", 16, "\10\0\0\0\4\0\0\1\0\0\0\0\0\0\0\0"},
        {"not the child's to send", 12, "\4\0\0\0\2\0\0\1\1\0\0\0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fds[2];
        assert_int_equal(channel_pair(fds, NULL), 0);
        struct channel *c = channel_open(fds[0], IPC_BY_FRONT, IPC_BY_WORKER, NULL);
        char bytes[16];
        memcpy(bytes, cases[i].bytes, cases[i].len);
        if (bytes[7] == 1) /* the place of the version: right in all cases but one */
            bytes[7] = IPC_VERSION;
        assert_int_equal(write(fds[1], bytes, cases[i].len), cases[i].len);
        struct ipc_message *m;
        struct vlmd_error err;
        if (channel_next_wait(c, 1000, &m, &err) != -1)
            fail_msg("%s was accepted", cases[i].why);
        assert_int_equal(err.code, VLMD_FORMAT);
        channel_close(c);
        close(fds[1]);
    }
}

static void test_too_many_descriptors(void **state)
{
    (void)state;
    int before = open_fds();
    int fds[2];
    assert_int_equal(channel_pair(fds, NULL), 0);
    struct channel *c = channel_open(fds[0], IPC_BY_FRONT, IPC_BY_WORKER, NULL);
    int many[200];
    for (int i = 0; i < 200; i++)
        many[i] = STDIN_FILENO;
    assert_int_equal(pass_fd_send(fds[1], "x", 1, many, 200), 1);
    struct vlmd_error err;
    assert_int_equal(channel_receive(c, &err), -1);
    assert_int_equal(err.code, VLMD_FORMAT);
    channel_close(c);
    close(fds[1]);
    assert_int_equal(open_fds(), before);
}

static void test_shared_memory_keeps_its_size(void **state)
{
    (void)state;
    int fd = shared_memory_create(4096, NULL);
    struct vlmd_error err;
    assert_int_equal(shared_memory_fix_size(fd, 4095, &err), -1);
    close(fd);
    fd = shared_memory_create(4096, NULL);
    assert_int_equal(shared_memory_fix_size(fd, 4096, &err), 0);
#ifdef F_ADD_SEALS
    assert_int_equal(ftruncate(fd, 0), -1);
#endif
    struct shared_map map;
    assert_int_equal(shared_memory_map_read(fd, 4097, &map, &err), -1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversation),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_close_with_descriptors_waiting),
        cmocka_unit_test(test_big_message_and_slow_reader),
        cmocka_unit_test(test_sender_keeps_the_rules),
        cmocka_unit_test(test_peer_gone),
        cmocka_unit_test(test_last_words_after_a_failed_send),
        cmocka_unit_test(test_hostile_frames),
        cmocka_unit_test(test_too_many_descriptors),
        cmocka_unit_test(test_shared_memory_keeps_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
