"""Connections that are slow, silent, many or greedy: each is bounded, and the others do not feel it.

The counts here are small ones; `make load-tests` runs tests/load/connections.py with those of the promise."""

import json
import pathlib
import select
import signal
import socket
import struct
import time

from client import connect, eventually, read_all, streamed_text, user
from prometheus import Page, metric

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WORDS = "x" * 200 + " "
SHORT = ("--idle-seconds", 1, "--head-seconds", 1, "--body-seconds", 1, "--write-seconds", 1)


def post(text, **more):
    body = json.dumps({"model": "fake", "messages": [user(text)], **more}).encode()
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def seconds_until_closed(connection, trickle=None):
    """Until the server ends the connection; meanwhile sends one piece of `trickle` each 0.2 s."""
    began = time.monotonic()
    received = b""
    pieces = iter(trickle or [])
    while time.monotonic() - began < 10:
        readable, _, _ = select.select([connection], [], [], 0.2)
        try:
            if readable:
                data = connection.recv(65536)
                received += data
                if not data:
                    return time.monotonic() - began, received
            else:
                connection.sendall(next(pieces, b""))
        except OSError:
            return time.monotonic() - began, received
    raise AssertionError("the connection was not closed")


# ---- deadlines


def test_silent_connections_are_closed(start):
    server = start(*SHORT)
    seconds, received = seconds_until_closed(connect(server))
    assert 0.9 < seconds < 1.8 and received == b""
    kept = connect(server)
    kept.sendall(GET)
    seconds, received = seconds_until_closed(kept)
    assert 0.9 < seconds < 1.8 and received.count(b"200 OK") == 1
    assert metric(server, "vlmd_late_idle_total") == 2


def test_a_head_that_trickles(start):
    server = start(*SHORT)
    seconds, received = seconds_until_closed(connect(server), [b"GET /health HTTP/1.1\r\nX: "] + [b"a"] * 100)
    assert seconds < 3.5 and b" 408 " in received and b'"request_timeout"' in received
    assert metric(server, "vlmd_late_head_total") == 1


def test_a_body_that_trickles(start):
    server = start(*SHORT)
    for framing in b"Content-Length: 1000\r\n", b"Transfer-Encoding: chunked\r\n":
        connection = connect(server)
        connection.sendall(POST + framing + b"\r\n")
        seconds, received = seconds_until_closed(connection, [b"1\r\n \r\n"] * 100)
        assert 0.9 < seconds < 3.5 and b" 408 " in received
    assert metric(server, "vlmd_late_body_total") == 2


def test_a_reader_that_takes_nothing(start):
    server = start(*SHORT)
    connection = connect(server, receive_buffer=4096)
    connection.sendall(post("say " + WORDS * 30000))
    eventually(lambda: metric(server, "vlmd_late_read_total") == 1, what="the end of the connection")
    connection.close()


def test_a_reader_that_is_slow_but_steady_gets_all(start):
    """Some 100 KiB a second for many times the write deadline."""
    server = start(*SHORT)
    connection = connect(server, receive_buffer=4096)
    text = WORDS * 20000
    connection.sendall(post("say " + text, max_tokens=100000).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    received = b""
    began = time.monotonic()
    while time.monotonic() - began < 4:
        received += connection.recv(8192)
        time.sleep(0.05)
    assert len(received) < 3_500_000  # the server still had some of it
    received += read_all(connection, 5)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"] == text
    connection.close()


def test_a_stream_waits_for_no_deadline(start):
    """Deadlines are for clients: an answer may take longer than all of them."""
    server = start(*SHORT)
    assert streamed_text(server.stream("count 10 300")) == "".join(f"{i} " for i in range(10))


# ---- pipelining


def test_hundreds_of_requests_at_once(start):
    server = start()
    connection = connect(server)
    connection.sendall(GET * 500)
    received = b""
    while received.count(b"200 OK") < 500:
        piece = connection.recv(65536)
        assert piece
        received += piece
    connection.close()


def test_turns_of_those_who_ask_for_much_at_once(start):
    """Whoever sends many requests gets one answer a turn: another client's single request is answered after the first of them. The
    server is stopped until both have sent theirs, so that it finds them at once; each page tells how far the others are."""
    server = start()
    many, other, single = connect(server), connect(server), connect(server)
    page = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    models = page.replace(b"/metrics", b"/v1/models")
    server.process.send_signal(signal.SIGSTOP)
    stat = pathlib.Path(f"/proc/{server.process.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="the stop")
    many.sendall(page * 8)
    other.sendall(models * 8)
    single.sendall(GET.replace(b"/health", b"/ready"))
    server.process.send_signal(signal.SIGCONT)
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < 8 or not received.endswith(b"\n"):
        received += many.recv(65536)
    pages = [Page(part.partition(b"\r\n\r\n")[2].decode()) for part in received.split(b"HTTP/1.1 200 OK")[1:]]

    def counts(route):
        return [page.value("vlmd_requests_total", route=route) for page in pages]

    assert counts("/ready")[1:] == [1] * 7, "the single request waited for others' many"
    assert all(i - 2 <= n <= i + 2 for i, n in enumerate(counts("/v1/models"))), "the two with many do not take turns"
    for connection in many, other, single:
        connection.close()


def test_more_than_fits_behind_a_running_request(start):
    """400 KB of requests wait behind one that runs; all are answered, in order."""
    server = start()
    connection = connect(server)
    connection.setblocking(False)
    small = post("say " + "y" * 3900)
    unsent = post("count 20 20") + small * 100
    received = b""
    deadline = time.monotonic() + 20
    while received.count(b"HTTP/1.1 200 OK") < 101 and time.monotonic() < deadline:
        readable, writable, _ = select.select([connection], [connection] if unsent else [], [], 1)
        if writable:
            unsent = unsent[connection.send(unsent):]
        if readable:
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK") == 101
    assert received.index(b"0 1 2 3") < received.index(b"yyyy")
    connection.close()


def flood(connection, data):
    """Sends until the socket takes no more for a while; returns how much it took."""
    connection.settimeout(1)
    sent = 0
    try:
        while sent < len(data):
            sent += connection.send(data[sent:sent + 65536])
    except (TimeoutError, socket.timeout, ConnectionError):
        pass
    return sent


def test_a_client_that_leaves_behind_many_bytes(start):
    """Its end is seen whatever it sent before it."""
    server = start()
    cases = (100_000, "close"), (300_000, "half"), (3_000_000, "close"), (50_000_000, "half"), (50_000_000, "reset")
    for size, ends in cases:
        connection = connect(server)
        connection.sendall(post("hang"))
        eventually(lambda: server.status()["models"][0]["requests"] == 1)
        flood(connection, b" " * size)
        assert server.status()["models"][0]["requests"] == 1
        if ends == "half":
            connection.shutdown(socket.SHUT_WR)
        elif ends == "close":
            connection.close()
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        assert eventually(lambda: server.status()["models"][0]["requests"] == 0) < 1
        connection.close()


def test_what_floods_a_running_request_is_thrown_away(start):
    """The answer comes, and is the connection's last; what is too much even for that ends it at once."""
    server = start()
    before = metric(server, "process_resident_memory_bytes")
    connection = connect(server)
    connection.sendall(post("count 40 50"))
    assert flood(connection, GET * 100_000) == len(GET) * 100_000
    assert metric(server, "process_resident_memory_bytes") - before < 4_000_000
    answer = read_all(connection, 20)
    assert answer.count(b"HTTP/1.1 ") == 1 and b"38 39" in answer
    connection.close()
    connection = connect(server)
    connection.sendall(post("hang"))
    eventually(lambda: server.status()["models"][0]["requests"] == 1)
    flood(connection, b" " * 100_000_000)
    eventually(lambda: server.status()["models"][0]["requests"] == 0, 2)
    connection.close()


def test_a_client_that_asks_and_never_reads(start):
    """Answers to pipelined requests do not pile up."""
    server = start("--write-seconds", 2)
    before = metric(server, "process_resident_memory_bytes")
    connection = connect(server, receive_buffer=4096)
    flood(connection, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20000)
    assert metric(server, "process_resident_memory_bytes") - before < 6_000_000
    eventually(lambda: metric(server, "vlmd_late_read_total") == 1)
    connection.close()


# ---- limits


def test_too_many_connections(start):
    server = start("--max-connections", 20)
    connections = [connect(server) for _ in range(20)]
    eventually(lambda: metric(server, "vlmd_connections", port="main") == 20)
    late = connect(server)
    assert late.recv(100) == b""
    assert metric(server, "vlmd_connections_refused_total") == 1
    connections.pop().close()
    eventually(lambda: metric(server, "vlmd_connections", port="main") == 19)
    assert server.chat("say fine").text() == "fine"
    for connection in connections:
        connection.close()


def test_all_bodies_together_are_bounded(start):
    """Ten bodies of 10 MB do not fit in 32 MiB: some are refused, small requests go on, the memory comes back."""
    server = start("--body-memory", "32m")
    connections = [connect(server) for _ in range(10)]
    piece = b" " * 500_000
    refused = set()
    for connection in connections:
        connection.sendall(POST + b"Content-Length: 10000000\r\n\r\n")
    for _ in range(18):
        for connection in connections:
            try:
                connection.sendall(piece)
            except OSError:
                refused.add(connection)
        assert metric(server, "vlmd_request_body_bytes") < (32 << 20) + 65536
    assert server.chat("say fine").text() == "fine"
    assert 6 <= metric(server, "vlmd_bodies_refused_total") <= 8
    answers = [read_all(connection, 0.2) for connection in connections]
    assert sum(b" 503 " in answer and b"Retry-After" in answer for answer in answers) >= 6
    for connection in connections:
        connection.close()
    eventually(lambda: metric(server, "vlmd_request_body_bytes") == 0)


def test_a_running_request_does_not_count_its_body(start):
    server = start("--body-memory", "4m")
    connections = []
    for i in range(8):
        connections.append(server.connect({"model": "fake", "messages": [user("hang " + "x" * 1_000_000)]}))
        eventually(lambda: server.status()["models"][0]["requests"] == i + 1)
    assert metric(server, "vlmd_request_body_bytes") == 0
    for connection in connections:
        connection.close()


# ---- many


def test_idle_connections_cost_little(start):
    server = start()
    before = metric(server, "process_resident_memory_bytes")
    connections = [connect(server) for _ in range(1000)]
    for connection in connections:
        connection.sendall(GET)
    for connection in connections:
        assert b"200 OK" in connection.recv(4096)
    after = metric(server, "process_resident_memory_bytes")
    assert (after - before) / 1000 < 8192
    began = time.monotonic()
    assert server.get("/health").status == 200
    assert time.monotonic() - began < 0.1
    for connection in connections:
        connection.close()
    eventually(lambda: metric(server, "vlmd_connections", port="main") == 0)
