"""Images from the request to their receipt: sizes and limits that users set, what is reported, estimates, boxes."""

import json

from client import Server, data_uri, image_part, parse_events, png, text_part, user


def part(image, **wishes):
    return {"type": "image_url", "image_url": {"url": data_uri(image), **wishes}}


def receipts(answer):
    assert answer.status == 200, answer.body
    return answer.json()["vlmd"]["images"]


def warnings(answer):
    return [warning["code"] for warning in answer.json()["vlmd"]["warnings"]]


def estimate(server, content, **parameters):
    messages = [user(content)]
    return server.post(
        {"model": server.model, "messages": messages, **parameters}, path="/v1/estimate"
    )


def test_receipt(fake):
    answer = fake.chat([image_part(png(300, 200)), text_part("images")])
    (receipt,) = receipts(answer)
    assert receipt["param"] == "messages[0].content[0].image_url.url"
    assert receipt["format"] == "png"
    assert receipt["original"] == {"width": 300, "height": 200}
    assert receipt["processed"] == {"width": 308, "height": 196}
    assert receipt["scale"] == {"x": 1.026667, "y": 0.98}
    assert receipt["tokens"] == 11 * 7
    assert receipt["limited_by"] is None and receipt["changes"] == []
    assert len(receipt["sha256"]) == 64 and receipt["cached"] is False
    assert warnings(answer) == []
    assert answer.text().startswith("308x196/300x200:")


def test_no_receipt_without_images(fake):
    assert "vlmd" not in fake.chat("say hello").json()


def test_receipt_of_a_stream(fake):
    body = {
        "model": fake.model,
        "messages": [user([image_part(png(3000, 2000)), text_part("say hello")])],
        "stream": True,
    }
    answer = fake.post(body)
    assert answer.headers["X-Vlmd-Images"].startswith("3000x2000;to=1204x812;tokens=1247;hash=")
    assert answer.headers["X-Vlmd-Warnings"] == "image_downscaled"
    events = parse_events(answer.body)
    (receipt,) = events[0]["vlmd"]["images"]
    assert receipt["tokens"] == 1247 and receipt["limited_by"] == "model"
    assert all("vlmd" not in event for event in events[1:-1])


def test_pixel_bounds(fake):
    big = png(2000, 1000)
    for wishes in (
        {"max_pixels": 100000},
        {"mm_processor_kwargs": {"max_pixels": 100000}},
        {"mm_processor_kwargs": {"size": {"shortest_edge": 3136, "longest_edge": 100000}}},
    ):
        answer = fake.chat([image_part(big), text_part("hi")], **wishes)
        (receipt,) = receipts(answer)
        assert receipt["processed"] == {"width": 420, "height": 196}
        assert receipt["limited_by"] == "request"
        assert warnings(answer) == ["image_downscaled"]
    answer = fake.chat([part(big, max_pixels=50000), part(big), text_part("hi")])
    assert [r["limited_by"] for r in receipts(answer)] == ["request", "model"]
    (receipt,) = receipts(fake.chat([part(png(50, 50), min_pixels=100000), text_part("hi")]))
    assert receipt["processed"] == {"width": 336, "height": 336} and receipt["limited_by"] is None


def test_detail(fake):
    big = png(2000, 1000)
    for detail, limit in (("low", "detail"), ("high", "model"), ("auto", "model")):
        (receipt,) = receipts(fake.chat([part(big, detail=detail), text_part("hi")]))
        assert receipt["limited_by"] == limit
        size = receipt["processed"]
        assert size["width"] * size["height"] <= (262144 if detail == "low" else 1003520)


def test_many_images_share_the_memory(fake):
    answer = fake.chat([image_part(png(1000, 900))] * 5 + [text_part("hi")])
    for receipt in receipts(answer):
        assert receipt["limited_by"] == "memory" and receipt["tokens"] <= 614
    assert warnings(answer) == ["image_downscaled"] * 5


def test_small_images_leave_room_for_large_ones(fake):
    """Three quarters of 4096 tokens: 3072, of which the large ones get what the small ones do not want."""
    small, large = png(140, 140), png(1000, 900)
    answer = fake.chat([image_part(i) for i in (small, large, small, large, large)] + [text_part("hi")])
    tokens = [receipt["tokens"] for receipt in receipts(answer)]
    assert tokens[0] == tokens[2] == 25
    assert [r["limited_by"] for r in receipts(answer)] == [None, "memory", None, "memory", "memory"]
    assert all(900 < t <= (3072 - 50) // 3 for t in (tokens[1], tokens[3], tokens[4]))
    assert warnings(answer) == ["image_downscaled"] * 3
    told = estimate(fake, [image_part(i) for i in (small, large, small, large, large)] + [text_part("hi")])
    assert [receipt["tokens"] for receipt in receipts(told)] == tokens
    fits = fake.chat([image_part(i) for i in (small, large, small, large, small)] + [text_part("hi")])
    assert [r["limited_by"] for r in receipts(fits)] == [None] * 5


def test_every_image_of_many_is_checked(fake):
    """Also where headers are read first."""
    good, broken = png(1000, 900), png(1000, 900)[:-20]
    for bad in (broken, b"no image", png(1000, 900)[:20]):
        answer = fake.chat([image_part(i) for i in (good, good, good, bad)] + [text_part("hi")])
        assert answer.status == 400, answer.body
        assert answer.error()["param"] == "messages[0].content[3].image_url.url"


def test_limits(fake, start):
    small = png(20, 20)
    answer = fake.chat([image_part(small)] * 6 + [text_part("hi")])
    assert (answer.status, answer.error()["code"]) == (400, "too_large")
    server = start("--max-images", 2, "--max-image-side", 64, "--max-image-pixels", 2000,
                   "--max-image-bytes", 300, "--vision-max-dimension", 50)
    assert server.chat([image_part(small)] * 2 + [text_part("hi")]).status == 200
    for images in ([small] * 3, [png(65, 1)], [png(64, 64)], [png(30, 30) + b"x" * 300]):
        answer = server.chat([image_part(image) for image in images] + [text_part("hi")])
        assert (answer.status, answer.error()["code"]) == (400, "too_large"), answer.body
    answer = server.chat([image_part(png(60, 30)), text_part("hi")])
    assert receipts(answer)[0]["limited_by"] == "server"
    assert warnings(answer) == ["image_downscaled"]


def test_max_tokens_that_do_not_fit(fake):
    answer = fake.chat("say hello", max_tokens=5000)
    assert warnings(answer) == ["max_tokens_reduced"]
    assert "vlmd" not in fake.chat("say hello", max_tokens=4000).json()


BOXES = 'say [{"bbox_2d": [10, 20, 616, 392], "label": "a"}, {"point_2d": [308, 196]}]'


def test_boxes_of_the_original(fake):
    image = part(png(1000, 600), max_pixels=242000)
    content = [image, text_part(BOXES)]
    assert fake.chat(content).text() == BOXES[4:]
    (receipt,) = receipts(fake.chat(content, coordinates="original"))
    assert receipt["processed"] == {"width": 616, "height": 364}
    text = fake.chat(content, coordinates="original").text()
    assert json.loads(text)[0]["bbox_2d"] == [16, 33, 1000, 600]
    assert json.loads(text)[1]["point_2d"] == [500, 323]
    events = fake.stream(content, coordinates="original")
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]) == text
    twice = [part(png(30, 30)), image, text_part(BOXES)]
    assert fake.chat(twice, coordinates="original").status == 400
    assert fake.chat(twice, coordinates="original", coordinates_image=1).text() == text


def test_estimate(fake):
    answer = estimate(fake, [image_part(png(3000, 2000)), text_part("hi")])
    assert answer.status == 200, answer.body
    told = answer.json()
    (receipt,) = told["vlmd"]["images"]
    assert receipt["tokens"] == told["image_tokens"] == 1247 and "sha256" not in receipt
    assert told["admitted"] is True and told["reason"] is None
    assert told["vlmd"]["warnings"][0]["code"] == "image_downscaled"
    told = estimate(fake, "x" * 5000).json()
    assert told["admitted"] is False and "4096" in told["reason"]


def test_estimate_reads_headers_only(fake):
    broken = png(400, 300)[:60]  # a header and nothing more
    assert fake.chat([image_part(broken), text_part("hi")]).status == 400
    (receipt,) = estimate(fake, [image_part(broken), text_part("hi")]).json()["vlmd"]["images"]
    assert receipt["original"] == {"width": 400, "height": 300}


def test_estimate_refuses_what_chat_refuses(fake):
    for content, parameters in (
        ([part(b"no image"), text_part("hi")], {}),
        ("hi", {"unknown": 1}),
        ("hi", {"n": 2}),
        ([image_part(png(2, 2))] * 6, {}),
    ):
        told = estimate(fake, content, **parameters)
        asked = fake.chat(content, **parameters)
        assert told.status == asked.status == 400
        assert told.error() == asked.error()


def test_estimate_agrees_with_the_answer(real):
    content = [image_part(png(500, 300)), text_part("What colour is this?")]
    told = estimate(real, content, max_tokens=4).json()
    answer = real.chat(content, max_tokens=4, temperature=0)
    assert told["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"]
    assert told["image_tokens"] == receipts(answer)[0]["tokens"]
    assert told["max_completion_tokens"] == 4
    memory = told["memory"]
    assert memory["weight_bytes"] > 0 and memory["kv_bytes"] > memory["kv_request_bytes"] > 0
    assert memory["vision_bytes"] > 500 * 300 * 3
    held = ("weight_bytes", "kv_bytes", "work_bytes", "image_cache_bytes")
    assert memory["peak_bytes"] == sum(memory[name] for name in (*held, "vision_bytes"))
    # What the model was given has room for them and for an image in the vision tower.
    granted = real.status()["models"][0]["memory_bytes"]
    assert granted > sum(memory[name] for name in held) and memory["work_bytes"] > 0


def test_the_memory_budget_limits_images(model_path):
    """With room for little more than what is always held, an image may be a little larger than the least."""

    def tokens_within(*options):
        server = Server(*options, "--image-cache", 0, models=[model_path], fake=False)
        content = [image_part(png(3000, 2000)), text_part("hi")]
        (receipt,) = receipts(estimate(server, content, max_pixels=6_000_000))
        held = server.status()["models"][0]["memory_bytes"]
        assert server.stop() == 0
        return receipt, held

    roomy, held = tokens_within()
    seen = [tokens_within("--memory-budget", held + more)[0] for more in (0, 20_000_000, 40_000_000)]
    assert {receipt["limited_by"] for receipt in seen} == {"memory"}
    tokens = [receipt["tokens"] for receipt in seen]
    assert 250 < tokens[0] < tokens[1] < tokens[2] < roomy["tokens"]
