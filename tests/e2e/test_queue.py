"""The queue: at most so many completions at once, the others by priority, with limits on depth and time."""

import json
import signal
import socket
import struct
import threading
import time

import pytest
from client import eventually, user


def ask(server, content, priority=None, **more):
    headers = {"Content-Type": "application/json"}
    if priority:
        headers["X-Priority"] = priority
    return server.post({"model": "fake", "messages": [user(content)], **more}, headers=headers)


class Asking(threading.Thread):
    """A request in a thread of its own; its answer and when it came."""

    def __init__(self, *arguments, **more):
        super().__init__()
        self.arguments, self.more = arguments, more
        self.answer = self.at = None
        self.start()

    def run(self):
        self.answer = ask(*self.arguments, **self.more)
        self.at = time.monotonic()

    def result(self):
        self.join(30)
        return self.answer


def requests(server):
    return server.status()["requests"]


def hang(server):
    """Holds the only slot until the socket is closed."""
    connection = server.connect({"model": "fake", "messages": [user("hang")]})
    eventually(lambda: sum(m["requests"] for m in server.status()["models"]) == 1, what="the slot taken")
    return connection


def test_priorities_decide_the_order(start):
    server = start("--max-concurrent-requests", 1)
    blocker = hang(server)
    waiting = []
    for i, priority in enumerate(["low", "LOW", None, "urgent", "high", "High"]):
        waiting.append(Asking(server, "count 10 5", priority))
        eventually(lambda: requests(server) == i + 2, what="its place in the queue")
    blocker.close()
    answers = [thread.result() for thread in waiting]
    assert [answer.status for answer in answers] == [200] * 6
    order = sorted(range(6), key=lambda i: waiting[i].at)
    assert order == [4, 5, 2, 3, 0, 1]
    assert [int(a.headers["X-Queue-Position"]) for a in answers] == [1, 2, 3, 4, 5, 6]
    assert all(int(a.headers["X-Queue-Wait-Ms"]) > 0 for a in answers)
    assert answers[0].json()["timings"]["queue_s"] > 0


def test_operators_see_the_queue(start):
    server = start("--max-concurrent-requests", 1)
    blocker = hang(server)
    threads = [Asking(server, "say hi", priority) for priority in ["high", "low", "low"]]
    eventually(lambda: requests(server) == 4)
    queue = server.get("/admin/queue", port=server.admin_port).json()
    assert queue["enabled"] and queue["active_slots"] == queue["max_slots"] == 1
    assert queue["queue_depth"] == 3 and queue["utilization"] == 1
    assert queue["waiting_by_priority"] == {"high": 1, "normal": 0, "low": 2}
    page = server.get("/metrics").body.decode()
    assert 'vlmd_queue_waiting{priority="low"} 2' in page
    blocker.close()
    assert [thread.result().status for thread in threads] == [200] * 3
    queue = server.get("/admin/metrics", port=server.admin_port).json()["priority_queue"]
    assert queue["totals"] == {"enqueued": 4, "completed": 4, "timeouts": 0, "rejected": 0}
    assert queue["avg_wait_time_ms"] > 0


def test_one_that_need_not_wait_says_nothing_about_it(start):
    answer = ask(start(), "say now")
    assert answer.status == 200
    assert "X-Queue-Position" not in answer.headers


def test_a_full_queue_refuses(start):
    server = start("--max-concurrent-requests", 1, "--queue-max-depth", 1)
    blocker = hang(server)
    second = Asking(server, "say second")
    eventually(lambda: requests(server) == 2)
    refused = ask(server, "say third")
    assert refused.status == 503
    assert refused.error()["code"] == "queue_full"
    assert refused.error()["type"] == "server_error"
    assert int(refused.headers["Retry-After"]) >= 1
    urgent = Asking(server, "say urgent", "high")  # each priority has its own places
    eventually(lambda: requests(server) == 3)
    blocker.close()
    assert second.result().text() == "second"
    assert urgent.result().text() == "urgent"


def test_without_a_queue_nothing_waits(start):
    server = start("--max-concurrent-requests", 1, "--no-queue-enabled")
    blocker = hang(server)
    assert ask(server, "say no").error()["code"] == "queue_full"
    blocker.close()
    eventually(lambda: requests(server) == 0)
    assert ask(server, "say yes").text() == "yes"


def test_waiting_has_an_end(start):
    server = start("--max-concurrent-requests", 1, "--queue-timeout-low", 1)
    blocker = hang(server)
    began = time.monotonic()
    answer = ask(server, "say never", "low")
    assert 0.9 < time.monotonic() - began < 15
    assert answer.status == 503
    assert answer.error()["code"] == "queue_timeout"
    assert int(answer.headers["Retry-After"]) >= 1
    assert int(answer.headers["X-Queue-Wait-Ms"]) >= 900
    assert requests(server) == 1
    blocker.close()


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_one_that_leaves_makes_room_at_once(start, how):
    server = start("--max-concurrent-requests", 1, "--queue-max-depth", 1)
    blocker = hang(server)
    waiting = server.connect({"model": "fake", "messages": [user("say gone")]})
    eventually(lambda: requests(server) == 2)
    if how == "reset":
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    waiting.shutdown(socket.SHUT_WR) if how == "half" else waiting.close()
    assert eventually(lambda: requests(server) == 1, what="its end") < 3
    third = Asking(server, "say third")
    eventually(lambda: requests(server) == 2)
    blocker.close()
    assert third.result().text() == "third"
    assert server.chat("stats").text() == "running=0 cancelled=1"  # the one that left never came to the worker
    waiting.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_has_an_end(start, stream):
    server = start("--request-timeout", 1)
    began = time.monotonic()
    answer = ask(server, "hang", stream=stream)
    assert 0.9 < time.monotonic() - began < 15
    assert answer.status == 504
    assert answer.error()["code"] == "timeout"
    assert answer.error()["type"] == "server_error"
    eventually(lambda: server.chat("stats").text() == "running=0 cancelled=1", what="the end of the work")


def test_a_stream_that_takes_too_long_ends_with_an_error(start):
    server = start("--request-timeout", 1)
    events = server.stream("count 100000 10")
    assert events[-1]["error"]["code"] == "timeout"
    assert len(events) > 2
    assert "[DONE]" not in events
    eventually(lambda: requests(server) == 0)


def test_the_wait_counts_too(start):
    server = start("--max-concurrent-requests", 1, "--request-timeout", 1)
    began = time.monotonic()
    first, second = Asking(server, "hang"), Asking(server, "hang")
    assert {first.result().status, second.result().status} <= {503, 504}
    assert time.monotonic() - began < 15


def test_many_share_few_slots(start):
    server = start("--max-concurrent-requests", 3)
    most = 0
    threads = [Asking(server, "count 5 5", ["high", "normal", "low"][i % 3]) for i in range(60)]
    while any(thread.is_alive() for thread in threads):
        most = max(most, sum(model["requests"] for model in server.status()["models"]))
    assert [thread.result().status for thread in threads] == [200] * 60
    assert 1 <= most <= 3
    assert requests(server) == 0


def test_sighup_opens_more_slots(start, tmp_path):
    path = tmp_path / "vlmd.conf"
    path.write_text("max-concurrent-requests = 1\n")
    server = start("--config", path)
    blocker = hang(server)
    waiting = Asking(server, "say more room")
    eventually(lambda: requests(server) == 2)
    path.write_text("max-concurrent-requests = 2\n")
    server.process.send_signal(signal.SIGHUP)
    assert waiting.result().text() == "more room"
    blocker.close()


def test_waiting_requests_are_drained(start):
    server = start("--max-concurrent-requests", 1)
    threads = [Asking(server, "count 10 10") for _ in range(4)]
    eventually(lambda: requests(server) == 4)
    assert server.stop() == 0
    assert [thread.result().status for thread in threads] == [200] * 4
    assert json.loads(threads[-1].answer.body)["object"] == "chat.completion"


def estimate(server, content):
    body = {"model": "fake", "messages": [user(content)]}
    return server.post(body, path="/v1/estimate")


def test_estimates_do_not_wait_behind_completions(start):
    server = start("--max-concurrent-requests", 1, "--queue-max-depth", 1)
    blocker = hang(server)
    second = Asking(server, "say second")
    eventually(lambda: requests(server) == 2)
    assert estimate(server, "hello").status == 200
    blocker.close()
    assert second.result().status == 200


def test_estimates_have_turns_and_time_outs(start):
    server = start("--max-concurrent-requests", 1, "--queue-timeout-normal", 1, "--request-timeout", 3)
    body = {"model": "fake", "messages": [user("hang")]}
    first = server.connect(body, path="/v1/estimate")
    eventually(lambda: requests(server) == 1)
    late = estimate(server, "hello")
    assert late.status == 503 and late.error()["code"] == "queue_timeout" and int(late.headers["Retry-After"]) > 0
    answer = first.recv(10000)
    assert b" 504 " in answer and b'"timeout"' in answer
    assert estimate(server, "hello").status == 200
