"""Faults in numbers: workers, decoders, fetchers and fronts that die under load, clients that vanish, ends in mid-stream.

The suite runs a fiftieth of them; `make faults` all (VLMD_FAULTS=1), in a table (tests/load/table.py); docs/PROCESSES.md keeps the figures.
At full count the times are held to their limits too: the suite may share its machine.
"""

import concurrent.futures
import os
import random
import signal
import threading
import time

import pytest
from client import FAKE_WORKER, PROGRAM, Server, eventually, gone, image_part, parse_events, png, read_all, text_part, user
from fetching import Connects, WebServer, answer, fetcher_pid, fetcher_script, url_part
from memory import ControlGroup, field, limit_address_space, model_with_large_images, read_whole
from prometheus import metric
from promises import report
from test_life import leave

SHARE = float(os.environ.get("VLMD_FAULTS", "0.02"))


def times(full):
    return max(4, round(full * SHARE))


class Load:
    """Threads that ask without end; each answer is whole, or is one clear error."""

    def __init__(self, server, orders, threads=4, **parameters):
        self.server = server
        self.parameters = parameters
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
            body = {"model": self.server.model, "messages": [user(dice.choice(self.orders))], "stream": dice.random() < 0.5, **self.parameters}
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
            return "good" if answer.json()["choices"][0]["finish_reason"] in ("stop", "length") else f"{answer.body}"
        events = parse_events(answer.body)
        errors = sum("error" in event for event in events if event != "[DONE]")
        if events[-1] == "[DONE]" and errors == 0:
            return "good"
        return "error" if errors == 1 and "error" in events[-1] else f"{answer.body}"

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.over.set()
        if not failure:
            self.stop()

    def stop(self):
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


def within(seconds, limit):
    """Whether a time is held to its limit: where only a share is run, the machine has other things to do."""
    return seconds <= limit if SHARE >= 1 else seconds <= limit + 10


def end_worker(server, pid, i, oom):
    """Returns when it ended."""
    if oom and i % 4 == 3:
        server.chat("oom")  # a second worker, too: it begins again
        return time.monotonic()
    began = time.monotonic()
    kill(pid, [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP][i % 3 if not oom else i % 4])
    eventually(lambda: gone(pid), what="its end")
    return began


def workers_that_die(row, server, orders, n, oom, **parameters):
    server.chat(orders[0], **parameters)
    load_seconds = metric(server, "vlmd_model_last_load_seconds")
    before = server.descriptors()
    with Load(server, orders, **parameters) as load:
        slowest = 0
        deaths = 0
        while deaths < n:
            eventually(lambda: server.status()["models"][0]["state"] == "ready", what="a ready worker")
            pid = server.worker_pid()
            if pid == 0:
                continue
            began = end_worker(server, pid, deaths, oom)
            deaths += 1
            # The operator's word, without which the fourth death in a minute means a pause.
            path = f"/admin/load?model_path={server.model}"
            loaded = server.request("POST", path, port=server.admin_port)
            assert loaded.status == 200, loaded.body
            slowest = max(slowest, time.monotonic() - began)
    eventually(lambda: server.status()["requests"] == 0)
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    held = within(slowest, load_seconds + 1)
    report(row, deaths, f"{load.good} whole answers, {load.errors} errors, 0 hung, ready again within {slowest:.2f} s "
           f"(load time {load_seconds:.2f} s)", held)
    assert held


def test_workers_that_die_under_load(start):
    workers_that_die("workers that die under load", start(), ["say a b c", "count 5 1", "count 20 2"], times(1000), True)


def test_real_workers_that_die_under_load(model_path):
    server = Server(models=[model_path], fake=False)
    orders = ["Tell me a long story", [image_part(png(300, 200)), text_part("What is this?")]]
    workers_that_die("real workers that die under load", server, orders, times(100), False, max_tokens=30)
    assert server.stop() == 0


# ---- real workers without memory, beside one that has enough


class Hungry:
    """A server with a real worker, a fake one beside it, and requests that need memory."""

    STORY = "Tell me a long story"
    LARGE = [image_part(png(1400, 1400)), text_part("What is this?")]
    LONG = "All the words of a long letter. " * 200

    def __init__(self, folder, model, other, launcher=()):
        script = folder / "worker"
        script.write_text(f'#!/bin/sh\ncase "$2" in {other}) exec {FAKE_WORKER} "$@" ;; esac\nexec {PROGRAM} "$@"\n')
        script.chmod(0o755)
        models = [model_with_large_images(model, folder), other]
        for program in (PROGRAM, FAKE_WORKER):
            read_whole(program)
        self.server = Server("--worker-program", script, models=models, fake=False, launcher=launcher)
        assert self.server.chat("Hello", max_tokens=2).status == 200
        self.size = field(self.server.worker_pid(), "VmSize")
        self.front = self.server.process.pid
        self.errors = self.good = 0

    def operate(self, what):
        return self.server.request("POST", f"/admin/{what}?model_path={self.server.model}", port=self.server.admin_port)

    def ask(self, *contents):
        """All at once. Each is answered whole or with one error; returns which with an error."""
        def one(at):
            stream = at % 2 == 1
            body = {"model": self.server.model, "messages": [user(contents[at])], "max_tokens": 20, "stream": stream}
            answer = self.server.post(body, timeout=120)
            verdict = Load.judge(answer, stream)
            assert verdict in ("good", "error"), verdict
            return verdict == "error" and (answer.error() if answer.status != 200 else parse_events(answer.body)[-1]["error"])

        with concurrent.futures.ThreadPoolExecutor(len(contents)) as pool:
            results = list(pool.map(one, range(len(contents))))
        failed = sum(map(bool, results))
        self.errors += failed
        self.good += len(results) - failed
        return results

    def check(self):
        """The memory is there again: so is the model, and nobody else has noticed."""
        loaded = self.operate("load")
        assert loaded.status == 200, loaded.body
        assert self.server.chat("Hello", max_tokens=2).status == 200
        other = self.server.status()["models"][1]
        assert other["state"] == "ready" and other["restarts"] == 0
        assert self.server.post({"model": other["id"], "messages": [user("say fine")]}).text() == "fine"
        assert self.server.process.poll() is None
        eventually(lambda: self.server.status()["decoders"]["ready"] == 2, what="both decoders")
        eventually(lambda: self.server.status()["requests"] == 0)

    def stop(self, row, n):
        assert self.server.stop() == 0
        report(row, n, f"{self.good} whole answers, {self.errors} errors, 0 hung, others unharmed, back each time")


@pytest.fixture
def make_hungry(model_path, fake_model, tmp_path):
    made = []

    def make(launcher=()):
        made.append(Hungry(tmp_path, model_path, fake_model("other"), launcher))
        return made[0]

    yield make
    for hungry in made:
        hungry.server.process.kill()
        hungry.server.process.wait()


def test_real_workers_without_address_space(make_hungry):
    """What a worker cannot have it refuses by itself: the model with the reason, or the one image."""
    hungry = make_hungry()
    server = hungry.server
    if hungry.size > 1 << 40:
        pytest.skip("SKIPPED: the address space of a sanitizer cannot be limited")
    dice = random.Random(3)
    for i in range(times(20)):
        if i % 2 == 0:  # while it loads: with less than it takes in the end, down to what its libraries need
            assert hungry.operate("unload").status == 200
            limit_address_space(hungry.front, dice.randrange(24 << 20, hungry.size - (20 << 20)))
            results = hungry.ask(hungry.STORY, hungry.STORY, hungry.LARGE)
            assert all(error and error["param"] == "model" for error in results), results
            limit_address_space(hungry.front)
        else:  # in the vision tower: the image is refused, the process stays
            pid = server.worker_pid()
            limit_address_space(pid, field(pid, "VmSize") + (4 << 20))
            refused, *others = hungry.ask(hungry.LARGE, hungry.STORY, hungry.LONG)
            assert "out of memory" in refused["message"] and not any(others)
            assert server.worker_pid() == pid
            limit_address_space(pid)
        hungry.check()
    hungry.stop("real workers without address space", times(20))


@pytest.fixture
def group():
    made = ControlGroup()
    yield made
    made.close()


def test_real_workers_that_the_system_ends_for_memory(group, make_hungry):
    """The whole server in one control group with a limit, as with MemoryMax= or in a container."""
    hungry = make_hungry(group.launcher())
    server = hungry.server
    for i in range(times(20)):
        before = server.log().count("signal 9")
        if i % 3 == 0:  # while it loads, each time that it is started; when it has more than a decoder, or the kernel would choose that
            assert hungry.operate("unload").status == 200
            eventually(lambda: server.status()["models"][0]["state"] == "unloaded", what="room")
            group.limit(group.used() + (6 << 20))
            results = hungry.ask(hungry.STORY, hungry.STORY)
            assert all(error and "keeps dying" in error["message"] for error in results), results
        else:  # in the vision tower, with enough for decoding the image; in the middle of a prompt
            group.limit(group.used() + ((24 << 20) if i % 3 == 1 else (4 << 20)))
            results = hungry.ask(hungry.LARGE if i % 3 == 1 else hungry.LONG, hungry.STORY)
            assert results[0] and "ended while" in results[0]["message"], results
        group.limit()
        assert server.log().count("signal 9") > before
        if i % 3 != 0:
            assert server.chat("Hello", max_tokens=2).status == 200  # it comes back by itself
        hungry.check()
    hungry.stop("real workers that the system ends for memory", times(20))


def test_decoders_that_die_under_load(start):
    server = start()
    image = image_part(png(700, 500))
    server.chat([image, text_part("images")])
    before = server.descriptors()
    with Load(server, [[image, text_part("images")], [image, image, text_part("images")]]) as load:
        for _ in range(times(500)):
            pids = [pid for pid in server.children() if pid != server.worker_pid()]
            if pids:
                kill(random.choice(pids))
            eventually(lambda: server.status()["decoders"]["ready"] == 2, what="two decoders")
    eventually(lambda: server.status()["requests"] == 0)
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    assert server.chat([image, text_part("images")]).status == 200
    report("decoders that die under load", times(500), f"{load.good} whole answers, {load.errors} errors, 0 hung, 0 descriptors left")


def test_fetchers_that_die_under_load(start, tmp_path):
    def handle(handler):
        time.sleep(0.01)
        answer(handler, png(56, 56))

    site = WebServer(handle=handle)
    program = fetcher_script(tmp_path, Connects(tmp_path))
    server = start("--fetcher-program", program, "--fetch-ports", str(site.port))
    order = [url_part(site.url()), text_part("images")]
    assert server.chat(order).status == 200
    before = server.descriptors()
    with Load(server, [order]) as load:
        deaths = 0
        while deaths < times(500):
            asked = len(site.requests)
            eventually(lambda: len(site.requests) > asked, what="a fetch")
            pid = fetcher_pid(server)
            if pid:
                kill(pid)
                deaths += 1
    eventually(lambda: server.status()["requests"] == 0)
    assert server.chat(order).status == 200
    eventually(lambda: server.descriptors() <= before, what=f"only {before} descriptors")
    site.close()
    report("fetchers that die under load", times(500), f"{load.good} whole answers, {load.errors} errors, 0 hung, 0 descriptors left")


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
    report("fronts that die", times(100), f"0 orphans after 2 s, the last child ended after {slowest:.2f} s")


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
    held = within(slowest, 1)
    report("clients that vanish", times(10000), f"the work of the last of each 100 ended within {slowest:.2f} s, 0 descriptors, 0 jobs left", held)
    assert held


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
    report("SIGTERM in mid-stream", n, f"exit status 0 each, {ends.count('whole')} streams whole, {ends.count('given up')} given up")
    assert ends[0::2].count("whole") >= 0.9 * len(ends[0::2])
