"""Web servers, a name server and servers under test for the tests of fetching. Addresses in 127.77.0.0/16 count as public for
build/test_fetcher (tests/fake/test_fetcher.c); everything else on the loopback is as forbidden as it is in the shipped program."""

import http.server
import os
import pathlib
import socket
import socketserver
import ssl
import struct
import threading
import time

from client import PROGRAM

TEST_FETCHER = PROGRAM.parent / "test_fetcher"
PUBLIC = "127.77.0.1"


class WebServer:
    """HTTP on one address. `handle(handler)` answers GETs; without it every path is answered with `body`."""

    def __init__(self, address=PUBLIC, port=0, body=b"", handle=None, certificate=None):
        outer = self
        self.requests = []
        self.headers = []
        self.gone = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append(self.path)
                outer.headers.append(dict(self.headers))
                self.close_connection = True
                try:
                    if handle:
                        handle(self)
                    else:
                        answer(self, body)
                except OSError:
                    outer.gone.set()

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server((address, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = address
        self.port = self.server.server_address[1]
        self.scheme = "https" if certificate else "http"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path="/image.png", host=None):
        return f"{self.scheme}://{host or self.address}:{self.port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def answer(handler, body, status=200, **fields):
    """A whole answer; names of fields with _ for -."""
    handler.send_response(status)
    fields.setdefault("Content_Length", len(body))
    for name, value in fields.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


class Listener:
    """Counts connections to one address and closes them: where nothing may ever arrive."""

    def __init__(self, address, port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.count = 0
        self.socket = socket.socket(family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def close(self):
        self.socket.close()


class NameServer:
    """DNS over UDP on 127.0.0.1. `names[name]` is a list of turns; each turn a list of records, ("A", "1.2.3.4"),
    ("AAAA", "::1") or ("CNAME", "other.name"). A query takes the next turn of its kind; the last one stays."""

    KINDS = {"A": 1, "CNAME": 5, "AAAA": 28}

    def __init__(self):
        self.names = {}
        self.turns = {}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            reply = self._reply(query)
            if reply:
                self.socket.sendto(reply, peer)

    def _turn(self, name, kind):
        turns = self.names.get(name)
        if not turns:
            return []
        at = self.turns.get((name, kind), 0)
        self.turns[name, kind] = at + 1
        return turns[min(at, len(turns) - 1)]

    def _records(self, name, kind, depth=0):
        """The CNAMEs that lead there, and the addresses, as servers send them."""
        found = []
        for record_kind, value in self._turn(name, kind):
            if record_kind == "CNAME" and depth < 8:
                found.append((name, 5, self.encode(value)))
                found += self._records(value, kind, depth + 1)
            elif self.KINDS[record_kind] == kind:
                family = socket.AF_INET if kind == 1 else socket.AF_INET6
                found.append((name, kind, socket.inet_pton(family, value)))
        return found

    @staticmethod
    def encode(name):
        return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"

    def _reply(self, query):
        name, at = [], 12
        while query[at]:
            name.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(name).lower()
        self.asked.append(name)
        if name not in self.names:
            return query[:2] + b"\x81\x83" + struct.pack(">HHHH", 1, 0, 0, 0) + query[12:at + 5]
        records = self._records(name, kind)
        reply = query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, len(records), 0, 0) + query[12:at + 5]
        for owner, record_kind, data in records:
            reply += self.encode(owner) + struct.pack(">HHIH", record_kind, 1, 0, len(data)) + data
        return reply

    def close(self):
        self.socket.close()


class Connects:
    """What the test fetcher connected to, as it noted it itself."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "connects"
        self.path.touch()
        self.seen = 0

    def all(self):
        return [tuple(line.split()) for line in self.path.read_text().splitlines()]

    def new(self):
        """Those since the last call."""
        lines = self.all()
        fresh, self.seen = lines[self.seen:], len(lines)
        return fresh


def fetcher_pid(server):
    """None while there is no fetcher."""
    for pid in server.children():
        try:
            arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"role:fetcher" in arguments[1:2]:
            return pid
    return None


def fetcher_script(folder, connects, dns=None, certificates=None):
    """A program for --fetcher-program: the test fetcher with its variables."""
    path = pathlib.Path(folder) / "fetcher"
    lines = ["#!/bin/sh", "export VLMD_TEST_PUBLIC=127.77", f"export VLMD_TEST_CONNECTS={connects.path}"]
    if dns:
        lines.append(f"export VLMD_TEST_DNS={dns.port}")
    if certificates:
        lines.append(f"export VLMD_TEST_CA={certificates}")
    lines.append(f'exec {os.path.abspath(TEST_FETCHER)} "$@"')
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def url_part(url):
    return {"type": "image_url", "image_url": {"url": url}}


def trickle(handler, body, pieces, seconds):
    """The body in pieces, over that time."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    size = -(-len(body) // pieces)
    for at in range(0, len(body), size):
        handler.wfile.write(body[at:at + size])
        handler.wfile.flush()
        time.sleep(seconds / pieces)
