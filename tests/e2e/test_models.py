"""Models that come and go: on demand, by an operator's word, within a memory budget, by a timeout."""

import os
import pathlib
import signal
import subprocess
import threading
import time
from urllib.parse import quote

import pytest
from client import PROGRAM, Server, eventually, gone, streamed_text, user


def ask(server, model, content="say hi", **more):
    return server.post({"model": model, "messages": [user(content)], **more})


def states(server):
    return {model["id"]: model["state"] for model in server.status()["models"]}


def admin(server, what, model=None):
    query = f"?model_path={quote(str(model), safe='')}" if model else ""
    return server.request("POST", f"/admin/{what}{query}", port=server.admin_port)


@pytest.fixture
def hub(tmp_path):
    """A Hugging Face cache with org/first and org/second; returns the environment that names it."""
    for name in ("first", "second"):
        base = tmp_path / f"models--org--{name}"
        (base / "refs").mkdir(parents=True)
        (base / "refs" / "main").write_text("abc123")
        (base / "snapshots" / "abc123").mkdir(parents=True)
        (base / "snapshots" / "abc123" / "config.json").write_text("{}")
    return {**os.environ, "HF_HUB_CACHE": str(tmp_path)}


# ---- on demand


def test_a_model_that_is_found_is_loaded_when_it_is_asked_for(start, hub):
    server = start(env=hub)
    listed = {model["id"]: model["state"] for model in server.get("/v1/models").json()["data"]}
    assert listed["fake"] == "ready"
    assert listed["org/first"] == listed["org/second"] == "unloaded"
    assert server.get("/v1/models/org%2Ffirst").json()["state"] == "unloaded"
    assert ask(server, "org/first").text() == "hi"
    assert streamed_text_of(server, "org/second") == "hi"
    assert states(server) == {"fake": "ready", "org/first": "ready", "org/second": "ready"}
    assert server.get("/v1/models/org%2Ffirst").json()["state"] == "ready"


def streamed_text_of(server, model):
    before, server.model = server.model, model
    try:
        return streamed_text(server.stream("say hi"))
    finally:
        server.model = before


@pytest.mark.parametrize("name", ["nosuch", "org/nosuch", "/tmp", "..", "../x", "org/../first", "./fake", "docs", "org/first@x"])
def test_what_is_no_model_is_not_loaded(start, hub, name):
    server = start(env=hub)
    answer = ask(server, name)
    assert answer.status == 404 and answer.error()["code"] == "model_not_found"
    assert states(server) == {"fake": "ready"}


def test_on_demand_can_be_switched_off(start, hub):
    server = start("--no-on-demand", env=hub)
    assert ask(server, "org/first").status == 404
    assert [model["id"] for model in server.get("/v1/models").json()["data"]] == ["fake"]


def test_a_model_that_dies_on_demand_does_not_make_the_server_unwell(start, fake_model):
    server = start()
    assert admin(server, "load", fake_model("fail")).status == 503
    assert server.get("/health").json()["status"] == "ok"
    assert server.chat("say fine").text() == "fine"


# ---- an operator


def test_load_and_unload(start, fake_model):
    server = start()
    other = fake_model("needs-50")
    loaded = admin(server, "load", other)
    assert loaded.status == 200
    assert loaded.json()["model_name"] == "needs-50" and loaded.json()["status"] == "success"
    assert loaded.json()["memory_gb"] > 0.04
    assert ask(server, "needs-50").text() == "hi"
    pid = server.status()["models"][1]["pid"]
    answer = admin(server, "unload", "needs-50")
    assert answer.status == 200 and answer.json()["model_unloaded"] == "needs-50"
    eventually(lambda: states(server)["needs-50"] == "unloaded")
    assert gone(pid)
    assert admin(server, "unload", "needs-50").status == 400
    assert ask(server, "needs-50").text() == "hi"
    answer = admin(server, "unload")
    assert answer.json()["model_unloaded"] == "fake, needs-50"
    eventually(lambda: set(states(server).values()) == {"unloaded"})
    assert server.get("/health").status == 200
    answer = admin(server, "unload")
    assert answer.status == 400 and "No model loaded" in answer.error()["message"]
    assert server.chat("say back").text() == "back"


def test_wrong_orders_of_an_operator(start):
    server = start()
    assert admin(server, "load").status == 400
    answer = admin(server, "load", "no/such")
    assert answer.status == 404 and "no/such" in answer.error()["message"]
    assert server.request("GET", "/admin/load", port=server.admin_port).status == 405
    page = {"Origin": "http://evil.example"}
    assert server.request("POST", "/admin/unload", headers=page, port=server.admin_port).status == 403
    assert server.request("POST", "/admin/unload").status == 404  # the public port


def test_a_model_in_use_is_not_unloaded(start):
    server = start()
    connection = server.connect({"model": "fake", "messages": [user("hang")]})
    eventually(lambda: server.status()["models"][0]["requests"] == 1)
    answer = admin(server, "unload", "fake")
    assert answer.status == 503 and "using the model" in answer.error()["message"]
    connection.close()
    eventually(lambda: admin(server, "unload", "fake").status == 200)


def test_an_operator_ends_the_pause_of_a_model_that_keeps_dying(start):
    server = start()
    while server.chat("die").status != 503:
        pass
    assert server.chat("say x").status == 503
    assert admin(server, "load", "fake").status == 200
    assert server.chat("say x").text() == "x"
    assert server.chat("die-once y").text() == "y"  # and its past is forgotten


# ---- memory


def test_the_model_used_least_recently_makes_room(start, fake_model):
    server = start("--memory-budget", "1g", names=("needs-10",))
    a, b, c = (fake_model(f"needs-400-{name}") for name in "abc")
    for model in (a, b, a):
        assert admin(server, "load", model).status == 200
    assert admin(server, "load", c).status == 200
    assert states(server) == {"needs-10": "ready", "needs-400-a": "ready", "needs-400-b": "unloaded", "needs-400-c": "ready"}
    assert "needs-400-b: is unloaded: to make room" in server.log()
    assert ask(server, "needs-400-b").text() == "hi"
    assert states(server)["needs-400-a"] == "unloaded"


def test_what_cannot_fit_is_refused_with_the_numbers(start, fake_model):
    server = start("--memory-budget", "1000000000", names=("needs-10",))
    answer = admin(server, "load", fake_model("needs-2500"))
    assert answer.status == 503
    message = answer.error()["message"]
    assert "needs 2.500 GB" in message and "weights 2.499" in message and "may have 1.000 GB" in message
    answer = ask(server, "needs-2500")
    assert answer.status == 503 and "needs 2.500 GB" in answer.error()["message"]
    assert states(server)["needs-10"] == "ready"


def test_a_model_waits_until_a_busy_one_is_idle(start, fake_model):
    server = start("--memory-budget", "1g", names=("needs-700-a",))
    admin(server, "load", fake_model("needs-20"))
    results = []
    slow = threading.Thread(target=lambda: results.append(ask(server, "needs-700-a", "count 10 100").status))
    slow.start()
    eventually(lambda: server.status()["models"][0]["requests"] == 1)
    assert admin(server, "load", fake_model("needs-700-b")).status == 200
    slow.join()
    assert results == [200] and states(server)["needs-700-a"] == "unloaded"


def test_a_model_that_waits_too_long_for_memory(start, fake_model):
    server = start("--memory-budget", "1g", "--model-load-timeout", 1, names=("needs-700-a",))
    connection = server.connect({"model": "needs-700-a", "messages": [user("hang")]})
    eventually(lambda: server.status()["models"][0]["requests"] == 1)
    answer = admin(server, "load", fake_model("needs-700-b"))
    assert answer.status == 503 and "models that are being used leave free 0.374 GB" in answer.error()["message"]
    assert states(server)["needs-700-a"] == "ready"
    connection.close()


def test_memory_that_a_real_model_takes(real):
    model = real.status()["models"][0]
    size = (pathlib.Path(model["path"]) / "model.safetensors").stat().st_size
    assert model["weight_bytes"] < model["memory_bytes"]
    assert abs(model["weight_bytes"] - size) < 1 << 20


# ---- time


def test_idle_models_are_unloaded(start, fake_model):
    server = start("--idle-timeout", 1)
    assert admin(server, "load", fake_model("needs-20")).status == 200
    connection = server.connect({"model": "fake", "messages": [user("hang")]})
    eventually(lambda: states(server)["needs-20"] == "unloaded", seconds=5)
    time.sleep(1.2)
    assert states(server)["fake"] == "ready"  # somebody uses it
    connection.close()
    eventually(lambda: states(server)["fake"] == "unloaded", seconds=5)
    assert ask(server, "needs-20").text() == "hi"


def test_a_named_model_stays_unless_the_timeout_was_set(start, fake_model):
    """By the Python server's variable, too; with the default only models on demand go."""
    server = start(env={**os.environ, "MLX_IDLE_TIMEOUT": "1"})
    eventually(lambda: states(server)["fake"] == "unloaded", seconds=5)
    server = start("--idle-timeout", 0)
    time.sleep(2.5)
    assert states(server)["fake"] == "ready"


def test_a_load_that_takes_too_long(start, fake_model):
    server = start("--model-load-timeout", 1)
    answer = admin(server, "load", fake_model("endless"))
    assert answer.status == 503 and "not loaded within 1 s" in answer.error()["message"]
    eventually(lambda: len(server.children()) == 3)


def test_the_end_while_a_model_loads(start):
    server = start(names=("endless",), wait=False)
    connection = server.connect({"model": "endless", "messages": [user("x")]})
    eventually(lambda: server.status()["requests"] == 1)
    children = server.children()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 3
    assert all(gone(pid) for pid in children)
    connection.close()


def test_reload_changes_the_limits(tmp_path, fake_model, programs):
    file = tmp_path / "vlmd.conf"
    file.write_text("memory-budget = 1g\n")
    server = Server("--config", file, models=[fake_model("needs-10")])
    big = fake_model("needs-2000")
    assert admin(server, "load", big).status == 503
    file.write_text("memory-budget = 4g\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "changed: memory-budget" in server.log())
    assert admin(server, "load", big).status == 200
    assert server.stop() == 0


def test_help_says_what_there_is(programs):
    text = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--memory-budget", "--no-on-demand", "--idle-timeout", "--model-load-timeout"):
        assert option in text


def test_what_the_loaded_model_can_do(start):
    server = start(names=("fake", "blind"))

    def capabilities():
        answer = server.get("/admin/capabilities", port=server.admin_port)
        assert answer.status == 200
        return answer.json()

    server.model = "blind"
    assert server.chat("say x").status == 200
    eventually(lambda: capabilities()["model"] == "blind")
    assert capabilities()["capabilities"] == {"text": True, "vision": False}
    server.model = "fake"
    assert server.chat("say x").status == 200
    eventually(lambda: capabilities()["model"] == "fake")
    assert capabilities()["capabilities"] == {"text": True, "vision": True}
    assert server.request("POST", "/admin/unload", port=server.admin_port).status == 200
    eventually(lambda: capabilities()["model"] is None)
    assert capabilities()["detection_method"] == "no_model_loaded"
