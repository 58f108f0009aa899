"""No request makes the server connect to where it may not. What the fetcher connects to is seen twice: by itself (the test fetcher
notes every connect()) and by listeners on all local addresses, which count what arrives anywhere but at 127.77.0.0/16."""

import collections
import concurrent.futures
import http.client
import ipaddress
import json
import os
import socket
import threading

import pytest
from client import png, text_part, user
from fetching import Connects, NameServer, WebServer, answer, fetcher_script, url_part
from ssrf_vectors import V4, V6, v4_in_v6, vectors

RED = png(56, 56, (255, 0, 0))
PUBLIC = ipaddress.ip_network("127.77.0.0/16")


class Traps:
    """Listens on every local address of both families, on one port."""

    def __init__(self):
        self.caught = []
        self.sockets = [self._open(socket.AF_INET, "0.0.0.0", 0)]
        self.port = self.sockets[0].getsockname()[1]
        try:
            self.sockets.append(self._open(socket.AF_INET6, "::", self.port))
        except OSError:
            pass  # no IPv6 here
        for one in self.sockets:
            threading.Thread(target=self._run, args=(one,), daemon=True).start()

    @staticmethod
    def _open(family, address, port):
        one = socket.socket(family)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(128)
        return one

    def _run(self, one):
        while True:
            try:
                connection, _ = one.accept()
            except OSError:
                return
            address = connection.getsockname()[0]
            connection.close()
            if ":" in address or ipaddress.ip_address(address) not in PUBLIC:
                self.caught.append(address)

    def close(self):
        for one in self.sockets:
            one.close()


@pytest.fixture
def traps():
    made = Traps()
    yield made
    made.close()


@pytest.fixture
def dns():
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def fetching(start, tmp_path, dns):
    def begin(*options, ports=(), **more):
        connects = Connects(tmp_path)
        ports = ",".join(str(port) for port in ("80", "443", *ports))
        server = start(
            "--fetcher-program", fetcher_script(tmp_path, connects, dns), "--fetch-ports", ports, "--fetch-seconds", "3",
            "--max-concurrent-requests", "32", *options, **more)
        server.connects = connects
        return server

    return begin


def own_addresses():
    """Addresses of this machine beside the loopback, as far as it can be asked without help."""
    found = set()
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((far, 9))  # sends nothing
                found.add(probe.getsockname()[0])
            except OSError:
                pass
    return sorted(found)


def ask_all(server, urls):
    """Statuses and messages for one request each, over eight connections."""

    def ask(share):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        answers = []
        for url in share:
            body = {"model": "fake", "messages": [user([url_part(url), text_part("images")])]}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answers.append((url, response.status, response.read().decode()))
        connection.close()
        return answers

    urls = list(urls)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [one for share in pool.map(ask, (urls[i::8] for i in range(8))) for one in share]


def forbidden_connects(server):
    return [where for where in server.connects.all() if ipaddress.ip_address(where[0]) not in PUBLIC]


def assert_nothing_said(answers):
    """No answer names an address, and none has an image in it."""
    for url, status, body in answers:
        assert status == 400, (url, status, body)
        message = json.loads(body)["error"]["message"]
        assert "127." not in message and "169.254" not in message and "::" not in message, (url, message)


def test_addresses_and_urls(fetching, dns, traps):
    dns.names["example.com"] = [[("A", "127.77.0.1")]]  # where some forms rightly lead; nobody answers there
    server = fetching(ports=[traps.port])
    cases = list(vectors(traps.port, own_addresses()))
    assert len(cases) >= 1500 and min(collections.Counter(kind for kind, _ in cases).values()) >= 3
    answers = ask_all(server, (url for _, url in cases))
    assert len(answers) == len(cases)
    assert_nothing_said(answers)
    assert forbidden_connects(server) == [] and traps.caught == []
    assert server.status()["fetcher"]["restarts"] == 0
    # The rig sees what it should: where it may, the fetcher connects.
    assert {address for address, _ in server.connects.all()} == {"127.77.0.1"}
    print(f"{len(cases)} URLs")


def test_addresses_with_the_program_that_is_shipped(start, traps):
    server = start("--fetch-ports", f"80,443,{traps.port}", "--fetch-seconds", "3", "--max-concurrent-requests", "32")
    hosts = [*V4, *(f"[{address}]" for address in V6), *own_addresses(), "localhost", "127.1", "0x7f.1", "2130706433"]
    hosts += [host for address in V4 for host in v4_in_v6(address)]
    urls = [f"http://{host}:{traps.port}/" for host in hosts]
    assert_nothing_said(ask_all(server, urls))
    assert traps.caught == []
    assert server.status()["fetcher"]["sandboxed"] is True


BAD_A = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.17.0.1", "100.64.0.1", "0.0.0.0", "168.63.129.16"]
BAD_AAAA = ["::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1",
            "2002:7f00:1::1", "2001:0:7f00:1::1", "fd00:ec2::254", "fe80::1", "fc00::1", "ff02::1", "::", "::ffff:0:7f00:1"]
GOOD = ("A", "127.77.0.1")


def dns_cases():
    """(name, its turns, further names): 200 and more zones that end, or sometimes end, at a forbidden address."""
    bad = [("A", address) for address in BAD_A] + [("AAAA", address) for address in BAD_AAAA]
    for i, record in enumerate(bad):
        yield f"plain{i}.test", [[record]], {}
        yield f"rebinds{i}.test", [[GOOD], [record]], {}
        yield f"alternates{i}.test", [[GOOD], [record]] * 40, {}
        yield f"mixed-last{i}.test", [[GOOD, record]], {}
        yield f"mixed-first{i}.test", [[record, GOOD]], {}
        yield f"mixed-many{i}.test", [[*[record] * 5, GOOD, *[record] * 5]], {}
        yield f"alias{i}.test", [[("CNAME", f"target{i}.test")]], {f"target{i}.test": [[record]]}
        yield f"chain{i}.test", [[("CNAME", f"one{i}.test")]], {
            f"one{i}.test": [[("CNAME", f"two{i}.test")]], f"two{i}.test": [[("CNAME", f"three{i}.test")]],
            f"three{i}.test": [[record]]}
        yield f"alias-rebinds{i}.test", [[("CNAME", f"turns{i}.test")]], {f"turns{i}.test": [[GOOD], [record]]}
        yield f"both{i}.test", [[record, bad[(i + 7) % len(bad)]]], {}


def test_names(fetching, dns, traps):
    """A public server at the traps' port sends everybody back to the name they came by, so that it is resolved again and again."""

    def handle(handler):
        answer(handler, b"", 302, Location=f"http://{handler.headers['Host']}{handler.path}x")

    site = WebServer(port=traps.port + 1 if traps.port < 65000 else traps.port - 1, handle=handle)
    cases = list(dns_cases())
    assert len(cases) >= 200
    for name, turns, more in cases:
        dns.names[name] = turns
        dns.names.update(more)
    server = fetching(ports=[traps.port, site.port])
    urls = [f"http://{name}:{port}/" for name, _, _ in cases for port in (traps.port, site.port)]
    assert_nothing_said(ask_all(server, urls))
    assert forbidden_connects(server) == [] and traps.caught == []
    assert site.requests and len(set(dns.asked)) >= len(cases)
    site.close()
    print(f"{len(cases)} zones, {len(urls)} fetches, {len(dns.asked)} questions, {len(site.requests)} redirects")


def redirect_targets(port):
    """Where a hostile public server may send the fetcher to."""
    hosts = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "0", "127.1", "2130706433", "0x7f000001", "017700000001",
             "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "10.0.0.1",
             "192.168.0.1", "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]", "[fe80::1%25lo]", "127.0.0.1.",
             "%31%32%37.0.0.1", "\uff11\uff12\uff17.0.0.1", "private.test", "rebinds.test"]
    for host in hosts:
        yield f"http://{host}:{port}/secret.png"
        yield f"//{host}:{port}/"
    for credentials in ("a@", "a:b@", ":@", "@", "127.77.0.1@", "127.77.0.1:80@", "127.77.0.1%40"):
        yield f"http://{credentials}127.0.0.1:{port}/"
        yield f"http://{credentials}127.77.0.1:{port}/"
    for odd in (22, 25, 53, 110, 3306, 5432, 6379, 9200, 11211, 27017, 0, 65536):
        yield f"http://127.77.0.1:{odd}/"
        yield f"http://127.0.0.1:{odd}/"
    for scheme in ("file", "ftp", "gopher", "dict", "ldap", "smb", "telnet", "tftp", "scp", "rtsp", "mqtt", "imap"):
        yield f"{scheme}://127.0.0.1:{port}/etc/passwd"
    yield "file:///etc/passwd"
    yield "/\r\n\r\nGET /again"
    yield f"http:\\\\127.0.0.1:{port}\\"
    yield f"http:127.0.0.1:{port}"
    yield f"http:///127.0.0.1:{port}/"
    yield f"\\\\127.0.0.1:{port}\\"


def test_redirects_proxies_credentials_and_ports(fetching, dns, traps):
    targets = list(redirect_targets(traps.port))
    assert len(targets) >= 100
    dns.names["private.test"] = [[("A", "10.1.2.3")]]
    dns.names["rebinds.test"] = [[GOOD], [("A", "127.0.0.1")]]

    def handle(handler):
        """/HOPS/NUMBER: after HOPS more redirects, off to target NUMBER, with whatever else may lead a client elsewhere."""
        hops, number = (int(part) for part in handler.path.strip("/").split("/")[:2])
        target = f"/{hops - 1}/{number}" if hops > 0 else targets[number]
        status = (301, 302, 303, 307, 308)[number % 5]
        trap = f"127.0.0.1:{traps.port}"
        handler.wfile.write(
            f"HTTP/1.1 {status} Found\r\nLocation: {target}\r\nRefresh: 0; url=http://{trap}/\r\n"
            f"Content-Location: http://{trap}/\r\nAlt-Svc: h2=\"{trap}\", http/1.1=\"{trap}\"; persist=1\r\n"
            f"Link: <http://{trap}/>; rel=preload\r\nStrict-Transport-Security: max-age=31536000\r\n"
            f"Set-Cookie: a=b; Domain=localhost\r\nContent-Type: image/png\r\nContent-Length: {len(RED)}\r\n\r\n"
            .encode() + RED)

    site = WebServer(handle=handle)
    proxy = f"http://127.0.0.1:{traps.port}"
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ftp_proxy", "socks_proxy")
    environment = {**os.environ, **{name: proxy for name in names}, "no_proxy": "", "NO_PROXY": ""}
    server = fetching(ports=[traps.port, site.port], env=environment)
    urls = [site.url(f"/{hops}/{number}") for number in range(len(targets)) for hops in (0, 2)]
    assert_nothing_said(ask_all(server, urls))
    assert forbidden_connects(server) == [] and traps.caught == []
    assert {int(port) for _, port in server.connects.all()} <= {traps.port, site.port, 80, 443}
    assert all("Authorization" not in headers and "Cookie" not in headers for headers in site.headers)
    assert len(site.requests) >= len(targets) * 4
    site.close()
    print(f"{len(targets)} targets at two depths, {len(site.requests)} requests to the public server")
