"""Images that are named instead of sent: over http and https, from named folders, and what goes wrong with them."""

import os
import signal
import subprocess
import threading
import time
import zlib

import pytest
from client import PROGRAM, data_uri, eventually, gone, image_part, png, text_part
from fetching import Connects, NameServer, WebServer, answer, fetcher_pid, fetcher_script, trickle, url_part

RED = png(56, 56, (255, 0, 0))
SEEN = "56x56/56x56:ff0000 "
GENERIC = "the image could not be fetched: it must be at a public address that answers with at most 10000000 bytes"


def images(*urls):
    return [*(url_part(url) for url in urls), text_part("images")]


@pytest.fixture
def web():
    servers = []

    def make(**options):
        servers.append(WebServer(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def fetching(start, tmp_path):
    """fetching(*options, ports=...): a server whose fetcher may go to 127.77.0.0/16."""

    def begin(*options, ports=(), dns=None, certificates=None, **more):
        connects = Connects(tmp_path)
        program = fetcher_script(tmp_path, connects, dns, certificates)
        ports = ",".join(str(port) for port in ("80", "443", *ports))
        server = start("--fetcher-program", program, "--fetch-ports", ports, *options, **more)
        server.connects = connects
        return server

    return begin


def refused(server, url, text=GENERIC):
    answered = server.chat(images(url))
    assert answered.status == 400, answered.body
    assert text in answered.error()["message"], answered.body
    assert answered.error()["param"] == "messages[0].content[0].image_url.url"
    return answered


def test_an_image_from_a_url(fetching, web):
    site = web(body=RED)
    server = fetching(ports=[site.port])
    assert server.status()["fetcher"]["running"] is False
    assert server.chat(images(site.url("/a.png"))).text() == SEEN
    assert server.status()["fetcher"]["running"] is True
    assert server.connects.all() == [("127.77.0.1", str(site.port))]
    headers = site.headers[0]
    assert headers["User-Agent"] == "vlmd" and "Accept-Encoding" not in headers and "Cookie" not in headers


def test_a_url_as_plain_string_and_beside_sent_images(fetching, web):
    site = web(body=RED)
    server = fetching(ports=[site.port])
    blue = image_part(png(84, 56, (0, 0, 255)))
    content = [blue, {"type": "image_url", "image_url": site.url()}, blue, text_part("images")]
    assert server.chat(content).text() == f"84x56/84x56:0000ff {SEEN}84x56/84x56:0000ff "


def test_nothing_is_fetched_for_a_model_that_does_not_see(fetching, web):
    site = web(body=RED)
    server = fetching(ports=[site.port], names=("blind",))
    answered = server.chat(images(site.url()))
    assert (answered.status, answered.error()["code"]) == (400, "unsupported_value"), answered.body
    assert "does not see images" in answered.error()["message"]
    assert site.requests == [] and server.status()["fetcher"]["running"] is False


def test_an_estimate_fetches_too(fetching, web):
    site = web(body=RED)
    server = fetching(ports=[site.port])
    body = {"model": "fake", "messages": [{"role": "user", "content": images(site.url())}]}
    answered = server.post(body, path="/v1/estimate")
    assert answered.status == 200 and answered.json()["image_tokens"] == 4, answered.body
    metrics = server.get("/metrics").body.decode()
    assert "vlmd_fetched_total 1" in metrics and "vlmd_fetches_running 0" in metrics


def test_names_are_resolved(fetching, web):
    site, dns = web(body=RED), NameServer()
    dns.names["pictures.example"] = [[("CNAME", "cdn.example")]]
    dns.names["cdn.example"] = [[("A", "127.77.0.1")]]
    server = fetching(ports=[site.port], dns=dns)
    assert server.chat(images(site.url("/ä b.png", host="pictures.example"))).text() == SEEN
    assert site.requests == ["/%c3%a4%20b.png"]
    refused(server, site.url(host="unknown.example"))
    dns.close()


def test_images_of_a_request_are_fetched_at_once(fetching, web):
    together = threading.Barrier(16, timeout=20)

    def handle(handler):
        together.wait()
        answer(handler, RED)

    site = web(handle=handle)
    server = fetching("--max-images", "16", ports=[site.port])
    assert server.chat(images(*(site.url(f"/{i}.png") for i in range(16)))).text() == SEEN * 16


@pytest.mark.parametrize("hops, comes", [(1, True), (3, True), (4, False)])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_three_times(fetching, web, hops, comes, status):
    def handle(handler):
        left = int(handler.path.strip("/"))
        if left == 0:
            answer(handler, RED)
        else:
            target = [f"/{left - 1}", f"//127.77.0.1:{site.port}/{left - 1}", site.url(f"/{left - 1}")][left % 3]
            answer(handler, b"not this" * 1000, status, Location=target)

    site = web(handle=handle)
    server = fetching(ports=[site.port])
    if comes:
        assert server.chat(images(site.url(f"/{hops}"))).text() == SEEN
    else:
        refused(server, site.url(f"/{hops}"))
    assert len(site.requests) == min(hops, 3) + 1


def test_no_redirects_when_none_are_wanted(fetching, web):
    site = web(handle=lambda h: answer(h, b"", 302, Location="/there"))
    server = fetching("--fetch-redirects", "0", ports=[site.port])
    refused(server, site.url())
    assert len(site.requests) == 1


def chunked(handler, body, pieces=4):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    size = -(-len(body) // pieces)
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def unannounced(handler, body):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(body)


WRONG = {
    "404": lambda h: answer(h, RED, 404),
    "500": lambda h: answer(h, RED, 500),
    "204": lambda h: answer(h, b"", 204, Content_Length=None),
    "206": lambda h: answer(h, RED, 206),
    "401": lambda h: answer(h, RED, 401, WWW_Authenticate="Basic"),
    "300 with a body": lambda h: answer(h, RED, 300),
    "redirect to nowhere": lambda h: answer(h, RED, 302),
    "empty": lambda h: answer(h, b""),
    "cut": lambda h: answer(h, RED, Content_Length=len(RED) + 1),
    "announced too large": lambda h: answer(h, RED, Content_Length=10000001),
    "too large without saying so": lambda h: unannounced(h, bytes(10000001)),
    "too large in chunks": lambda h: chunked(h, bytes(10000001)),
    "gzip as content coding": lambda h: answer(h, zlib.compress(RED), Content_Encoding="gzip"),
    "gzip as transfer coding": lambda h: answer(h, zlib.compress(RED), Transfer_Encoding="gzip, chunked", Content_Length=None),
    "endless headers": lambda h: h.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-More: aaaaaaaaaaaaaaaaaaaaaaa\r\n" * 9000),
    "no HTTP": lambda h: h.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "HTTP/0.9": lambda h: h.wfile.write(RED),
    "nothing": lambda h: None,
    "two locations": lambda h: h.wfile.write(
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.fixture(scope="module")
def wrong_site():
    site = WebServer(handle=lambda h: WRONG[h.path.strip("/").replace("%20", " ")](h))
    yield site
    site.close()


def test_what_the_other_side_does_wrong_sounds_the_same(fetching, wrong_site):
    server = fetching(ports=[wrong_site.port, 1])
    said = {refused(server, wrong_site.url(f"/{name}")).body for name in WRONG}
    said.add(refused(server, "http://127.77.0.1:1/").body)  # nobody listens there
    said.add(refused(server, f"http://127.0.0.1:{wrong_site.port}/").body)  # forbidden
    said.add(refused(server, f"https://127.77.0.1:{wrong_site.port}/").body)  # no TLS
    assert len(said) == 1
    assert b"127." not in said.pop()
    assert "127.0.0.1 is loopback" in server.log()


def test_good_answers_in_other_forms(fetching, web):
    forms = {"/chunked": lambda h: chunked(h, RED), "/until-close": lambda h: unannounced(h, RED),
             "/identity": lambda h: answer(h, RED, Content_Encoding="identity", Content_Type="text/html")}
    site = web(handle=lambda h: forms[h.path](h))
    server = fetching(ports=[site.port])
    assert server.chat(images(*(site.url(path) for path in forms))).text() == SEEN * 3


def test_what_is_no_image_is_refused_by_the_decoder(fetching, web):
    site = web(body=b"<html>not an image</html>")
    server = fetching(ports=[site.port])
    answered = server.chat(images(site.url()))
    assert answered.status == 400 and answered.error()["param"] == "messages[0].content[0].image_url.url"


def test_limits_of_time(fetching, web):
    body = RED + bytes(20000)
    site = web(handle=lambda h: trickle(h, body, 100, 30) if h.path == "/slow" else time.sleep(30))
    server = fetching("--fetch-seconds", "1", ports=[site.port])
    for path in ("/slow", "/silent"):
        began = time.monotonic()
        refused(server, site.url(path))
        assert 0.8 < time.monotonic() - began < 2.5


def test_a_trickle_is_too_slow(fetching, web):
    site = web(handle=lambda h: trickle(h, bytes(100000), 1000, 100))
    server = fetching("--fetch-seconds", "30", ports=[site.port])
    began = time.monotonic()
    refused(server, site.url())
    assert time.monotonic() - began < 20  # not 30
    assert "too slow" in server.log()


def test_a_client_that_leaves_ends_the_fetch(fetching, web):
    site = web(handle=lambda h: trickle(h, bytes(2000000), 2000, 20))
    server = fetching(ports=[site.port])
    connection = server.connect({"model": "fake", "messages": [{"role": "user", "content": images(site.url())}]})
    eventually(lambda: server.status()["fetcher"]["fetching"] == 1)
    eventually(lambda: site.requests)
    connection.close()
    assert eventually(lambda: server.status()["fetcher"]["fetching"] == 0) < 1
    assert site.gone.wait(1)
    assert server.status()["requests"] == 0


def test_a_fetcher_that_dies_is_replaced_and_the_fetch_goes_on(fetching, web):
    first = threading.Event()

    def handle(handler):
        if not first.is_set():
            first.set()
            time.sleep(20)
        answer(handler, RED)

    site = web(handle=handle)
    server = fetching(ports=[site.port])
    results = []
    asking = threading.Thread(target=lambda: results.append(server.chat(images(site.url()))))
    asking.start()
    assert first.wait(5)
    pid = fetcher_pid(server)
    os.kill(pid, signal.SIGKILL)
    asking.join(10)
    assert results[0].text() == SEEN
    assert gone(pid) and server.status()["fetcher"]["restarts"] == 1


def test_a_fetcher_that_never_starts(start):
    server = start("--fetcher-program", "/bin/false")
    answered = server.chat(images("http://127.77.0.1/"))
    assert answered.status == 500 and "fetch" in answered.error()["message"]
    assert server.chat("say fine").text() == "fine"


def test_a_wedged_fetcher_is_killed(fetching, web):
    site = web(handle=lambda h: time.sleep(30))
    server = fetching("--fetch-seconds", "1", ports=[site.port])
    refused(server, "http://127.77.0.1:1/", "port")  # which starts it
    pid = fetcher_pid(server)
    os.kill(pid, signal.SIGSTOP)
    connection = server.connect({"model": "fake", "messages": [{"role": "user", "content": images(site.url())}]})
    eventually(lambda: gone(pid), seconds=9, what="the end of the stopped fetcher")
    connection.close()


def test_many_fetches_leak_nothing(fetching, web):
    site = web(body=RED)
    server = fetching(ports=[site.port])
    server.chat(images(*[site.url()] * 4))
    pid = fetcher_pid(server)
    before = server.descriptors(), len(os.listdir(f"/proc/{pid}/fd"))
    for i in range(25):
        server.chat(images(*[site.url()] * 4, *(["http://127.0.0.1/"] if i % 2 else [])))
    eventually(lambda: (server.descriptors(), len(os.listdir(f"/proc/{pid}/fd"))) <= before)


def test_https_with_a_certificate_that_is_trusted(fetching, web, tmp_path):
    def certificate(name):
        path = tmp_path / f"{name}.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName=DNS:{name}", "-keyout", path, "-out", f"{path}.crt"],
            check=True, capture_output=True)
        path.write_text(path.read_text() + (tmp_path / f"{name}.pem.crt").read_text())
        return path

    good, other = certificate("good.example"), certificate("other.example")
    dns = NameServer()
    for name in ("good.example", "other.example", "wrong.example"):
        dns.names[name] = [[("A", "127.77.0.1")]]
    site, stranger = web(body=RED, certificate=good), web(body=RED, certificate=other)
    server = fetching("--image-dir", tmp_path, ports=[site.port, stranger.port], dns=dns, certificates=f"{good}.crt")
    assert server.chat(images(site.url(host="good.example"))).text() == SEEN
    refused(server, site.url(host="wrong.example"))  # trusted, but for another name
    refused(server, stranger.url(host="other.example"))  # for that name, but of nobody who is trusted
    assert len(site.requests) == 1 and not stranger.requests
    dns.close()


# ---- settings


def test_fetching_can_be_switched_off(start, web):
    site = web(body=RED)
    server = start("--no-fetch", "--fetch-ports", str(site.port))
    answered = server.chat(images(site.url()))
    assert answered.error()["code"] == "unsupported_value" and "data URI" in answered.error()["message"]
    assert server.status()["fetcher"]["running"] is False


@pytest.mark.parametrize("options, text", [
    (["--fetch-ports", "80,x"], "--fetch-ports"),
    (["--fetch-ports", "0"], "--fetch-ports"),
    (["--fetch-ports", "65536"], "--fetch-ports"),
    (["--fetch-block", "10.0.0.0/33"], "--fetch-block"),
    (["--fetch-block", "example.org"], "--fetch-block"),
    (["--image-dir", "/no/such/folder"], "--image-dir"),
    (["--fetch-redirects", "4"], "fetch-redirects"),
])
def test_settings_that_make_no_sense(programs, options, text):
    ended = subprocess.run([PROGRAM, "serve", *options], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2 and text in ended.stderr


def test_networks_that_the_operator_blocks(fetching, web):
    site = web(address="127.77.3.1", body=RED)
    server = fetching("--fetch-block", "127.77.3.0/24", "--fetch-block", "2001:db8::/32", ports=[site.port])
    refused(server, site.url())
    assert not site.requests and not server.connects.all()


# ---- files


@pytest.fixture
def folder(tmp_path):
    """A named folder with images, links out of it, and a file beside it."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "inside").mkdir()
    for path in ("in/a b.png", "in/deep/b.png", "outside.png", "inside/c.png"):
        (tmp_path / path).write_bytes(RED)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (tmp_path / "in" / "empty.png").touch()
    with open(tmp_path / "in" / "large.png", "wb") as large:
        large.truncate(10000001)
    return tmp_path / "in"


def test_files_of_a_named_folder(start, folder):
    server = start("--image-dir", folder, "--no-fetch")
    names = [f"{folder}/a b.png", f"file://{folder}/a%20b.png", f"file://localhost{folder}/deep/b.png",
             f"FILE://{folder}/deep/b.png"]
    assert server.chat(images(*names)).text() == SEEN * 4


def test_nothing_beside_a_named_folder(start, folder):
    server = start("--image-dir", folder)
    outside = folder.parent / "outside.png"
    forms = [
        f"{outside}", f"file://{outside}", f"{folder}/../outside.png", f"file://{folder}/../outside.png",
        f"file://{folder}/%2e%2e/outside.png", f"file://{folder}/%2e%2e%2foutside.png", f"{folder}/deep/../../outside.png",
        f"{folder}/link.png", f"{folder}/up/outside.png", f"{folder}/up/in/a b.png", f"{folder}/pipe.png",
        f"{folder}/empty.png", f"{folder}/large.png", f"{folder}", f"{folder}/", f"{folder}//a b.png", f"{folder}/./a b.png",
        f"{folder}/deep", f"{folder}side/c.png", "/etc/passwd", "file:///etc/passwd", "file:/etc/passwd", "/", "//", "file:",
        "file://", f"file://example.org{folder}/a%20b.png", f"file://{folder}/a%20b.png%00", "/proc/self/environ",
        "/dev/zero", f"{folder}/no-such.png", f"{folder}/" + "x" * 5000,
    ]
    said = set()
    for form in forms:
        answered = server.chat(images(form))
        assert answered.status == 400, (form, answered.body)
        said.add(answered.body)
    assert len(said) == 1 and b"in a folder that this server names" in next(iter(said))
    assert str(folder).encode() not in said.pop()


def test_files_are_off_until_a_folder_is_named(start, folder):
    server = start()
    for form in (f"{folder}/a b.png", f"file://{folder}/a%20b.png"):
        answered = server.chat(images(form))
        assert answered.status == 400 and "data URI" in answered.error()["message"]
    assert server.status()["fetcher"]["running"] is False


def test_data_uris_still_need_no_fetcher(start):
    server = start()
    assert server.chat(images(data_uri(RED))).text() == SEEN
    assert server.status()["fetcher"]["running"] is False
