"""POST /v1/completions: prompts without a chat template, with the fake worker and the real one."""

import re

import pytest
from client import eventually, parse_events


def complete(server, prompt, **parameters):
    return server.post({"model": server.model, "prompt": prompt, **parameters}, path="/v1/completions")


def stream(server, prompt, **parameters):
    answer = complete(server, prompt, stream=True, **parameters)
    assert answer.status == 200, answer.body
    return parse_events(answer.body)


def texts(answer):
    assert answer.status == 200, answer.body
    return [choice["text"] for choice in answer.json()["choices"]]


def streamed(events, index=0):
    return "".join(
        choice["text"] for event in events if event != "[DONE]" for choice in event["choices"] if choice["index"] == index
    )


def test_plain_answer(fake):
    answer = complete(fake, "say Hello there, friend")
    body = answer.json()
    assert body["object"] == "text_completion" and body["model"] == "fake"
    assert re.fullmatch(r"cmpl-[0-9a-f]{24}", body["id"])
    assert body["choices"] == [
        {"index": 0, "text": "Hello there, friend", "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def test_stream(fake):
    events = stream(fake, "say Hello there, friend")
    assert events[-1] == "[DONE]"
    assert {event["object"] for event in events[:-1]} == {"text_completion"}
    assert streamed(events) == "Hello there, friend"
    reasons = [event["choices"][0]["finish_reason"] for event in events[:-1]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert all("usage" not in event for event in events[:-1])


def test_stream_with_usage(fake):
    events = stream(fake, ["say a b", "say c"], stream_options={"include_usage": True})
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}
    assert all(event["usage"] is None for event in events[:-2])


def test_several_prompts(fake):
    assert texts(complete(fake, ["say a", "say b c", "say d"])) == ["a", "b c", "d"]
    events = stream(fake, ["say a", "say b c"])
    assert [streamed(events, index) for index in (0, 1)] == ["a", "b c"]
    assert sum(event["choices"][0]["finish_reason"] == "stop" for event in events[:-1]) == 2


def test_several_answers(fake):
    answer = complete(fake, ["say a", "say b"], n=2, best_of=2)
    assert texts(answer) == ["a", "a", "b", "b"]
    assert answer.json()["usage"]["prompt_tokens"] == 14, "a prompt is counted once, however many answers it has"
    seeds = [re.search(r"seed=(-?\d+)", text).group(1) for text in texts(complete(fake, ["sampling"] * 2, n=2, seed=5))]
    assert seeds == ["5", "6", "5", "6"]


def test_token_ids(fake):
    assert texts(complete(fake, [1, 2, 3])) == ["ids 3"]
    assert texts(complete(fake, [[1, 2], [3], [4, 5, 6]])) == ["ids 2", "ids 1", "ids 3"]


def test_echo(fake):
    assert texts(complete(fake, "say a b", echo=True)) == ["say a ba b"]
    assert streamed(stream(fake, "say a b", echo=True)) == "say a ba b"


def test_sampling_arrives(fake):
    (text,) = texts(complete(fake, "sampling", temperature=0.5, top_p=0.25, top_k=40, seed=-3, max_tokens=99, stop="x"))
    assert text == (
        "temperature=0.5 top_p=0.25 top_k=40 min_p=0 repetition=1 presence=0 frequency=0 seed=-3 max_tokens=99 stops=1"
    )
    assert "max_tokens=16 " in texts(complete(fake, "sampling"))[0], "OpenAI's default"


@pytest.mark.parametrize(
    "parameters, field",
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1, 2.5]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a", [1]] + [None]}, "prompt[2]"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "tail"}, "suffix"),
        ({"logprobs": 0}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"echo": 1}, "echo"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_refused(fake, parameters, field):
    answer = complete(fake, parameters.pop("prompt", "say a") if "prompt" in parameters else "say a", **parameters)
    assert answer.status == 400, answer.body
    assert answer.error()["param"] == field


def test_errors_of_the_worker(fake):
    assert complete(fake, ["say a", "error too_large"]).status == 400
    assert complete(fake, "error internal").status == 500
    missing = fake.post({"model": "nosuch", "prompt": "a"}, path="/v1/completions")
    assert missing.status == 404 and missing.error()["code"] == "model_not_found"


def test_all_begin_again_when_the_worker_dies(start):
    server = start(names=("twice",))
    assert texts(complete(server, ["say a", "die-once b"])) == ["a", "b"]


def test_an_error_in_the_stream(start):
    server = start()
    events = stream(server, ["say a", "die-after 3"])
    assert "[DONE]" not in events and events[-1]["error"]["code"] == "internal_error"


def test_a_client_that_leaves_ends_all_answers(start):
    server = start()
    body = {"model": "fake", "prompt": ["hang", "count 100000 5", "hang"], "stream": True}
    connection = server.connect(body, path="/v1/completions")
    connection.recv(1000)
    connection.close()
    eventually(lambda: server.status()["requests"] == 0, 2)
    eventually(lambda: server.chat("stats").text() == "running=0 cancelled=3", 2)


def test_no_template_is_applied(real):
    plain = complete(real, "The picture shows", max_tokens=4, temperature=0)
    chat = real.chat("The picture shows", max_tokens=4, temperature=0)
    assert plain.json()["usage"]["prompt_tokens"] < chat.json()["usage"]["prompt_tokens"]
    assert plain.json()["choices"][0]["finish_reason"] in ("stop", "length")


def test_names_of_special_tokens_are_those_tokens(real):
    """What a chat template would have written gives what a chat completion gives."""
    templated = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    chat = real.chat("Hello", max_tokens=8, temperature=0)
    answer = complete(real, templated, max_tokens=8, temperature=0)
    assert answer.json()["usage"] == chat.json()["usage"]
    assert texts(answer) == [chat.text()]


def test_company_and_streaming_change_nothing(real):
    prompts = ["One, two,", "The colour of", "A circle"]
    options = {"max_tokens": 6, "temperature": 1, "seed": 7}
    alone = [texts(complete(real, prompt, **options))[0] for prompt in prompts]
    assert texts(complete(real, prompts, **options)) == alone
    events = stream(real, prompts, **options)
    assert [streamed(events, index) for index in range(3)] == alone


def test_echo_of_the_real_model(real):
    (text,) = texts(complete(real, "Gr\u00fc\u00dfe, ", max_tokens=2, echo=True))
    assert text.startswith("Gr\u00fc\u00dfe, ")
    (text,) = texts(complete(real, [10, 11, 12], max_tokens=1, temperature=0, echo=True))
    (rest,) = texts(complete(real, [10, 11, 12], max_tokens=1, temperature=0))
    assert text.endswith(rest) and len(text) > len(rest)


def test_prompts_that_the_real_model_refuses(real):
    beyond = complete(real, [[5], [10**8]])
    assert beyond.status == 400 and beyond.error()["param"] == "prompt[1]"
    image = complete(real, "<|vision_start|><|image_pad|><|vision_end|>")
    assert image.status == 400 and image.error()["param"] == "prompt"
    long = complete(real, [5] * 200000)
    assert long.status == 400 and long.error()["param"] == "prompt" and long.error()["code"] == "too_large"
