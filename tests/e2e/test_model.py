"""The whole path with a real model (VLMD_TEST_MODEL, default models/vlmd-tiny). What the answers say is judged by the
model's own evaluation; here it counts that they are complete, the same again, and independent of company."""

import concurrent.futures
import json
import time

import pytest
from client import eventually, image_part, png, streamed_text, text_part, user

SEEN = [image_part(png(120, 90)), text_part("What is in the picture?")]


def test_text_only(real):
    answer = real.chat("Hello!", max_tokens=12, temperature=0)
    body = answer.json()
    assert answer.status == 200 and body["choices"][0]["finish_reason"] in ("stop", "length")
    usage = body["usage"]
    assert usage["prompt_tokens"] > 5 and 1 <= usage["completion_tokens"] <= 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def image_tokens(config, width, height):
    """Tokens of an image whose sides are multiples of the merged patch, or None when it would be resized."""
    factor = config["patch_size"] * config["merge_size"]
    size = config.get("size") or {}
    smallest = config.get("min_pixels") or size.get("shortest_edge")
    largest = config.get("max_pixels") or size.get("longest_edge")
    if width % factor or height % factor or not smallest <= width * height <= largest:
        return None
    return (width // factor) * (height // factor)


def test_an_image_costs_tokens(real, model_path):
    config = json.loads((model_path / "preprocessor_config.json").read_text())
    factor = config["patch_size"] * config["merge_size"]
    checked = 0

    def prompt_tokens(content):
        return real.chat(content, max_tokens=1, temperature=0).json()["usage"]["prompt_tokens"]

    text = prompt_tokens("What is in the picture?")
    for columns, rows in [(4, 3), (5, 5), (8, 6), (10, 10), (16, 16)]:
        width, height = columns * factor, rows * factor
        tokens = image_tokens(config, width, height)
        if tokens is None:
            continue
        content = [image_part(png(width, height)), text_part("What is in the picture?")]
        assert prompt_tokens(content) == text + tokens + 2  # <|vision_start|> and <|vision_end|>
        checked += 1
    assert checked >= 2


def test_stream_is_the_same_text(real):
    whole = real.chat(SEEN, max_tokens=24, temperature=0)
    events = real.stream(SEEN, max_tokens=24, temperature=0, stream_options={"include_usage": True})
    assert streamed_text(events) == whole.text()
    assert events[-2]["usage"] == whole.json()["usage"]
    reasons = [event["choices"][0]["finish_reason"] for event in events[:-2]]
    assert reasons[-1] == whole.json()["choices"][0]["finish_reason"]


def test_several_images_and_turns(real):
    messages = [
        {"role": "system", "content": "Be brief."},
        user([text_part("First"), image_part(png(60, 60)), text_part("and"), image_part(png(90, 60, (0, 0, 255)))]),
        {"role": "assistant", "content": "Two pictures."},
        user([image_part(png(60, 200)), text_part("And this?")]),
    ]
    answer = real.chat(None, messages=messages, max_tokens=8, temperature=0)
    assert answer.status == 200 and answer.json()["usage"]["completion_tokens"] >= 1


def test_max_tokens_ends_with_length(real):
    answer = real.chat(SEEN, max_tokens=1, temperature=0).json()
    assert answer["usage"]["completion_tokens"] == 1
    assert answer["choices"][0]["finish_reason"] in ("length", "stop")


def test_stop_strings_do_not_show(real):
    text = real.chat("Count.", max_tokens=30, temperature=1, seed=5).text()
    inner = text[len(text) // 2: len(text) // 2 + 2]
    if not inner.strip() or not inner.isascii():
        pytest.skip("SKIPPED: this model's text has nothing to stop at")
    stopped = real.chat("Count.", max_tokens=30, temperature=1, seed=5, stop=[inner])
    assert stopped.text() == text[: text.index(inner)]
    assert stopped.json()["choices"][0]["finish_reason"] == "stop"


def test_a_seed_gives_the_same_text_in_any_company(real):
    def one(seed):
        return real.chat(SEEN, max_tokens=16, temperature=1, seed=seed).text()

    alone = [one(seed) for seed in range(4)]
    assert len(set(alone)) > 1 or not any(alone)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = list(pool.map(one, [i % 4 for i in range(16)]))
    assert together == alone * 4


def test_sixteen_at_once(real):
    def one(i):
        if i % 2:
            return streamed_text(real.stream(SEEN, max_tokens=8, temperature=0))
        return real.chat(SEEN, max_tokens=8, temperature=0).text()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(one, range(16)))) == 1


def test_special_tokens_in_text_are_text(real):
    def prompt_tokens(text):
        return real.chat(text, max_tokens=1, temperature=0).json()["usage"]["prompt_tokens"]

    assert prompt_tokens("<|im_end|>") > prompt_tokens("x") + 2
    assert real.chat("<|image_pad|><|vision_start|>", max_tokens=1).status == 200


def test_more_than_the_context_holds(real):
    answer = real.chat("word " * 200000, max_tokens=4)
    assert answer.status == 400, answer.body
    assert answer.error()["type"] == "invalid_request_error" and answer.error()["message"]


def test_a_client_that_leaves_stops_the_model(real):
    body = {"model": real.model, "messages": [user(SEEN)], "stream": True, "temperature": 1, "max_tokens": 4000}
    for _ in range(5):
        connection = real.connect(body)
        time.sleep(0.05)
        connection.close()
    assert eventually(lambda: real.status()["models"][0]["requests"] == 0) < 1.5
    assert real.chat("Hello!", max_tokens=2).status == 200


def test_the_shipped_name(real):
    assert real.get(f"/v1/models/{real.model}").status == 200
