#!/usr/bin/env python3
"""The promises about many connections, at full count; `make load-tests` runs it (small counts are in tests/e2e/test_connections.py).

    python3 tests/load/connections.py [--idle 10000] [--trickles 1000] [--streams 64] [--only idle,trickles,tokens]

idle      that many kept connections cost the front at most 8 KB each, and a new request is answered within 5 ms (median of 200)
trickles  four times that many connections that send nothing, a head, a body or read an answer drop by drop are closed by their
          deadline, and the 99th percentile of other clients' times stays below twice what it is at a server without them
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
from promises import report as report_row  # noqa: E402

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
failures = []


def report(row, count, value, unit, limit, more=""):
    report_row(row, count, f"{value:.4g} {unit}{more}", value <= limit)
    if value > limit:
        print(f"MISSED: at most {limit:.4g} {unit}")
        failures.append(row)


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
    report("idle connections: memory of each", count, (after - before) / count, "bytes", 8192)
    times = [time_of_a_new_request(server) for _ in range(200)]
    p99 = 1e3 * statistics.quantiles(times, n=100)[98]
    report("idle connections: a new request", count, 1e3 * statistics.median(times), "ms", 5, f" (99th percentile {p99:.3g} ms)")
    for connection in connections:
        connection.close()
    assert server.stop() == 0


class Others:
    """A client of its own, asking again and again; takes the times of whole completions of 20 words."""

    BODY = json.dumps({"model": "fake", "messages": [user("say " + "word " * 20)]}).encode()

    def __init__(self, server):
        self.connection = connect(server)
        self.connection.settimeout(60)

    def ask(self):
        began = time.perf_counter()
        self.connection.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(self.BODY), self.BODY))
        answer = b""
        while not answer.endswith(b"}"):
            answer += self.connection.recv(65536)
        return time.perf_counter() - began


def p99(times):
    return statistics.quantiles(times, n=100)[98]


TRICKLES = {  # what is sent at first and each 1 or 2 s, and the receive buffer of those who read as slowly
    "silence": (b"", b"", 0),
    "heads": (b"GET /health HTTP/1.1\r\nX: ", b"a", 0),
    "bodies": (POST + b"Content-Length: 1000000\r\n\r\n", b" ", 0),
    "readers": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60, b"", 4096),
}


def crowd_of(server, count, first, buffer):
    crowd = []
    for _ in range(count):
        connection = connect(server, buffer)
        connection.setblocking(False)
        crowd.append(connection)
    for connection in crowd:
        try:
            connection.send(first)
        except OSError:
            pass
    return crowd


def drip(crowd, drop, buffer):
    for connection in crowd:
        try:
            if drop:
                connection.send(drop)
            elif buffer:
                connection.recv(100)
        except OSError:
            pass


def trickle(name, count, limit=10):
    """What others feel is measured from the first moment on, in turns with the same requests to a server without a crowd: so whatever
    else the machine does is in both. A percentile is the median of those of rounds of 200, one a second."""
    seconds = ("--idle-seconds", limit, "--head-seconds", limit, "--body-seconds", limit, "--write-seconds", limit)
    first, drop, buffer = TRICKLES[name]
    server, calm = serve(*seconds), serve(*seconds)
    others, alone = Others(server), Others(calm)
    for _ in range(100):
        others.ask(), alone.ask()
    crowd = crowd_of(server, count, first, buffer)
    born = time.monotonic()
    busy, quiet = [], []
    closed_after = float("inf")
    while time.monotonic() - born < 4 * limit:
        pairs = [(others.ask(), alone.ask()) for _ in range(200)]
        busy.append([pair[0] for pair in pairs])
        quiet.append([pair[1] for pair in pairs])
        drip(crowd, drop, buffer)
        if metric(server, "vlmd_connections", port="main") <= 1:
            closed_after = time.monotonic() - born
            break
        time.sleep(1)
    # Readers get their deadline from the first moment they are slow, and once more after some progress.
    allowed = (2.5 if name == "readers" else 1.0) * limit + 5
    report(f"{name} that trickle: closed by their deadline", count, closed_after, "s", allowed)
    with_them, without = (1e3 * statistics.median(map(p99, rounds)) for rounds in (busy, quiet))
    beside = f" ({with_them:.3g} ms, {without:.3g} ms without; the longest ever {1e3 * max(map(max, busy)):.3g} ms)"
    report(f"{name} that trickle: 99th percentile of others", count, with_them / without, "times", 2, beside)
    for connection in crowd:
        connection.close()
    assert server.stop() == 0 and calm.stop() == 0


def trickles(count):
    """The deadlines are 10 s. Readers ask for more than 1 MB each."""
    for name in TRICKLES:
        trickle(name, count)


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
        speed = "flat out" if pause == 0 else f"{1000 // pause} a second each"
        more = f", of which {min(floors):.3g} are one bare write(2)" if floors else ""
        report(f"a token at {streams} streams, {speed}", pieces * streams, min(figures), "us", limit, more)


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
