"""The real `openai` client from PyPI against both workers. Skipped, and said so, where it is not installed."""

import pytest
from client import data_uri, png

openai = pytest.importorskip("openai", reason="SKIPPED: the openai client (PyPI) is not installed")

SEEN = [
    {"type": "text", "text": "What is in the picture?"},
    {"type": "image_url", "image_url": {"url": data_uri(png(100, 80)), "detail": "high"}},
]


def client_of(server):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


@pytest.fixture
def client(fake):
    return client_of(fake)


def ask(client, content, **more):
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model="fake", messages=messages, **more)


def test_models(client):
    assert [model.id for model in client.models.list()][:2] == ["fake", "blind"]
    assert client.models.retrieve("fake").id == "fake"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nosuch")


def test_plain(client):
    answer = ask(client, "say hello there")
    assert answer.choices[0].message.content == "hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream(client):
    chunks = list(ask(client, "say hello there", stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 2


def test_text_completions(client):
    answer = client.completions.create(model="fake", prompt=["say hello there", "say x"])
    assert [choice.text for choice in answer.choices] == ["hello there", "x"]
    assert answer.choices[0].finish_reason == "stop" and answer.usage.prompt_tokens == 14
    chunks = list(client.completions.create(model="fake", prompt="say hello there", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "hello there"
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="fake", prompt="a", suffix="b")
    assert caught.value.param == "suffix"


def test_extra_body(client):
    answer = ask(client, "sampling", temperature=0.5, extra_body={"top_k": 5, "min_p": 0.25})
    assert "temperature=0.5" in answer.choices[0].message.content
    assert "top_k=5 min_p=0.25" in answer.choices[0].message.content


def test_errors(client):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "say x", temperature=5)
    assert caught.value.param == "temperature" and caught.value.code == "invalid_value"
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        ask(client, [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])
    with pytest.raises(openai.InternalServerError):
        ask(client, "error internal")


def test_an_error_in_the_stream(start):
    server = start()
    with pytest.raises(openai.APIError):
        for _ in ask(client_of(server), "die-after 3", stream=True):
            pass


def test_a_closed_stream_stops_the_work(fake, client):
    with ask(client, "count 100000 5", stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    from client import eventually

    eventually(lambda: fake.status()["requests"] == 0)


def test_real_model(real):
    client = client_of(real)
    messages = [{"role": "user", "content": SEEN}]
    answer = client.chat.completions.create(model=real.model, messages=messages, max_tokens=8, temperature=0)
    assert answer.usage.prompt_tokens > 12
    chunks = client.chat.completions.create(
        model=real.model, messages=messages, max_tokens=8, temperature=0, stream=True
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == answer.choices[0].message.content
