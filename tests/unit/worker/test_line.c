/* The worker's end of its channel: the thread answers for a loop that computes, loses nothing that
 * arrives meanwhile, goes silent for a loop that hangs and ends the process with the front. */
#include "unit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/line.h"

#define STALL_MS 300

struct pair {
    struct channel *front;
    struct line *line;
};

static struct pair open_pair(void)
{
    struct vlmd_error err;
    struct pair p;
    int ends[2];
    assert_int_equal(channel_pair(ends, &err), 0);
    p.front = channel_open(ends[0], IPC_BY_FRONT, IPC_BY_WORKER, &err);
    p.line = line_open(ends[1], &err);
    assert_non_null(p.front);
    assert_non_null(p.line);
    struct ipc_message hello = {.type = IPC_HELLO, .hello = {IPC_VERSION}};
    assert_int_equal(line_send(p.line, &hello, &err), 0);
    struct ipc_message *m;
    assert_int_equal(channel_next_wait(p.front, 5000, &m, &err), 1);
    assert_int_equal(m->type, IPC_HELLO);
    ipc_message_free(m);
    return p;
}

static void close_pair(struct pair *p)
{
    line_close(p->line);
    channel_close(p->front);
}

static void ping(struct pair *p, uint64_t number)
{
    struct vlmd_error err;
    struct ipc_message m = {.type = IPC_PING, .ping = {.number = number}};
    assert_int_equal(channel_send(p->front, &m, &err), 0);
}

/* Is the PING answered within the time? */
static bool answered(struct pair *p, uint64_t number, int timeout_ms)
{
    struct vlmd_error err;
    struct ipc_message *m;
    if (channel_next_wait(p->front, timeout_ms, &m, &err) != 1)
        return false;
    assert_int_equal(m->type, IPC_PONG);
    assert_int_equal(m->pong.number, number);
    ipc_message_free(m);
    return true;
}

static void compute(int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

static void test_answers_while_loading(void **state)
{
    (void)state;
    struct pair p = open_pair();
    compute(2 * STALL_MS); /* nobody watches the loop yet */
    for (uint64_t i = 1; i <= 3; i++) {
        ping(&p, i);
        assert_true(answered(&p, i, 5000));
    }
    close_pair(&p);
}

static void test_keeps_what_arrives(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct ipc_message *m;
    struct pair p = open_pair();
    struct ipc_message ready = {.type = IPC_READY};
    ready.ready.architecture = ready.ready.isa = ipc_string("x");
    assert_int_equal(line_send(p.line, &ready, &err), 0);
    assert_int_equal(channel_next_wait(p.front, 5000, &m, &err), 1);
    ipc_message_free(m);
    for (uint64_t i = 1; i <= 100; i++) {
        struct ipc_message cancel = {.type = IPC_CANCEL, .cancel = {.id = i}};
        assert_int_equal(channel_send(p.front, &cancel, &err), 0);
        if (i == 50)
            ping(&p, 7);
    }
    assert_true(answered(&p, 7, 5000)); /* by the thread, which has read the others with it */
    for (uint64_t i = 1; i <= 100; i++) {
        int got;
        while ((got = line_next(p.line, true, &m, &err)) == 0)
            ;
        assert_int_equal(got, 1);
        assert_int_equal(m->type, IPC_CANCEL);
        assert_int_equal(m->cancel.id, i);
        ipc_message_free(m);
    }
    assert_int_equal(line_next(p.line, false, &m, &err), 0);
    close_pair(&p);
}

static void test_goes_silent_when_the_loop_hangs(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct ipc_message *m;
    struct pair p = open_pair();
    line_watch(p.line, STALL_MS); /* the loop begins, and hangs */
    compute(2 * STALL_MS);
    ping(&p, 1);
    assert_false(answered(&p, 1, 2 * STALL_MS));
    bool heard = false; /* at once, unless this process is held up for as long itself */
    for (int i = 0; i < 20 && !heard; i++) {
        assert_int_equal(line_next(p.line, false, &m, &err), 0);
        ping(&p, 2);
        heard = answered(&p, 2, STALL_MS);
    }
    assert_true(heard);
    close_pair(&p);
}

static void test_the_front_goes(void **state)
{
    (void)state;
    struct vlmd_error err;
    struct ipc_message *m;
    struct pair p = open_pair();
    channel_close(p.front);
    assert_int_equal(line_next(p.line, true, &m, &err), -1);
    assert_int_equal(err.code, VLMD_IO);
    line_close(p.line);
}

/* In a process of its own, which the thread ends although the loop computes. */
static void test_the_front_goes_while_the_loop_computes(void **state)
{
    (void)state;
    struct vlmd_error err;
    int ends[2], status;
    assert_int_equal(channel_pair(ends, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        struct line *line = line_open(ends[1], &err);
        compute(20000);
        _exit(line ? 9 : 8);
    }
    close(ends[1]);
    compute(100);
    close(ends[0]);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(after.tv_sec - before.tv_sec <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_while_loading),
        cmocka_unit_test(test_keeps_what_arrives),
        cmocka_unit_test(test_goes_silent_when_the_loop_hangs),
        cmocka_unit_test(test_the_front_goes),
        cmocka_unit_test(test_the_front_goes_while_the_loop_computes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
