"""What a well-behaved client gets, with the fake worker."""

import concurrent.futures
import http.client
import json
import re

from client import image_part, png, streamed_text, text_part, user


def test_plain_answer(fake):
    answer = fake.chat("say Hello there, friend")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["X-Request-Id"])
    body = answer.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "fake"
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body["id"])
    assert isinstance(body["created"], int)
    choice, = body["choices"]
    assert choice["index"] == 0 and choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == "Hello there, friend"
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def test_stream(fake):
    events = fake.stream("say Hello there, friend")
    assert events[-1] == "[DONE]"
    chunks = events[:-1]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert streamed_text(events) == "Hello there, friend"
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["choices"][0]["delta"] == {"content": ""}
    assert all("usage" not in chunk for chunk in chunks)


def test_stream_with_usage(fake):
    events = fake.stream("say a b", stream_options={"include_usage": True})
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert all(event["usage"] is None for event in events[:-2])


def test_stream_on_http_1_0_ends_with_the_connection(fake):
    body = b'{"model":"fake","messages":[{"role":"user","content":"say hi"}],"stream":true}'
    answer = fake.raw(
        b"POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    head, text = answer.split(b"\r\n\r\n", 1)
    assert b"Transfer-Encoding" not in head and b"Connection: close" in head
    assert text.endswith(b"data: [DONE]\n\n")


def test_unicode_and_escapes(fake):
    text = 'say "quoted" \\ back\nline\ttab \u00fc \u65e5\u672c \U0001f600 \u007f end'
    assert fake.chat(text).text() == text[4:]
    assert streamed_text(fake.stream(text)) == text[4:]


def test_sampling_arrives(fake):
    answer = fake.chat(
        "sampling", temperature=0.5, top_p=0.25, top_k=40, min_p=0.125, repetition_penalty=1.5,
        presence_penalty=-2, frequency_penalty=2, seed=-3, max_tokens=99, stop=["a", "b"],
    )
    assert answer.text() == (
        "temperature=0.5 top_p=0.25 top_k=40 min_p=0.125 repetition=1.5 presence=-2 frequency=2 "
        "seed=-3 max_tokens=99 stops=2"
    )


def test_sampling_defaults(fake):
    text = fake.chat("sampling", stop="x", temperature=None, max_tokens=None).text()
    assert text.startswith("temperature=1 top_p=1 top_k=0 min_p=0 repetition=1 presence=0 frequency=0")
    assert text.endswith("max_tokens=0 stops=1")
    seeds = {fake.chat("sampling").text().split("seed=")[1] for _ in range(4)}
    assert len(seeds) == 4


def test_max_completion_tokens(fake):
    answer = fake.chat("count 50 0", max_completion_tokens=3)
    assert answer.text() == "0 1 2 "


def test_harmless_parameters_are_accepted(fake):
    answer = fake.chat(
        "say ok", user="me", metadata={"a": "b"}, store=False, n=1, logprobs=False, tools=[],
        tool_choice="none", response_format={"type": "text"}, service_tier="auto", logit_bias={},
        parallel_tool_calls=True, stream=False, top_logprobs=0, functions=None,
        function_call="none", modalities=["text"],
    )
    assert answer.text() == "ok"


def test_messages_arrive_in_their_order(fake):
    messages = [
        {"role": "system", "content": "be brief"},
        user([text_part("first"), image_part(png(56, 56)), text_part("then")]),
        {"role": "assistant", "content": "fine"},
        user([image_part(png(56, 56)), image_part(png(56, 56)), text_part("echo")]),
    ]
    seen = json.loads(fake.chat(None, messages=messages).text())
    assert seen == [
        {"role": "system", "content": "be brief"},
        user([text_part("first"), {"type": "image"}, text_part("then")]),
        {"role": "assistant", "content": "fine"},
        user([{"type": "image"}, {"type": "image"}, text_part("echo")]),
    ]


def test_developer_is_system(fake):
    messages = [{"role": "developer", "content": "x"}, user("echo")]
    assert json.loads(fake.chat(None, messages=messages).text())[0]["role"] == "system"


def test_images_are_decoded_and_resized(fake):
    parts = [
        image_part(png(100, 60, (255, 0, 0))),
        image_part(png(1, 1, (0, 255, 0))),
        text_part("images"),
    ]
    assert fake.chat(parts).text().split() == ["112x56/100x60:ff0000", "56x56/1x1:00ff00"]
    large = [image_part(png(3000, 2000, (0, 0, 255))), text_part("images")]
    assert fake.chat(large).text().split() == ["1204x812/3000x2000:0000ff"]


def test_low_detail_is_smaller(fake):
    part = image_part(png(2000, 2000))
    part["image_url"]["detail"] = "low"
    assert fake.chat([part, text_part("images")]).text().startswith("504x504/2000x2000")


def test_sixteen_at_once(fake):
    def one(i):
        image = png(40 + i, 70, (i, 2 * i, 3 * i))
        return fake.chat([image_part(image), text_part("images")]).text()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(64)))
    for i, answer in enumerate(answers):
        assert answer.strip().endswith(f"/{40 + i}x70:{i:02x}{2 * i:02x}{3 * i:02x}")


def test_streams_do_not_mix(fake):
    def one(i):
        return streamed_text(fake.stream(f"count {20 + i} 1"))

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i, text in enumerate(pool.map(one, range(16))):
            assert text == "".join(f"{k} " for k in range(20 + i))


def test_keep_alive(fake):
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    ids = set()
    for i in range(20):
        body = json.dumps({"model": "fake", "messages": [user(f"say {i}")], "stream": i % 2 == 1})
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        ids.add(answer.headers["X-Request-Id"])
        assert f'"content":"{i}"' in answer.read().decode()
    assert len(ids) == 20
    connection.close()


def test_pipelined_requests_are_answered_in_order(fake):
    one = b"GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = json.dumps({"model": "fake", "messages": [user("say slow")]}).encode()
    chat = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    answer = fake.raw(one % b"fake" + chat + one % b"nosuch" + one % b"blind", seconds=1)
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answer)
    assert statuses == [b"200", b"200", b"404", b"200"]
    assert answer.index(b'"slow"') < answer.index(b"model_not_found")


def test_expect_continue(fake):
    body = json.dumps({"model": "fake", "messages": [user("say hi")]}).encode()
    answer = fake.raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_chunked_body(fake):
    body = json.dumps({"model": "fake", "messages": [user("say chunked")]}).encode()
    chunks = b"".join(b"1;ext=1\r\n%c\r\n" % byte for byte in body)
    answer = fake.raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )
    assert b'"content":"chunked"' in answer


def test_models(fake):
    listed = fake.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]][:2] == ["fake", "blind"]
    assert all(model["object"] == "model" for model in listed["data"])
    assert fake.get("/v1/models/fake").json() == listed["data"][0]
    assert fake.get("/v1/models/f%61ke").json() == listed["data"][0]
    missing = fake.get("/v1/models/nosuch")
    assert missing.status == 404 and missing.error()["code"] == "model_not_found"


def test_health(fake):
    health = fake.get("/health").json()
    assert health["status"] == "ok" and health["healthy"] is True
    assert health["models"] == {"fake": "ready", "blind": "ready"}
    assert fake.get("/admin/health", port=fake.admin_port).status == 200
    head = fake.request("HEAD", "/health")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 0


def test_admin_status(fake):
    status = fake.status()
    assert status["decoders"]["sandboxed"] is True
    assert [model["state"] for model in status["models"]] == ["ready", "ready"]
    assert status["models"][0]["vision"] is True and status["models"][1]["vision"] is False
