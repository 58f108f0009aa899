/* The codec: what goes in comes out, and nothing malformed gets through. */
#include "unit.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/codec.h"

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A GENERATE with two images and two stop strings, and its wire form. */
static struct ipc_message sample(void)
{
    struct ipc_message m = {.type = IPC_GENERATE};
    struct ipc_generate *g = &m.generate;
    *g = (struct ipc_generate){
        .id = UINT64_MAX - 1,
        .messages = ipc_string("[{\"role\":\"user\",\"content\":\"Gr\xC3\xBC\xC3\x9F\"}]"),
        .tools = ipc_string(""),
        .temperature = 0.7f,
        .top_p = 0.9f,
        .top_k = 40,
        .min_p = 0.05f,
        .repetition_penalty = 1.1f,
        .presence_penalty = -2,
        .frequency_penalty = 2,
        .seed = 0x0123456789ABCDEF,
        .max_tokens = 17,
        .n_stops = 2,
        .stops = {ipc_string("\n"), ipc_string("END")},
        .n_images = 2,
    };
    for (uint32_t i = 0; i < 2; i++) {
        g->images[i] = (struct ipc_image){.width = 28 * (int)(i + 1),
                                          .height = 56,
                                          .orig_width = 100,
                                          .orig_height = 200,
                                          .rgb = some_fd()};
        memset(g->images[i].sha256.bytes, (int)i + 1, 32);
    }
    return m;
}

static void test_round_trip(void **state)
{
    (void)state;
    int before = open_fds();
    struct ipc_message m = sample();
    struct buf wire = {0};
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    struct vlmd_error err;
    assert_int_equal(ipc_encode(&m, &wire, fds, &n_fds, &err), 0);
    assert_int_equal(n_fds, 2);
    struct ipc_message *back = ipc_decode(IPC_GENERATE, wire.data, wire.len, fds, n_fds, &err);
    assert_non_null(back);
    const struct ipc_generate *a = &m.generate, *b = &back->generate;
    assert_true(a->id == b->id && a->seed == b->seed);
    assert_int_equal(a->messages.len, b->messages.len);
    assert_string_equal(a->messages.data, b->messages.data);
    assert_string_equal(b->tools.data, "");
    assert_true(a->temperature == b->temperature && a->top_p == b->top_p && a->top_k == b->top_k &&
                a->min_p == b->min_p && a->repetition_penalty == b->repetition_penalty &&
                a->presence_penalty == b->presence_penalty &&
                a->frequency_penalty == b->frequency_penalty && a->max_tokens == b->max_tokens);
    assert_int_equal(b->n_stops, 2);
    assert_string_equal(b->stops[0].data, "\n");
    assert_string_equal(b->stops[1].data, "END");
    assert_int_equal(b->n_images, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(a->images[i].width, b->images[i].width);
        assert_int_equal(a->images[i].orig_height, b->images[i].orig_height);
        assert_int_equal(a->images[i].rgb, b->images[i].rgb);
        assert_memory_equal(a->images[i].sha256.bytes, b->images[i].sha256.bytes, 32);
    }
    ipc_message_free(back);
    buf_free(&wire);
    assert_int_equal(open_fds(), before);
}

/* Every cut of a valid body, and one byte more, is refused and leaks no descriptor. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    int before = open_fds();
    struct ipc_message m = sample();
    struct buf wire = {0};
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    assert_int_equal(ipc_encode(&m, &wire, fds, &n_fds, NULL), 0);
    ipc_message_close_fds(&m);
    struct vlmd_error err;
    for (size_t len = 0; len < wire.len; len++) {
        int pass[2] = {some_fd(), some_fd()};
        assert_null(ipc_decode(IPC_GENERATE, wire.data, len, pass, 2, &err));
        assert_int_equal(err.code, VLMD_FORMAT);
    }
    buf_append_char(&wire, 'x');
    int pass[2] = {some_fd(), some_fd()};
    assert_null(ipc_decode(IPC_GENERATE, wire.data, wire.len, pass, 2, &err));
    buf_free(&wire);
    assert_int_equal(open_fds(), before);
}

static void test_descriptors_must_match(void **state)
{
    (void)state;
    struct ipc_message m = sample();
    struct buf wire = {0};
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    assert_int_equal(ipc_encode(&m, &wire, fds, &n_fds, NULL), 0);
    ipc_message_close_fds(&m);
    struct vlmd_error err;
    int one[1] = {some_fd()};
    assert_null(ipc_decode(IPC_GENERATE, wire.data, wire.len, one, 1, &err));
    int three[3] = {some_fd(), some_fd(), some_fd()};
    assert_null(ipc_decode(IPC_GENERATE, wire.data, wire.len, three, 3, &err));
    buf_free(&wire);
}

static void refuse_to_encode(struct ipc_message *m, const char *field)
{
    struct buf wire = {0};
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    struct vlmd_error err;
    buf_append_text(&wire, "kept");
    assert_int_equal(ipc_encode(m, &wire, fds, &n_fds, &err), -1);
    assert_string_equal(err.field, field);
    assert_int_equal(wire.len, 4);
    buf_free(&wire);
}

static void test_limits_of_fields(void **state)
{
    (void)state;
    struct ipc_message m = {.type = IPC_TEXT};
    m.text.text = (struct ipc_string){"\xFF", 1};
    refuse_to_encode(&m, "text");
    m = (struct ipc_message){.type = IPC_LOADING};
    m.loading.fraction = NAN;
    refuse_to_encode(&m, "fraction");
    char *big = calloc(1, 513);
    assert_non_null(big);
    m.loading.fraction = 0;
    m.loading.text = (struct ipc_string){big, 513};
    refuse_to_encode(&m, "text");
    free(big);
    m = (struct ipc_message){.type = IPC_DONE};
    m.done.reason = IPC_FINISH_CANCELLED + 1;
    refuse_to_encode(&m, "reason");
    m = (struct ipc_message){.type = IPC_DONE};
    m.done.prompt_tokens = -1;
    refuse_to_encode(&m, "prompt_tokens");
    m = (struct ipc_message){.type = IPC_GENERATE};
    m.generate.n_stops = IPC_MAX_STOPS + 1;
    refuse_to_encode(&m, "stops");
    m = (struct ipc_message){.type = IPC_GENERATE};
    m.generate.n_images = 1;
    m.generate.images[0].rgb = -1;
    refuse_to_encode(&m, "rgb");
}

static void refuse_to_decode(enum ipc_type type, const char *body, size_t len)
{
    struct vlmd_error err;
    assert_null(ipc_decode(type, body, len, NULL, 0, &err));
    assert_int_equal(err.code, VLMD_FORMAT);
}

static void test_hostile_bodies(void **state)
{
    (void)state;
    refuse_to_decode(IPC_NONE, "", 0);
    refuse_to_decode(IPC_TYPES, "", 0);
    refuse_to_decode((enum ipc_type)0xFFFF, "", 0);
    refuse_to_decode(IPC_DECODER_READY, "\x03", 1);                /* no such state */
    refuse_to_decode(IPC_READY, "\0\0\0\0\0\0\0\0\2", 9);          /* a bool of 2 */
    refuse_to_decode(IPC_LOADING, "\xFF\xFF\xFF\xFF", 4);          /* a length of 4 GiB */
    refuse_to_decode(IPC_LOADING, "\1\0\0\0\xC0\0\0\0\0", 9);      /* not UTF-8 */
    refuse_to_decode(IPC_LOADING, "\0\0\0\0\0\0\xC0\x7F", 8);      /* NaN */
    refuse_to_decode(IPC_FAILED, "\x7F\0\0\0\0\0\0\0\0", 9);       /* unknown code */
    refuse_to_decode(IPC_STARTED, "12345678\xFF\xFF\xFF\xFF", 12); /* -1 tokens */
    char *big = calloc(1, ipc_max_body(IPC_PING) + 1);
    assert_non_null(big);
    refuse_to_decode(IPC_PING, big, ipc_max_body(IPC_PING) + 1);
    free(big);
}

static void test_text_gets_a_nul(void **state)
{
    (void)state;
    struct ipc_message m = {.type = IPC_ERROR};
    m.error.id = 7;
    m.error.code = VLMD_TOO_LARGE;
    m.error.field = ipc_string("max_tokens");
    m.error.text = ipc_string("too many");
    struct buf wire = {0};
    int fds[IPC_MAX_FDS];
    size_t n_fds;
    assert_int_equal(ipc_encode(&m, &wire, fds, &n_fds, NULL), 0);
    struct ipc_message *back = ipc_decode(IPC_ERROR, wire.data, wire.len, NULL, 0, NULL);
    assert_non_null(back);
    assert_int_equal(back->error.code, VLMD_TOO_LARGE);
    assert_string_equal(back->error.field.data, "max_tokens");
    assert_string_equal(back->error.text.data, "too many");
    ipc_message_free(back);
    buf_free(&wire);
}

static void test_who_may_say_what(void **state)
{
    (void)state;
    assert_true(ipc_allowed(IPC_HELLO, IPC_BY_WORKER, IPC_STATE_NEW));
    assert_true(ipc_allowed(IPC_HELLO, IPC_BY_DECODER, IPC_STATE_NEW));
    assert_false(ipc_allowed(IPC_HELLO, IPC_BY_FRONT, IPC_STATE_NEW));
    assert_false(ipc_allowed(IPC_HELLO, IPC_BY_WORKER, IPC_STATE_SERVING));
    assert_false(ipc_allowed(IPC_GENERATE, IPC_BY_WORKER, IPC_STATE_SERVING));
    assert_false(ipc_allowed(IPC_GENERATE, IPC_BY_FRONT, IPC_STATE_LOADING));
    assert_false(ipc_allowed(IPC_TEXT, IPC_BY_DECODER, IPC_STATE_SERVING));
    assert_false(ipc_allowed(IPC_DECODED, IPC_BY_WORKER, IPC_STATE_SERVING));
    assert_false(ipc_allowed(IPC_NONE, IPC_BY_FRONT, IPC_STATE_SERVING));
    for (int type = 0; type <= IPC_TYPES; type++)
        assert_false(ipc_allowed((enum ipc_type)type, IPC_BY_CHILD, IPC_STATE_OVER));
    assert_int_equal(ipc_next_state(IPC_READY, IPC_STATE_LOADING), IPC_STATE_SERVING);
    assert_int_equal(ipc_next_state(IPC_PING, IPC_STATE_LOADING), IPC_STATE_LOADING);
    assert_string_equal(ipc_type_name(IPC_DECODE_ERROR), "DECODE_ERROR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_descriptors_must_match),
        cmocka_unit_test(test_limits_of_fields),
        cmocka_unit_test(test_hostile_bodies),
        cmocka_unit_test(test_text_gets_a_nul),
        cmocka_unit_test(test_who_may_say_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
