#!/usr/bin/env python3
"""The promises about many connections, at full count; `make load-tests` runs it (small counts are in tests/e2e/test_connections.py).

    python3 tests/load/connections.py [--idle 10000] [--trickles 1000] [--streams 64] [--only idle,trickles,tokens]

idle      that many kept connections cost the front at most 8 KB each, and a new request is answered within 5 ms (median of 200)
trickles  four times that many connections that send nothing, a head, a body or read an answer drop by drop are closed by their
          deadline, and the 99th percentile of other clients' times stays below twice what it is before and after
tokens    the front's processor time for one token at so many streams, as fast as they go (tokens that come together go out
          together) and at 50 tokens a second each (every token is a write of its own, whose bare cost is measured and named)

Prints one line for each figure and exits with 1 when one is missed."""

import argparse
import json
import os
import pathlib
import select
import signal
import socket
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from client import Server, connect, user  # noqa: E402
from prometheus import metric  # noqa: E402

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
failures = []


def report(what, value, unit, limit):
    missed = value > limit
    print(f"{'MISSED' if missed else 'holds '}  {what}: {value:.4g} {unit} (at most {limit:.4g})", flush=True)
    if missed:
        failures.append(what)


def serve(*options):
    folder = pathlib.Path(tempfile.mkdtemp()) / "fake"
    folder.mkdir()
    return Server("--max-connections", 20000, *options, models=[folder])


def ask(connection):
    connection.sendall(GET)
    answer = connection.recv(4096)
    assert b" 200 " in answer, answer
    return answer


def time_of_a_new_request(server):
    began = time.perf_counter()
    connection = connect(server)
    ask(connection)
    connection.close()
    return time.perf_counter() - began


def idle(count):
    server = serve("--idle-seconds", 600)
    time_of_a_new_request(server)
    before = metric(server, "process_resident_memory_bytes")
    connections = []
    for _ in range(count):
        connection = connect(server)
        ask(connection)
        connections.append(connection)
    after = metric(server, "process_resident_memory_bytes")
    assert metric(server, "vlmd_connections", port="main") == count
    report(f"memory of each of {count} idle connections", (after - before) / count, "bytes", 8192)
    times = [time_of_a_new_request(server) for _ in range(200)]
    report(f"a new request beside {count} idle connections, median of 200", 1e3 * statistics.median(times), "ms", 5)
    print(f"        (99th percentile {1e3 * statistics.quantiles(times, n=100)[98]:.3g} ms)")
    for connection in connections:
        connection.close()
    assert server.stop() == 0


class Others:
    """A client of its own, asking again and again; takes the times of whole completions of 20 words."""

    BODY = json.dumps({"model": "fake", "messages": [user("say " + "word " * 20)]}).encode()

    def __init__(self, server):
        self.connection = connect(server)
        self.connection.settimeout(60)

    def p99(self, n=400):
        times = []
        for _ in range(n):
            began = time.perf_counter()
            self.connection.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(self.BODY), self.BODY))
            answer = b""
            while not answer.endswith(b"}"):
                answer += self.connection.recv(65536)
            times.append(time.perf_counter() - began)
        return statistics.quantiles(times, n=100)[98]


def trickles(count):
    """The deadlines are 10 s; every connection sends or reads a little each 1 or 2 s. Readers ask for some 800 KB."""
    limit = 10
    kinds = {
        "silence": (b"", b"", 0),
        "heads": (b"GET /health HTTP/1.1\r\nX: ", b"a", 0),
        "bodies": (POST + b"Content-Length: 1000000\r\n\r\n", b" ", 0),
        "readers": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60, b"", 4096),
    }
    seconds = ("--idle-seconds", limit, "--head-seconds", limit, "--body-seconds", limit, "--write-seconds", limit)
    for name, (first, drop, buffer) in kinds.items():
        server = serve(*seconds)
        others = Others(server)
        others.p99(100)
        quiet = [others.p99() for _ in range(3)]
        crowd = []
        for _ in range(count):
            connection = connect(server, buffer)
            connection.setblocking(False)
            crowd.append(connection)
        born = time.monotonic()
        for connection in crowd:
            try:
                connection.send(first)
            except OSError:
                pass
        busy = []
        closed_after = None
        while time.monotonic() - born < 4 * limit:
            busy.append(others.p99(200))
            for connection in crowd:
                try:
                    if drop:
                        connection.send(drop)
                    elif buffer:
                        connection.recv(100)
                except OSError:
                    pass
            if metric(server, "vlmd_connections", port="main") <= 1:
                closed_after = time.monotonic() - born
                break
            time.sleep(1)
        # Readers get their deadline from the first moment they are slow, and once more after some progress.
        allowed = (2.5 if name == "readers" else 1.0) * limit + 5
        report(f"{count} {name}: closed after", closed_after or float("inf"), "s", allowed)
        for connection in crowd:
            connection.close()
        while metric(server, "vlmd_connections", port="main") > 1:
            time.sleep(0.1)
        quiet += [others.p99() for _ in range(3)]
        ratio = statistics.median(busy) / statistics.median(quiet)
        report(f"{count} {name}: 99th percentile of others, times that without", ratio, "", 2)
        assert server.stop() == 0


def processor_seconds(server):
    return int(pathlib.Path(f"/proc/{server.process.pid}/schedstat").read_text().split()[0]) / 1e9


def stream_all(connections):
    """Reads every stream to its end, as a client with other things to do: each 5 ms what has come."""
    poll = select.epoll()
    by_number = {connection.fileno(): connection for connection in connections}
    tails = dict.fromkeys(by_number, b"")
    for connection in connections:
        connection.setblocking(False)
        poll.register(connection, select.EPOLLIN)
    while by_number:
        time.sleep(0.005)
        for number, _ in poll.poll(1):
            data = by_number[number].recv(1 << 20)
            tails[number] = (tails[number] + data)[-40:]
            if not data or b"[DONE]" in tails[number]:
                poll.unregister(number)
                del by_number[number]


def bare_writes(streams, rounds=150, pause=0.02):
    """Processor time of one write(2) of an event's size to a loopback connection, at the pace of `tokens`: what the system takes for
    a token whatever the front does. The reader is a process of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=streams)
    readers = [socket.create_connection(listener.getsockname()) for _ in range(streams)]
    writers = [listener.accept()[0] for _ in range(streams)]
    child = os.fork()
    if child == 0:
        poll = select.epoll()
        for reader in readers:
            poll.register(reader, select.EPOLLIN)
        while True:
            time.sleep(0.005)
            for number, _ in poll.poll(1):
                os.read(number, 65536)
    event = b"x" * 220
    for writer in writers:
        writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    numbers = [writer.fileno() for writer in writers]
    spent = 0
    for _ in range(rounds):
        began = time.process_time()
        for number in numbers:
            os.write(number, event)
        spent += time.process_time() - began
        time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for connection in [listener, *readers, *writers]:
        connection.close()
    return 1e6 * spent / (rounds * streams)


def tokens(streams):
    limit = 5
    for pieces, pause in ((2000, 0), (300, 20)):
        figures, floors = [], []
        for _ in range(3):
            if pause > 0:
                floors.append(bare_writes(streams))
            server = serve()
            order = {"model": "fake", "stream": True, "messages": [user(f"count {pieces} {pause}")]}
            before = processor_seconds(server)
            stream_all([server.connect(order) for _ in range(streams)])
            figures.append(1e6 * (processor_seconds(server) - before) / (pieces * streams))
            assert server.stop() == 0
        speed = "as fast as they go" if pause == 0 else f"{1000 // pause} tokens a second each"
        what = f"the front's processor time for a token, {streams} streams, {speed}"
        report(what, min(figures), "us", limit)
        if floors:
            print(f"        of which {min(floors):.3g} us are one bare write(2)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--trickles", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--only", default="idle,trickles,tokens")
    arguments = parser.parse_args()
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for part in arguments.only.split(","):
        {"idle": idle, "trickles": trickles, "tokens": tokens}[part](getattr(arguments, {"tokens": "streams"}.get(part, part)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
