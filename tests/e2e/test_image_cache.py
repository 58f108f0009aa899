"""Images that the model keeps: found again by the same user alone, without a change to any answer, within their bytes."""

import pytest
from client import Server, data_uri, image_part, parse_events, png, text_part, user
from prometheus import Page

QUESTION = text_part("What do you see?")


@pytest.fixture
def serve(model_path):
    servers = []

    def begin(*options):
        servers.append(Server(*options, models=[model_path], fake=False))
        return servers[-1]

    yield begin
    for server in servers:
        assert server.stop() == 0


def look(server, *images, key=None, **parameters):
    content = [image_part(image) for image in images] + [QUESTION]
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    body = {"model": server.model, "messages": [user(content)], "max_tokens": 24,
            "temperature": 1, "seed": 5, **parameters}
    answer = server.post(body, headers=headers)
    assert answer.status == 200, answer.body
    return answer


def cached(answer):
    return [receipt["cached"] for receipt in answer.json()["vlmd"]["images"]]


def counts(server, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    page = Page(server.get("/metrics", headers=headers).body.decode())
    names = ("hits_total", "misses_total", "evictions_total")
    return tuple(page.value(f"vlmd_image_cache_{name}") for name in names)


def test_the_same_picture_is_not_looked_at_twice(serve):
    with_cache, without = serve(), serve("--image-cache", 0)
    red, blue = png(300, 200), png(300, 200, (0, 0, 255))
    for images, found in (
        ([red], [False]), ([red], [True]), ([blue, red], [False, True]), ([blue, blue], [True, True]),
        ([png(200, 300)], [False]), ([png(200, 300), red, png(30, 40)], [True, True, False]),
    ):
        first, second = look(with_cache, *images), look(without, *images)
        assert cached(first) == found
        assert cached(second) == [False] * len(images)
        assert first.text() == second.text()
        assert first.json()["usage"] == second.json()["usage"]
    assert counts(with_cache) == (6, 4, 0)
    assert counts(without) == (0, 0, 0)
    (model,) = with_cache.status()["models"]
    kept = model["image_cache"]
    assert (kept["images"], kept["hits"], kept["misses"]) == (4, 6, 4) and kept["bytes"] > 0
    page = Page(with_cache.get("/metrics").body.decode())
    assert page.value("vlmd_image_cache_bytes", model=with_cache.model) == kept["bytes"]
    assert without.status()["models"][0]["image_cache"]["bytes"] == 0


def test_a_stream_says_it_in_its_head(serve):
    server = serve()
    for found in (False, True):
        answer = look(server, png(60, 60), stream=True)
        assert answer.headers["X-Vlmd-Images"].endswith(f";cached={int(found)}")
        assert parse_events(answer.body)[0]["vlmd"]["images"][0]["cached"] is found


def test_nobody_finds_what_another_key_sent(serve, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("[key alice]\nsecret = alices-secret\n[key bob]\nsecret = bobs-secret\n")
    keys.chmod(0o600)
    server = serve("--key-file", keys)
    picture = png(80, 80)
    assert cached(look(server, picture, key="alices-secret")) == [False]
    assert cached(look(server, picture, key="bobs-secret")) == [False]
    assert cached(look(server, picture, key="alices-secret")) == [True]
    assert cached(look(server, picture, key="bobs-secret")) == [True]


def test_old_images_make_room(serve):
    probe = serve()
    look(probe, png(300, 200))
    one = probe.status()["models"][0]["image_cache"]["bytes"]
    server = serve("--image-cache", 2 * one + 1)
    pictures = [png(300, 200, (i, 0, 0)) for i in range(3)]
    for picture in pictures:
        assert cached(look(server, picture)) == [False]
    assert cached(look(server, pictures[2], pictures[1])) == [True, True]
    assert cached(look(server, pictures[0])) == [False]
    assert counts(server) == (2, 4, 2)
    kept = server.status()["models"][0]["image_cache"]
    assert kept["bytes"] == 2 * one and kept["images"] == 2


def test_what_is_kept_is_counted_in_the_budget(serve):
    grants = [server.status()["models"][0]["memory_bytes"]
              for server in (serve("--image-cache", "3m"), serve("--image-cache", 0))]
    assert grants[0] - grants[1] == 3 << 20
