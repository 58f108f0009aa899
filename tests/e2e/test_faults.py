"""Faults in numbers: workers, decoders and fronts that die under load, clients that vanish, ends in mid-stream.

The suite runs a fiftieth of them; `make faults` all (VLMD_FAULTS=1) and shows the figures, which docs/PROCESSES.md keeps.
"""

import concurrent.futures
import os
import random
import signal
import threading
import time

from client import Server, eventually, gone, image_part, parse_events, png, read_all, text_part, user
from test_life import leave

SHARE = float(os.environ.get("VLMD_FAULTS", "0.02"))


def times(full):
    return max(4, round(full * SHARE))


class Load:
    """Threads that ask without end; each answer is whole, or is one clear error."""

    def __init__(self, server, orders, threads=4):
        self.server = server
        self.orders = orders
        self.over = threading.Event()
        self.good = self.errors = 0
        self.wrong = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        dice = random.Random(seed)
        while not self.over.is_set():
            body = {"model": self.server.model, "messages": [user(dice.choice(self.orders))], "stream": dice.random() < 0.5}
            try:
                answer = self.server.post(body, timeout=30)
                verdict = self.judge(answer, body["stream"])
            except OSError as error:
                verdict = repr(error)
            with self.lock:
                self.good += verdict == "good"
                self.errors += verdict == "error"
                if verdict not in ("good", "error"):
                    self.wrong.append(verdict)

    @staticmethod
    def judge(answer, stream):
        if answer.status != 200:
            return "error" if answer.status in (500, 503) and answer.error()["message"] else f"{answer.status} {answer.body}"
        if not stream:
            return "good" if answer.json()["choices"][0]["finish_reason"] == "stop" else f"{answer.body}"
        events = parse_events(answer.body)
        errors = sum("error" in event for event in events if event != "[DONE]")
        if events[-1] == "[DONE]" and errors == 0:
            return "good"
        return "error" if errors == 1 and "error" in events[-1] else f"{answer.body}"

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"
        assert not self.wrong, self.wrong[:3]


def kill(pid, sig=signal.SIGKILL):
    assert pid > 0
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass  # it was dying already


def test_workers_that_die_under_load(start):
    server = start()
    server.chat("say x")
    before = server.descriptors()
    load = Load(server, ["say a b c", "count 5 1", "count 20 2"])
    slowest = 0
    for i in range(times(1000)):
        eventually(lambda: server.status()["models"][0]["state"] == "ready", what="a ready worker")
        pid = server.worker_pid()
        if pid == 0:
            continue
        began = time.monotonic()
        if i % 4 == 3:
            server.chat("oom")  # a second worker, too: it begins again
            began = time.monotonic()
        else:
            kill(pid, [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP][i % 4])
        eventually(lambda: gone(pid), what="its end")
        # The operator's word, without which the fourth death in a minute means a pause.
        answer = server.request("POST", "/admin/load?model_path=fake", port=server.admin_port)
        assert answer.status == 200, answer.body
        slowest = max(slowest, time.monotonic() - began)
    load.stop()
    eventually(lambda: server.status()["requests"] == 0)
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    print(f"\nworkers: {times(1000)} deaths, {load.good} whole answers, {load.errors} errors, 0 hung; "
          f"ready again after {slowest:.2f} s at most; {server.descriptors() - before} descriptors left")
    assert slowest < 10  # on a machine that does nothing else: 1 s


def test_decoders_that_die_under_load(start):
    server = start()
    image = image_part(png(700, 500))
    server.chat([image, text_part("images")])
    before = server.descriptors()
    load = Load(server, [[image, text_part("images")], [image, image, text_part("images")]])
    for _ in range(times(500)):
        pids = [pid for pid in server.children() if pid != server.worker_pid()]
        if pids:
            kill(random.choice(pids))
        eventually(lambda: server.status()["decoders"]["ready"] == 2, what="two decoders")
    load.stop()
    eventually(lambda: server.status()["requests"] == 0)
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    assert server.chat([image, text_part("images")]).status == 200
    print(f"\ndecoders: {times(500)} deaths, {load.good} whole answers, {load.errors} errors, 0 hung; "
          f"{server.descriptors() - before} descriptors left")


def test_fronts_that_die(fake_model, model_path):
    """A tenth of them with a real worker, in the middle of its work."""
    slowest = 0
    for i in range(times(100)):
        real = i % 10 == 0
        server = Server(models=[model_path if real else fake_model("fake")], fake=not real)
        content = "Tell me a long story" if real else "hang"
        connection = server.connect({"model": server.model, "messages": [user(content)], "max_tokens": 4000})
        eventually(lambda: server.status()["requests"] == 1)
        children = server.children()
        assert len(children) >= 3
        began = time.monotonic()
        server.process.kill()
        server.process.wait()
        eventually(lambda: all(gone(pid) for pid in children), seconds=2, what="the end of all children")
        slowest = max(slowest, time.monotonic() - began)
        connection.close()
        server.stop()
    print(f"\nfronts: {times(100)} deaths, 0 orphans after 2 s; the last after {slowest:.2f} s")


def vanish(server, dice, image):
    content = dice.choice(["hang", "count 1000 1", "flood 300", [image, text_part("hang")], "say x"])
    body = {"model": "fake", "messages": [user(content)], "stream": dice.random() < 0.5}
    connection = server.connect(body)
    time.sleep(dice.choice([0, 0, 0.002, 0.02]))
    leave(connection, dice.choice(["close", "reset", "half"]))
    return connection


def test_clients_that_vanish(start):
    server = start("--max-concurrent-requests", 256)
    image = image_part(png(300, 200))
    server.chat([image, text_part("images")])
    before = server.descriptors()
    dice = random.Random(11)
    slowest = 0
    left = times(10000)
    while left > 0:
        batch = min(left, 100)
        connections = [vanish(server, dice, image) for _ in range(batch)]
        slowest = max(slowest, eventually(lambda: server.status()["requests"] == 0, what="the end of all requests"))
        for connection in connections:
            connection.close()
        left -= batch
    eventually(lambda: server.status()["models"][0]["requests"] == 0)
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    assert server.chat("stats").text().startswith("running=0 ")
    assert server.status()["models"][0]["restarts"] == 0
    print(f"\nclients: {times(10000)} vanished, the work of the last 100 ended within {slowest:.2f} s; "
          f"{server.descriptors() - before} descriptors, 0 jobs left")


def end_in_stream(i, folder):
    """Returns how the stream ended."""
    patient = i % 2 == 0
    server = Server("--drain-seconds", 10 if patient else 0, models=[folder])
    order = "count 20 5" if patient else "hang"
    connection = server.connect({"model": "fake", "messages": [user(order)], "stream": True})
    eventually(lambda: server.status()["requests"] == 1 or patient)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 13  # the drain time and a little more
    received = read_all(connection, 5)
    connection.close()
    return "whole" if b"[DONE]" in received else "given up"


def test_ends_in_the_middle_of_a_stream(fake_model):
    folder = fake_model("fake")
    n = times(500)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda i: end_in_stream(i, folder), range(n)))
    assert ends[1::2] == ["given up"] * (n // 2)
    print(f"\nends: {n} SIGTERM, exit status 0 each; {ends.count('whole')} streams whole, {ends.count('given up')} given up")
    assert ends[0::2].count("whole") >= 0.9 * len(ends[0::2])
