"""API keys, rate limits, Hosts and browsers' origins, over HTTP."""

import hashlib
import http.client
import os
import signal

import pytest
from client import eventually, image_part, png, text_part, user

SECRET = "sk-test-0123456789"
JSON = {"Content-Type": "application/json"}


def bearer(secret):
    return {**JSON, "Authorization": f"Bearer {secret}"}


def chat(server, content="say hi", headers=None):
    return server.post({"model": "fake", "messages": [user(content)]}, headers=headers or JSON)


@pytest.fixture
def guarded(start, tmp_path):
    """A server with keys in a file; the file."""
    path = tmp_path / "keys"
    path.write_text(
        f"[key plain]\nsecret = {SECRET}\n\n"
        f"[key hashed]\nsha256 = {hashlib.sha256(b'another-secret').hexdigest()}\n"
        "image-pixels = 1000\nrate-limit = 4\n"
        "[key operator]\nsecret = operator-secret\nadmin = yes\n"
    )
    path.chmod(0o600)
    return start("--key-file", path, wait=False), path


def ready(server):
    eventually(lambda: server.get("/health").status == 200, what="a ready model")
    return server


def test_every_route_but_health_wants_a_key(guarded):
    server = ready(guarded[0])
    for path in ["/v1/models", "/v1/models/fake", "/ready", "/metrics", "/", "/v1/nothing"]:
        refused = server.get(path)
        assert refused.status == 401, path
        assert refused.error()["code"] == "invalid_api_key"
        assert refused.error()["type"] == "invalid_request_error"
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert chat(server).status == 401
    assert chat(server, headers=bearer("sk-test-012345678")).status == 401
    assert chat(server, headers={**JSON, "Authorization": SECRET}).status == 401
    assert server.get("/v1/models", headers=bearer(SECRET)).status == 200
    assert chat(server, headers=bearer(SECRET)).text() == "hi"
    assert chat(server, headers=bearer("another-secret")).text() == "hi"


def test_secrets_are_not_logged(guarded):
    server = ready(guarded[0])
    chat(server, headers=bearer(SECRET))
    chat(server, headers=bearer("sk-of-somebody-else"))
    assert SECRET not in server.log() and "somebody" not in server.log()


def test_a_key_has_limits_of_its_own_for_images(start, tmp_path):
    path = tmp_path / "keys"
    path.write_text(
        "[key more]\nsecret = more-secret\nmax-images = 3\nmax-image-side = 200\n"
        "max-image-pixels = 40000\nmax-image-bytes = 100000\n"
        "[key less]\nsecret = less-secret\nmax-images = 1\nmax-image-bytes = 50\n"
        "[key none]\nsecret = none-secret\nmax-images = 0\n"
        f"[key plain]\nsecret = {SECRET}\n"
    )
    path.chmod(0o600)
    limits = ("--max-images", 2, "--max-image-side", 100, "--max-image-pixels", 8000)
    server = ready(start("--key-file", path, *limits, wait=False))

    def status(secret, *sides):
        parts = [image_part(png(side, side)) for side in sides]
        return chat(server, [text_part("say hi"), *parts], bearer(secret)).status

    assert status(SECRET, 28, 28) == 200
    assert status(SECRET, 28, 28, 28) == 400
    assert status("more-secret", 28, 28, 28) == 200
    assert status("less-secret", 28) == 400  # more than 50 bytes
    assert status("none-secret") == 200
    assert status("none-secret", 28) == 400
    assert status(SECRET, 150) == 400
    assert status("more-secret", 150) == 200
    assert status("more-secret", 201) == 400


def test_the_admin_port_wants_a_key_that_opens_it(guarded):
    server = ready(guarded[0])

    def status(headers=None):
        return server.get("/admin/status", port=server.admin_port, headers=headers or {}).status

    assert status() == 401
    assert status(bearer(SECRET)) == 403
    assert status(bearer("operator-secret")) == 200
    assert server.get("/admin/health", port=server.admin_port).status == 200


def test_a_key_has_its_own_rate(guarded):
    server = ready(guarded[0])
    answers = [chat(server, headers=bearer("another-secret")) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["3", "2", "1", "0", "0"]
    assert all(answer.headers["x-ratelimit-limit-requests"] == "4" for answer in answers)
    assert answers[4].error()["code"] == "rate_limit_exceeded"
    assert 50 <= int(answers[4].headers["Retry-After"]) <= 60
    assert [chat(server, headers=bearer(SECRET)).status for _ in range(8)] == [200] * 8


def test_a_key_has_a_budget_of_pixels(guarded):
    server = ready(guarded[0])
    headers = bearer("another-secret")
    small, large = image_part(png(30, 30)), image_part(png(40, 30))
    assert chat(server, [small, text_part("images")], headers).status == 200
    refused = chat(server, [large, text_part("images")], headers)
    assert refused.status == 400
    assert refused.error()["param"] == "messages[0].content[0].image_url.url"
    refused = chat(server, [small, small, text_part("images")], headers)
    assert refused.status == 400
    assert "1000 pixels" in refused.error()["message"]
    assert chat(server, [large, large, text_part("images")], bearer(SECRET)).status == 200
    body = {"model": "fake", "messages": [user([large])]}
    assert server.post(body, path="/v1/estimate", headers=bearer(SECRET)).status == 200
    assert server.post(body, path="/v1/estimate", headers=bearer("another-secret")).status == 400


def test_sighup_changes_keys(guarded):
    server, path = guarded
    ready(server)
    path.write_text("[key fresh]\nsecret = fresh-secret\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "changed: the keys" in server.log(), what="the new keys")
    assert chat(server, headers=bearer(SECRET)).status == 401
    assert chat(server, headers=bearer("fresh-secret")).status == 200
    path.write_text("[key fresh]\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "neither secret nor sha256" in server.log(), what="a complaint")
    assert chat(server, headers=bearer("fresh-secret")).status == 200


def test_a_key_in_the_environment(start):
    server = start(env={**os.environ, "VLMD_API_KEY": SECRET}, wait=False)
    ready(server)
    assert chat(server).status == 401
    assert chat(server, headers=bearer(SECRET)).status == 200


def test_the_rate_limit_is_off_unless_asked_for(start):
    server = start()
    answers = [chat(server) for _ in range(15)]
    assert [answer.status for answer in answers] == [200] * 15
    assert "x-ratelimit-limit-requests" not in answers[0].headers


def test_the_rate_limit_by_the_variables_of_the_python_server(start):
    variables = {"MLX_RATE_LIMIT_ENABLED": "1", "MLX_RATE_LIMIT_RPM": "6", "MLX_RATE_LIMIT_BURST": "4"}
    server = start(env={**os.environ, **variables})
    answers = [chat(server) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 4 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 40  # four requests at six a minute
    assert server.get("/v1/models").status == 200  # only what makes work counts


def test_the_window_slides(start):
    server = start("--rate-limit-enabled", "--rate-limit-rpm", 60, "--rate-limit-burst", 1)
    assert chat(server).status == 200
    eventually(lambda: chat(server).status == 200, seconds=10, what="the window to slide on")


def test_what_is_refused_anyway_does_not_count(start):
    server = start("--rate-limit-enabled", "--rate-limit-rpm", 2)
    for _ in range(5):
        assert server.post(b"{}", headers={"Content-Type": "text/plain"}).status == 415
        assert server.post({}, path="/v1/nothing").status == 404
    assert chat(server).status == 200


def test_browsers_are_kept_out_unless_listed(start):
    origin = {"Origin": "https://app.example"}
    closed, opened = start(), start("--cors-origins", "https://app.example")
    preflight = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    path = "/v1/chat/completions"
    assert closed.request("OPTIONS", path, headers=preflight).status == 405
    assert "Access-Control-Allow-Origin" not in chat(closed, headers={**JSON, **origin}).headers
    answer = opened.request("OPTIONS", path, headers=preflight)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for stream in [False, True]:
        body = {"model": "fake", "messages": [user("say hi")], "stream": stream}
        answer = opened.post(body, headers={**JSON, **origin})
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    refused = opened.post({"model": "nobody", "messages": [user("hi")]}, headers={**JSON, **origin})
    assert refused.status == 404
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
    other = opened.request("OPTIONS", path, headers={**preflight, "Origin": "https://evil.example"})
    assert other.status == 405


def test_fields_of_one_answer_are_not_in_the_next(start):
    server = start("--cors-origins", "https://app.example")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    found = []
    for origin in [{"Origin": "https://app.example"}, {}]:
        connection.request("GET", "/v1/models", headers=origin)
        answer = connection.getresponse()
        answer.read()
        found.append(answer.headers["Access-Control-Allow-Origin"])
    assert found == ["https://app.example", None]
    connection.close()


def test_listed_hosts(start):
    server = start("--allowed-hosts", "vlm.example")
    assert server.get("/v1/models", headers={"Host": "vlm.example:99"}).status == 200
    assert server.get("/v1/models", headers={"Host": "evil.example"}).status == 403
    assert server.get("/v1/models").status == 200
