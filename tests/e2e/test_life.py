"""Clients that vanish, children that die, signals, limits: the server lives on and leaks nothing."""

import concurrent.futures
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from urllib.parse import quote

import pytest
from client import PROGRAM, Server, eventually, gone, image_part, png, read_all, streamed_text, text_part, user


def reset(connection):
    """Closes so that the peer sees RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def leave(connection, how):
    if how == "reset":
        reset(connection)
    elif how == "half":
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.close()


def running(server):
    return sum(model["requests"] for model in server.status()["models"])


def chat_body(content, stream=True, **more):
    return {"model": "fake", "messages": [user(content)], "stream": stream, **more}


# ---- clients that go away


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("order", ["hang", "count 100000 2"])
def test_a_client_that_leaves_stops_the_work(start, how, stream, order):
    server = start()
    connection = server.connect(chat_body(order, stream))
    eventually(lambda: running(server) == 1, what="the request")
    time.sleep(0.05)
    leave(connection, how)
    assert eventually(lambda: running(server) == 0, what="the end of the work") < 1
    assert server.chat("stats").text() == "running=0 cancelled=1"
    assert server.status()["requests"] == 0
    connection.close()


def test_clients_that_leave_at_any_time_leak_nothing(start):
    server = start()
    image = image_part(png(300, 200))
    server.chat([image, text_part("images")])  # everything that is opened once is open now
    before = server.descriptors()
    dice = random.Random(5)

    def one(_):
        content = dice.choice(["hang", "count 1000 1", "flood 500", [image, image, text_part("hang")]])
        connection = server.connect(chat_body(content, dice.random() < 0.5))
        time.sleep(dice.random() * 0.05)
        leave(connection, dice.choice(["close", "reset"]))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(300)))
    eventually(lambda: server.status()["requests"] == 0, what="the end of all requests")
    eventually(lambda: running(server) == 0, what="the end of all work")
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    assert server.chat("stats").text().startswith("running=0 ")


def test_a_client_that_leaves_while_its_model_loads(start):
    server = start(names=("slow",), wait=False)
    connection = server.connect({**chat_body("hang"), "model": "slow"})
    eventually(lambda: server.status()["requests"] == 1)
    connection.close()
    eventually(lambda: server.status()["requests"] == 0, seconds=1)


def test_a_slow_reader_is_cut_off(start):
    server = start()
    connection = server.connect(chat_body("flood 20000"))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    eventually(lambda: "too slowly" in server.log(), what="the cut")
    eventually(lambda: running(server) == 0)
    assert server.chat("say fine").text() == "fine"
    connection.close()


def test_a_slow_reader_gets_the_whole_of_a_last_answer(start):
    server = start()
    words = ("x" * 200 + " ") * 30000
    data = json.dumps(chat_body("say " + words, stream=False)).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    )
    eventually(lambda: "POST /v1/chat/completions 200" in server.log(), what="the answer")
    time.sleep(3)
    body = read_all(connection, 10).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["choices"][0]["message"]["content"] == words
    connection.close()


# ---- workers that die


def test_requests_of_a_dead_worker_begin_again_once_and_then_fail(start):
    server = start()
    before = server.descriptors()
    results = []

    def one(stream):
        results.append(server.post(chat_body("hang", stream)))

    threads = [threading.Thread(target=one, args=(i % 2 == 0,)) for i in range(8)]
    for thread in threads:
        thread.start()
    before_it = 0
    for sig in (signal.SIGSEGV, signal.SIGKILL):
        eventually(lambda: server.worker_pid() not in (0, before_it) and running(server) == 8)
        assert not results
        before_it = server.worker_pid()
        os.kill(before_it, sig)
    for thread in threads:
        thread.join(10)
    assert [answer.status for answer in results] == [500] * 8
    assert all("ended while" in answer.error()["message"] for answer in results)
    assert server.chat("say back").text() == "back"  # waits for the new process
    assert server.status()["models"][0]["restarts"] == 2
    eventually(lambda: server.descriptors() <= before)


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_whose_worker_died_once_is_answered(start, stream):
    server = start()
    image = image_part(png(64, 64))
    before = server.descriptors()
    content = [image, text_part("die-once as if nothing had happened")]
    if stream:
        assert streamed_text(server.stream(content)) == "as if nothing had happened"
    else:
        assert server.chat(content).text() == "as if nothing had happened"
    assert "begins again" in server.log()
    eventually(lambda: server.descriptors() <= before)


def test_a_stream_whose_worker_dies_ends_with_an_error(start):
    server = start()
    events = server.stream("die-after 5")
    assert streamed_text(events[:-1]) == "0 1 2 3 4 "
    assert events[-1]["error"]["type"] == "server_error"
    assert "[DONE]" not in events


@pytest.mark.parametrize("order", ["garbage", "lie", "die", "crash", "stop", "oom", "babble"])
def test_a_worker_that_misbehaves_is_replaced(start, order):
    server = start()
    pid = server.worker_pid()
    began = time.monotonic()
    answer = server.chat(order)
    assert answer.status == 500 and answer.error()["code"] == "internal_error"
    assert time.monotonic() - began < 8
    assert server.chat("say fine").text() == "fine"
    assert server.worker_pid() != pid and gone(pid)


def test_a_wedged_worker_is_replaced(start):
    server = start("--heartbeat-seconds", 1)
    began = time.monotonic()
    answer = server.chat("wedge")
    assert answer.status == 500 and 1.5 < time.monotonic() - began < 5
    assert "does not answer any more" in server.log()
    assert server.chat("say fine").text() == "fine"


def test_a_worker_that_is_slow_but_alive_is_left_in_peace(start):
    server = start("--heartbeat-seconds", 1, names=("slow",))
    assert server.post({"model": "slow", "messages": [user("count 30 100")]}).status == 200
    time.sleep(2)
    assert server.status()["models"][0]["restarts"] == 0


@pytest.mark.parametrize("name", ["stop", "wedge"])
def test_a_worker_that_hangs_while_it_loads(start, name):
    server = start("--heartbeat-seconds", 1, names=("fake", name))
    answer = server.post({"model": name, "messages": [user("x")]})
    assert answer.status == 503 and "keeps dying" in answer.error()["message"]
    assert server.chat("say fine").text() == "fine"


def test_a_worker_that_keeps_dying_is_not_started_for_ever(start):
    server = start()
    statuses = [server.chat("die").status for _ in range(5)]
    assert statuses[0] == 500 and statuses[-1] == 503
    answer = server.chat("say x")
    assert answer.status == 503 and "keeps dying" in answer.error()["message"]
    first = int(answer.headers["Retry-After"])
    assert 50 <= first <= 60
    assert server.get("/health").status == 503
    time.sleep(2.1)
    assert first - 4 <= int(server.chat("say x").headers["Retry-After"]) <= first - 2


def test_a_worker_that_dies_while_loading(start):
    server = start(names=("fake", "die"), wait=False)
    server.wait_until_ready()
    answer = server.post({"model": "die", "messages": [user("x")]})
    assert answer.status == 503 and answer.error()["param"] == "model"
    assert server.chat("say fine").text() == "fine"


def test_a_model_that_cannot_be_loaded(start):
    server = start(names=("fake", "fail"), wait=False)
    server.wait_until_ready()
    answer = server.post({"model": "fail", "messages": [user("x")]})
    assert answer.status == 503 and "fails by order" in answer.error()["message"]
    models = {model["id"]: model for model in server.status()["models"]}
    assert models["fail"]["state"] == "failed" and models["fail"]["restarts"] == 0
    assert server.get("/health").json()["status"] == "failed"


def test_no_model_at_all_is_a_failure_of_the_program(fake_model):
    server = Server(models=[fake_model("fail")], wait=False)
    assert server.process.wait(10) == 1
    assert "no model could be loaded" in server.log()


def test_requests_wait_for_a_model_that_loads(start):
    server = start(names=("slow",), wait=False)
    health = server.get("/health")
    assert health.status == 503 and health.json()["status"] == "loading"
    began = time.monotonic()
    assert server.post({"model": "slow", "messages": [user("say ready")]}).text() == "ready"
    assert time.monotonic() - began > 0.5
    assert "reading nothing" in server.log()


# ---- decoders that die


def decoder_pids(server):
    return [pid for pid in server.children() if pid != server.worker_pid()]


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was dying already


def test_dead_decoders_come_back(start):
    server = start()
    image = image_part(png(64, 64))
    for _ in range(5):
        kill(decoder_pids(server))
        assert server.chat([image, text_part("images")]).status == 200  # another try
    eventually(lambda: server.status()["decoders"]["ready"] == 2)
    assert server.chat([image, text_part("images")]).status == 200


def test_decoders_killed_under_load(start):
    server = start()
    image = image_part(png(900, 700))
    stop = threading.Event()

    def killer():
        while not stop.wait(0.1):
            if server.status()["decoders"]["ready"] == 2:
                kill(decoder_pids(server)[:1])

    thread = threading.Thread(target=killer)
    thread.start()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.chat([image] * 3 + [text_part("images")]), range(60)))
    stop.set()
    thread.join()
    for answer in answers:
        if answer.status != 200:
            assert answer.status == 500 and "decoder was lost" in answer.error()["message"]
    assert sum(answer.status == 200 for answer in answers) > 30
    eventually(lambda: server.status()["requests"] == 0)


def test_stopped_decoders_are_replaced(start):
    server = start()
    pids = decoder_pids(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert server.chat([image_part(png(64, 64)), text_part("images")]).status == 200
    assert time.monotonic() - began < 2
    eventually(lambda: all(gone(pid) for pid in pids), what="the end of both")


def test_children_inherit_nothing(start):
    """Standard streams and the channel; no other descriptor, and none of our environment."""
    os.environ["VLMD_SECRET"] = "hunter2"
    try:
        server = start("--no-sandbox")  # a decoder that is locked in shows its descriptors to root alone
    finally:
        del os.environ["VLMD_SECRET"]
    for pid in server.children():
        assert sorted(os.listdir(f"/proc/{pid}/fd"), key=int) == ["0", "1", "2", "3"]
        names = {entry.split(b"=")[0] for entry in open(f"/proc/{pid}/environ", "rb").read().split(b"\0") if entry}
        assert names <= {b"PATH", b"VLMD_LOG_LEVEL", b"ASAN_OPTIONS", b"UBSAN_OPTIONS", b"LSAN_OPTIONS", b"TSAN_OPTIONS"}


def test_children_yield_their_memory_first(real):
    """When memory runs out, the kernel ends one of them, which comes back, and not the front."""
    def adjustment(pid):
        return int(open(f"/proc/{pid}/oom_score_adj").read())

    assert len(real.children()) == 3
    for pid in real.children():
        assert adjustment(pid) == min(1000, adjustment(real.process.pid) + 300)


def test_decoders_are_locked_in(start):
    server = start()
    eventually(lambda: server.status()["decoders"]["ready"] == 2, what="both decoders")
    assert len(decoder_pids(server)) == 2
    for pid in decoder_pids(server):
        status = open(f"/proc/{pid}/status").read()
        assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status


# ---- the end of the server


def test_nothing_outlives_the_front(start):
    server = start()
    pids = server.children()
    assert len(pids) == 3
    server.process.kill()
    server.process.wait()
    eventually(lambda: all(gone(pid) for pid in pids), seconds=2, what="the end of the children")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_running_requests_end_before_the_server_does(start, sig):
    server = start()
    connection = server.connect(chat_body("count 30 20"))
    idle = socket.create_connection(("127.0.0.1", server.port))
    eventually(lambda: running(server) == 1)
    pids = server.children()
    server.process.send_signal(sig)
    answer = read_all(connection, 5)
    assert answer.endswith(b"0\r\n\r\n") and b"[DONE]" in answer and b'"29 "' in answer
    assert server.stop() == 0
    eventually(lambda: all(gone(pid) for pid in pids), what="the end of both")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)
    idle.close()


def test_requests_that_do_not_end_are_given_up(start):
    server = start("--drain-seconds", 1)
    connection = server.connect(chat_body("hang"))
    eventually(lambda: running(server) == 1)
    began = time.monotonic()
    assert server.stop() == 0
    assert 0.8 < time.monotonic() - began < 4
    connection.close()


def test_the_second_signal_does_not_wait(start):
    server = start()
    connection = server.connect(chat_body("hang"))
    eventually(lambda: running(server) == 1)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert server.process.poll() is None
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2
    connection.close()


def test_the_end_while_a_request_waits_for_a_model_that_died(start):
    server = start(names=("die",), wait=False)
    connection = server.connect({"model": "die", "messages": [user("say x")]})
    eventually(lambda: server.status()["models"][0]["restarts"] == 3, what="the longest of the short pauses")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    assert server.stop() == 0
    connection.close()


def test_as_the_first_process_of_a_container(programs, fake_model):
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("SKIPPED: process namespaces are not allowed here")
    folder = fake_model("fake")
    done = subprocess.run([*command, PROGRAM, "run", "--model", folder, "Hello"], capture_output=True, text=True)
    assert "the model's process ended" not in done.stderr and "config.json" in done.stderr


# ---- limits


def test_more_requests_than_allowed_are_refused(start):
    server = start("--max-requests", 4)
    connections = [server.connect(chat_body("hang")) for _ in range(4)]
    eventually(lambda: running(server) == 4)
    answer = server.chat("say x")
    assert answer.status == 503 and answer.error()["code"] == "overloaded"
    assert answer.headers["Retry-After"]
    for connection in connections:
        connection.close()
    eventually(lambda: server.chat("say x").status == 200)


def test_a_thousand_idle_connections(start):
    server = start()
    before = rss(server)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
    eventually(lambda: server.status()["connections"] >= 1000)
    assert (rss(server) - before) / 1000 < 8192
    began = time.monotonic()
    assert server.get("/health").status == 200
    assert time.monotonic() - began < 0.5
    for connection in idle:
        connection.close()
    eventually(lambda: server.status()["connections"] < 10)


def rss(server):
    pages = int(open(f"/proc/{server.process.pid}/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_names_of_models(fake_model):
    """By id, by folder; two folders of one name by their paths."""
    first, second = fake_model("same"), fake_model("same")
    server = Server(models=[first, second, fake_model("other")])
    names = [model["id"] for model in server.get("/v1/models").json()["data"]][:3]  # those on the disk follow
    assert names == ["same", str(second), "other"]
    for name in [*names, str(first)]:
        answer = server.post({"model": name, "messages": [user("say hi")]})
        assert answer.text() == "hi" and answer.json()["model"] == name
    assert server.get(f"/v1/models/{quote(str(first), safe='')}").json()["id"] == "same"
    server.stop()
    done = subprocess.run([PROGRAM, "serve", "--model", first, "--model", first], capture_output=True, text=True)
    assert done.returncode == 1 and "twice" in done.stderr


def test_a_model_behind_a_link_has_the_name_of_the_link(fake_model, tmp_path):
    link = tmp_path / "favourite"
    link.symlink_to(fake_model("fake"))
    above = tmp_path / "shelf"
    above.symlink_to(fake_model("other").parent)
    server = Server(models=[f"{link}/", above / "other"])
    assert [model["id"] for model in server.get("/v1/models").json()["data"]][:2] == ["favourite", "other"]
    for name in ("favourite", "other"):
        assert server.post({"model": name, "messages": [user("say hi")]}).text() == "hi"
    assert server.post({"model": "fake", "messages": [user("say hi")]}).status == 404
    assert server.stop() == 0


@pytest.mark.parametrize("options", [["--port", "70000"], ["--port"], ["--nosuch"], ["--threads", "x"], ["--no-sandbox=1"]])
def test_wrong_options(programs, options):
    done = subprocess.run([PROGRAM, "serve", *options], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2
    assert options[0].split("=")[0] in done.stderr


def test_a_port_in_use(start, fake_model):
    server = start()
    done = subprocess.run(
        [PROGRAM, "serve", "--model", fake_model("fake"), "--port", str(server.port), "--admin-port", "0"],
        capture_output=True, text=True, timeout=10,
    )
    assert done.returncode == 1 and "cannot listen" in done.stderr


def test_a_model_that_does_not_exist(programs):
    done = subprocess.run([PROGRAM, "serve", "--model", "nosuch/model"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and "nosuch/model" in done.stderr
