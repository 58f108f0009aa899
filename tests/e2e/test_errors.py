"""Every mistake a client can make gets its own answer, in OpenAI's shape, and leaves the server well."""

import base64
import json
import struct
import zlib

import pytest
from client import data_uri, image_part, png, text_part, user

HELLO = [user("say hello")]


def with_part(part):
    return {"messages": [user([text_part("look"), part])]}


def url(value):
    return with_part({"type": "image_url", "image_url": {"url": value}})


def oversized_png():
    """A sound header that promises 60000 x 60000 pixels."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
        + png(4, 4)[33:]
    )


IMAGE = "messages[0].content[1].image_url.url"

# name: (changes to a sound request, status, param, code, part of the message)
TABLE = {
    "unknown model": ({"model": "gpt-4"}, 404, "model", "model_not_found", "gpt-4"),
    "no model": ({"model": None}, 400, "model", "invalid_value", "missing"),
    "model is a number": ({"model": 4}, 400, "model", "invalid_value", "string"),
    "no messages": ({"messages": None}, 400, "messages", "invalid_value", "missing"),
    "empty messages": ({"messages": []}, 400, "messages", "invalid_value", "at least one"),
    "messages is a string": ({"messages": "hi"}, 400, "messages", "invalid_value", "array"),
    "message is a string": ({"messages": ["hi"]}, 400, "messages[0]", "invalid_value", "object"),
    "no role": ({"messages": [{"content": "x"}]}, 400, "messages[0].role", "invalid_value", "missing"),
    "unknown role": (
        {"messages": [{"role": "king", "content": "x"}]}, 400, "messages[0].role", "invalid_value", "role",
    ),
    "tool role": (
        {"messages": [*HELLO, {"role": "tool", "content": "x"}]}, 400, "messages[1].role",
        "unsupported_value", "not supported",
    ),
    "no content": ({"messages": [{"role": "user"}]}, 400, "messages[0].content", "invalid_value", "content"),
    "content is a number": ({"messages": [user(4)]}, 400, "messages[0].content", "invalid_value", "content"),
    "content is empty": ({"messages": [user([])]}, 400, "messages[0].content", "invalid_value", "empty"),
    "unknown field of a message": (
        {"messages": [{"role": "user", "content": "x", "mood": "good"}]}, 400, "messages[0].mood",
        "invalid_value", "mood",
    ),
    "tool calls": (
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, 400,
        "messages[0].tool_calls", "unsupported_value", "not supported",
    ),
    "part is a string": ({"messages": [user(["x"])]}, 400, "messages[0].content[0]", "invalid_value", "object"),
    "part without type": (
        {"messages": [user([{"text": "x"}])]}, 400, "messages[0].content[0].type", "invalid_value", "missing",
    ),
    "unknown part": (
        with_part({"type": "input_audio", "input_audio": {}}), 400, "messages[0].content[1].type",
        "unsupported_value", "input_audio",
    ),
    "text part without text": (
        {"messages": [user([{"type": "text"}])]}, 400, "messages[0].content[0].text", "invalid_value", "missing",
    ),
    "image of the assistant": (
        {"messages": [{"role": "assistant", "content": [image_part(png(9, 9))]}]}, 400,
        "messages[0].content[0].type", "invalid_value", "user",
    ),
    "image without url": (
        with_part({"type": "image_url", "image_url": {}}), 400, IMAGE, "invalid_value", "missing",
    ),
    "image_url missing": (
        with_part({"type": "image_url"}), 400, "messages[0].content[1].image_url", "invalid_value", "url",
    ),
    "unknown detail": (
        with_part({"type": "image_url", "image_url": {"url": data_uri(png(9, 9)), "detail": "ultra"}}), 400,
        "messages[0].content[1].image_url.detail", "invalid_value", "low, high or auto",
    ),
    "url of this machine": (url("http://127.0.0.1/a.png"), 400, IMAGE, "invalid_value", "public address"),
    "url of a strange port": (url("http://127.0.0.1:22/a.png"), 400, IMAGE, "invalid_value", "port"),
    "url without a host": (url("http:///a.png"), 400, IMAGE, "invalid_value", "host"),
    "url with a password": (url("http://a:b@example.org/a.png"), 400, IMAGE, "invalid_value", "password"),
    "url that is too long": (url("http://example.org/" + "a" * 9000), 400, IMAGE, "too_large", "8192"),
    "ftp url": (url("ftp://example.org/a.png"), 400, IMAGE, "invalid_value", "http"),
    "file url": (url("file:///etc/passwd"), 400, IMAGE, "invalid_value", "data URI"),
    "path": (url("/etc/passwd"), 400, IMAGE, "invalid_value", "data URI"),
    "data URI without comma": (url("data:image/png;base64"), 400, IMAGE, None, ""),
    "bad base64": (url("data:image/png;base64,@@@@"), 400, IMAGE, None, ""),
    "cut base64": (url("data:image/png;base64,AAAAA"), 400, IMAGE, None, ""),
    "empty image": (url("data:image/png;base64,"), 400, IMAGE, "invalid_value", "empty"),
    "not an image": (url(data_uri(b"hello, this is no image at all")), 400, IMAGE, None, ""),
    "tiff": (url(data_uri(b"II*\0" + bytes(60), "image/tiff")), 400, IMAGE, "unsupported_value", "tiff"),
    "broken image": (url(data_uri(png(64, 64)[:60])), 400, IMAGE, "invalid_value", ""),
    "garbage in the middle": (
        url(data_uri(png(64, 64)[:45] + b"\xff" * 40)), 400, IMAGE, "invalid_value", "",
    ),
    "huge image": (url(data_uri(oversized_png())), 400, IMAGE, "too_large", ""),
    "too many bytes": (url(data_uri(bytes(10000001))), 400, IMAGE, "too_large", ""),
    "201:1": (url(data_uri(png(4020, 20))), 400, IMAGE, "invalid_value", "200"),
    "too many images": (
        {"messages": [user([image_part(png(9, 9))] * 6)]}, 400, "messages[0].content[5]", "too_large", "5",
    ),
    "images for a blind model": (
        {"model": "blind", **with_part(image_part(png(9, 9)))}, 400, IMAGE, "unsupported_value", "blind",
    ),
    "temperature too high": ({"temperature": 2.1}, 400, "temperature", "invalid_value", "between 0 and 2"),
    "temperature negative": ({"temperature": -0.1}, 400, "temperature", "invalid_value", "between"),
    "temperature is a string": ({"temperature": "hot"}, 400, "temperature", "invalid_value", "number"),
    "top_p of 0": ({"top_p": 0}, 400, "top_p", "invalid_value", "greater than 0"),
    "top_p of 1.5": ({"top_p": 1.5}, 400, "top_p", "invalid_value", "between"),
    "top_k negative": ({"top_k": -1}, 400, "top_k", "invalid_value", "between"),
    "top_k with a fraction": ({"top_k": 1.5}, 400, "top_k", "invalid_value", "integer"),
    "min_p of 1": ({"min_p": 1}, 400, "min_p", "invalid_value", "less than 1"),
    "repetition_penalty of 0": ({"repetition_penalty": 0}, 400, "repetition_penalty", "invalid_value", "greater"),
    "presence_penalty of 3": ({"presence_penalty": 3}, 400, "presence_penalty", "invalid_value", "-2 and 2"),
    "frequency_penalty of -3": ({"frequency_penalty": -3}, 400, "frequency_penalty", "invalid_value", "-2"),
    "seed is a string": ({"seed": "x"}, 400, "seed", "invalid_value", "integer"),
    "max_tokens of 0": ({"max_tokens": 0}, 400, "max_tokens", "invalid_value", "between 1"),
    "max_tokens of 1e12": ({"max_tokens": 10**12}, 400, "max_tokens", "invalid_value", "between"),
    "two lengths": (
        {"max_tokens": 5, "max_completion_tokens": 6}, 400, "max_tokens", "invalid_value", "contradict",
    ),
    "stop is a number": ({"stop": 3}, 400, "stop", "invalid_value", "string"),
    "stop is empty": ({"stop": [""]}, 400, "stop", "invalid_value", "empty"),
    "17 stops": ({"stop": ["x"] * 17}, 400, "stop", "too_large", "16"),
    "stream is a string": ({"stream": "yes"}, 400, "stream", "invalid_value", "true or false"),
    "stream_options without stream": (
        {"stream_options": {"include_usage": True}}, 400, "stream_options", "invalid_value", "stream",
    ),
    "unknown stream option": (
        {"stream": True, "stream_options": {"fast": True}}, 400, "stream_options.fast", "invalid_value", "fast",
    ),
    "n of 2": ({"n": 2}, 400, "n", "unsupported_value", "n = 1"),
    "n of 0": ({"n": 0}, 400, "n", "invalid_value", "between"),
    "json mode": (
        {"response_format": {"type": "json_object"}}, 400, "response_format.type", "unsupported_value", "text",
    ),
    "logprobs": ({"logprobs": True}, 400, "logprobs", "unsupported_value", "logprobs"),
    "tools": ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_value", "tools"),
    "tool_choice": ({"tool_choice": "required"}, 400, "tool_choice", "unsupported_value", "tools"),
    "logit_bias": ({"logit_bias": {"5": 100}}, 400, "logit_bias", "unsupported_value", "logit_bias"),
    "modalities": ({"modalities": ["audio"]}, 400, "modalities", "unsupported_value", "modalities"),
    "unknown parameter": ({"wisdom": 11}, 400, "wisdom", "invalid_value", "wisdom"),
}


def check(answer, status, param, code, text):
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.error()
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert error["param"] == param, error
    if code is not None:
        assert error["code"] == code, error
    assert text in error["message"], error
    assert "0x" not in error["message"]


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("stream", [False, True])
def test_error(fake, name, stream):
    changes, status, param, code, text = TABLE[name]
    body = {"model": "fake", "messages": HELLO, **changes}
    body = {key: value for key, value in body.items() if value is not None}
    if stream and "stream" not in body and "stream_options" not in body:
        body["stream"] = True
    check(fake.post(body), status, param, code, text)


def test_still_well_after_all_that(fake):
    assert fake.chat("say fine").text() == "fine"
    assert fake.chat([image_part(png(56, 56)), text_part("images")]).status == 200
    assert fake.status()["decoders"]["restarts"] == 0
    assert [model["restarts"] for model in fake.status()["models"]] == [0, 0]


MALFORMED = {
    "empty": b"",
    "space": b" ",
    "no json": b"hello",
    "cut": b'{"model":"fake","messages":[{"role":"user"',
    "trailing": b'{"model":"fake","messages":[{"role":"user","content":"x"}]} x',
    "two values": b"{}{}",
    "duplicate key": b'{"model":"fake","model":"fake","messages":[{"role":"user","content":"x"}]}',
    "single quotes": b"{'model':'fake'}",
    "NaN": b'{"model":"fake","temperature":NaN,"messages":[{"role":"user","content":"x"}]}',
    "infinity": b'{"model":"fake","temperature":1e999,"messages":[{"role":"user","content":"x"}]}',
    "bad utf-8": b'{"model":"fake","messages":[{"role":"user","content":"\xff"}]}',
    "overlong utf-8": b'{"model":"fake","messages":[{"role":"user","content":"\xc0\x80"}]}',
    "lone surrogate": b'{"model":"fake","messages":[{"role":"user","content":"\\ud800"}]}',
    "array": b"[]",
    "string": b'"hello"',
    "null": b"null",
    "deep": b'{"model":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "byte order mark": b'\xef\xbb\xbf{"model":"fake","messages":[{"role":"user","content":"x"}]}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json(fake, name):
    answer = fake.post(MALFORMED[name])
    assert answer.status == 400, answer.body
    error = answer.error()
    assert error["type"] == "invalid_request_error" and error["param"] is None
    assert error["code"] in ("malformed", "invalid_value")


def test_no_body_is_called_empty(fake):
    assert fake.post(b"").error()["message"] == "body is empty"


@pytest.mark.parametrize("length", [30, 31, 62, 63, 95, 100, 299, 300, 319, 500])
def test_long_names_stay_utf_8(fake, length):
    name = "a" * (length % 2) + "\u00e9" * length
    part = {"type": name}
    for body in (
        {name: 1}, {"stream": True, "stream_options": {name: 1}}, {"model": name},
        {"messages": [{**user("x"), name: 1}]}, {"messages": [user([part])]},
        {"messages": [user([{**text_part("x"), name: 1}])]},
    ):
        answer = fake.post({"model": "fake", "messages": HELLO, **body})
        assert answer.status in (400, 404)
        assert "\u00e9\u00e9" in answer.error()["message"]  # json() decoded it strictly


def test_content_type(fake):
    body = json.dumps({"model": "fake", "messages": HELLO}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = fake.post(body, headers={"Content-Type": kind})
        assert answer.status == 415 and answer.error()["code"] == "unsupported_media_type"
    assert fake.post(body, headers={}).status == 415
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert fake.post(body, headers={"Content-Type": kind}).status == 200
    compressed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert fake.post(body, headers=compressed).status == 415


def test_paths_and_methods(fake):
    for path in ("/", "/v1", "/v1/chat/completions/", "/v1/chat/completionsx", "/v2/models", "/admin/status"):
        answer = fake.get(path)
        assert answer.status == 404 and answer.error()["code"] == "not_found", path
    answer = fake.get("/v1/chat/completions")
    assert answer.status == 405 and answer.headers["Allow"] == "POST"
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = fake.request(method, "/v1/models")
        assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD", method


def test_hosts_on_loopback(fake):
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:11440", "[::1]", "[::1]:1"):
        assert fake.get("/health", headers={"Host": host}).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "10.0.0.1"):
        answer = fake.get("/health", headers={"Host": host})
        assert answer.status == 403 and answer.error()["code"] == "host_not_allowed", host


def test_body_too_large(fake):
    answer = fake.raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer


def test_five_images_of_ten_megabytes_fit(fake):
    noise = bytes(range(256)) * (9_900_000 // 256)
    image = b"\x89PNG\r\n\x1a\n" + noise
    uri = "data:image/png;base64," + base64.b64encode(image).decode()
    part = {"type": "image_url", "image_url": {"url": uri}}
    answer = fake.chat([part] * 5)
    assert answer.status == 400  # read whole, judged as images
    assert answer.error()["param"].startswith("messages[0].content[")


@pytest.mark.parametrize(
    "name, status, code",
    [("invalid", 400, "invalid_value"), ("too_large", 400, "too_large"), ("internal", 500, "internal_error")],
)
def test_errors_of_the_worker(fake, name, status, code):
    for stream in (False, True):
        check(fake.chat(f"error {name}", stream=stream), status, "messages", code, "by order")
