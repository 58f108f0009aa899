"""A server under test and plain ways to talk to it, with nothing but the standard library."""

import base64
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("VLMD_PROGRAM", ROOT / "build" / "vlmd"))
FAKE_WORKER = PROGRAM.parent / "fake_worker"


def png(width, height, color=(200, 30, 60)):
    """A PNG of one colour."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = b"\0" + bytes(color) * width
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


def data_uri(image, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def image_part(image):
    return {"type": "image_url", "image_url": {"url": data_uri(image)}}


def text_part(text):
    return {"type": "text", "text": text}


def user(content):
    return {"role": "user", "content": content}


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def text(self):
        """The text of a completion."""
        return self.json()["choices"][0]["message"]["content"]

    def error(self):
        return self.json()["error"]


class Server:
    """`vlmd serve` on free ports. Its log is kept in a file."""

    def __init__(self, *options, models=(), fake=True, env=None, wait=True, launcher=()):
        self.log_file = tempfile.NamedTemporaryFile(prefix="vlmd-log-", delete=False)
        command = [*launcher, str(PROGRAM), "serve", "--port", "0", "--admin-port", "0"]
        for model in models:
            command += ["--model", str(model)]
        if fake:
            command += ["--worker-program", str(FAKE_WORKER)]
        command += [str(option) for option in options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log_file,
            env=env, cwd=ROOT,
        )
        self.model = pathlib.Path(models[0]).name if models else "vlmd-tiny"
        self.port, self.admin_port = self._ports()
        if wait:
            self.wait_until_ready()

    def log(self):
        return pathlib.Path(self.log_file.name).read_text(errors="replace")

    def _ports(self):
        pattern = re.compile(r"listening on http://\S+:(\d+), admin on http://\S+:(\d+)")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = pattern.search(self.log())
            if found:
                return int(found.group(1)), int(found.group(2))
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"the server did not start:\n{self.log()}")

    def wait_until_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.get("/health").status == 200 and self.status()["decoders"]["ready"] > 0:
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not get ready:\n{self.log()}")

    def stop(self, sig=signal.SIGTERM, seconds=30):
        """Ends the server and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.log_file.close()
        os.unlink(self.log_file.name)
        return status

    def request(self, method, path, body=None, headers=None, port=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def status(self):
        return self.get("/admin/status", port=self.admin_port).json()

    def post(self, body, path="/v1/chat/completions", headers=None, **options):
        """Posts a dict as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if headers is None else headers
        return self.request("POST", path, data, headers, **options)

    def chat(self, content, **parameters):
        """One user message, answered whole."""
        messages = parameters.pop("messages", [user(content)])
        return self.post({"model": self.model, "messages": messages, **parameters})

    def stream(self, content, **parameters):
        """One user message as a stream: the list of its events' data, parsed where it is JSON."""
        body = {"model": self.model, "messages": [user(content)], "stream": True, **parameters}
        answer = self.post(body)
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return parse_events(answer.body)

    def raw(self, data, seconds=5, half_close=False):
        """Sends bytes and returns everything that comes until the server closes or it is quiet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent: the answer is still to be read
            return read_all(connection, seconds)

    def connect(self, body, path="/v1/chat/completions"):
        """Posts on a socket of its own and returns it without reading."""
        data = json.dumps(body).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode() + data
        )
        return connection

    def worker_pid(self, index=0):
        """0 when it has none: never to be given to os.kill."""
        return self.status()["models"][index]["pid"]

    def children(self):
        """Process ids of all children."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def connect(server, receive_buffer=0):
    """A bare connection to the API."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    return connection


def read_all(connection, seconds):
    connection.settimeout(seconds)
    received = b""
    while True:
        try:
            piece = connection.recv(65536)
        except (TimeoutError, socket.timeout):
            return received
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def parse_events(body):
    events = []
    for event in body.decode().split("\n\n"):
        if not event:
            continue
        assert event.startswith("data: "), event
        data = event[len("data: "):]
        events.append(data if data == "[DONE]" else json.loads(data))
    return events


def streamed_text(events):
    return "".join(
        event["choices"][0]["delta"].get("content", "")
        for event in events
        if event != "[DONE]" and event["choices"]
    )


def eventually(condition, seconds=10, what="condition"):
    """Waits until the condition holds; returns how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.01)
    raise AssertionError(f"{what} did not become true within {seconds} s")


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = pathlib.Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
