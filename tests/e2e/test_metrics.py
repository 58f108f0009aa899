"""What the server tells those who watch it: /metrics, /ready, /health and the admin's numbers."""

import os
import signal

import pytest
from client import eventually, image_part, png, text_part, user
from prometheus import Page


def page(server, port=None):
    answer = server.get("/metrics", port=port)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(answer.body.decode())


def difference(server, work, name, **labels):
    before = page(server).value(name, **labels)
    work()
    return page(server).value(name, **labels) - before


CHAT = {"route": "/v1/chat/completions"}


def test_both_ports_have_the_page(fake):
    assert page(fake).names() == page(fake, fake.admin_port).names()


def test_requests_are_counted_by_route_and_status(start):
    server = start()
    for _ in range(3):
        assert server.chat("say hello").status == 200
    assert server.chat("say hello", temperature=9).status == 400
    assert server.get("/v1/models").status == 200
    assert server.get("/v1/models/fake").status == 200
    assert server.get("/v1/models/other").status == 404
    assert server.request("DELETE", "/health").status == 405
    for i in range(20):
        assert server.get(f"/nothing/{i}").status == 404
    assert b"400 Bad" in server.raw(b"nonsense\r\n\r\n")
    p = page(server)
    name = "vlmd_requests_total"
    assert p.value(name, **CHAT, status="200") == 3
    assert p.value(name, **CHAT, status="400") == 1
    assert p.value(name, route="/v1/models", status="200") == 1
    assert p.value(name, route="/v1/models/", status="200") == 1
    assert p.value(name, route="/v1/models/", status="404") == 1
    assert p.value(name, route="none", status="404") == 20
    assert p.value(name, route="none", status="405") == 1
    assert p.value(name, route="none", status="400") == 1
    assert p.value("vlmd_request_seconds_count", **CHAT) == 4


def test_strangers_cannot_make_labels(start):
    """However many paths are asked for, the page has the same rows."""
    server = start()
    server.get("/nothing")
    before = page(server).labels("vlmd_requests_total")
    for i in range(100):
        server.get(f"/{i}/x\"}}%0a")
        server.get(f"/v1/models/{i}")
    after = page(server).labels("vlmd_requests_total")
    new = [labels for labels in after if labels not in before]
    assert {labels["route"] for labels in new} <= {"/v1/models/", "/metrics", "/health", "/ready", "none"}
    assert len(new) <= 5


def test_tokens_and_times(start):
    server = start()
    server.chat("count 20 5")
    server.stream("count 10 5")
    p = page(server)
    assert p.value("vlmd_prompt_tokens_total") == 14
    assert p.value("vlmd_completion_tokens_total") == 30
    assert p.value("vlmd_time_to_first_token_seconds_count") == 2
    assert p.value("vlmd_time_to_first_token_seconds_sum") < 1
    assert p.value("vlmd_completion_length_tokens_bucket", le="16") == 1
    assert p.value("vlmd_completion_length_tokens_bucket", le="64") == 2
    assert p.value("vlmd_queue_seconds_count") == 2
    assert p.value("vlmd_request_seconds_sum", **CHAT) >= 0.1


def test_images(start):
    server = start()
    image = image_part(png(100, 60))
    broken = image_part(png(100, 60)[:60])
    assert server.chat([image, image, text_part("images")]).status == 200
    assert server.chat([broken, text_part("images")]).status == 400
    p = page(server)
    assert p.value("vlmd_images_total") == 2
    assert p.value("vlmd_image_pixels_total") == 2 * 100 * 60
    assert p.value("vlmd_image_model_pixels_total") == 2 * 112 * 56
    assert p.value("vlmd_images_refused_total") == 1
    assert p.value("vlmd_image_decode_seconds_count") == 3
    assert p.value("vlmd_vision_seconds_count") == 1


def test_what_runs_now(start):
    server = start()
    assert page(server).value("vlmd_requests_running") == 0
    connections = [
        server.connect({"model": "fake", "stream": True, "messages": [user("count 1000 5")]}) for _ in range(3)
    ]
    eventually(lambda: page(server).value("vlmd_kv_tokens_used", model="fake") > 3 * 7)
    p = page(server)
    assert p.value("vlmd_requests_running") == 3
    assert p.value("vlmd_requests_waiting") == 0
    assert p.value("vlmd_model_requests", model="fake") == 3
    assert p.value("vlmd_connections", port="main") >= 4
    assert p.value("vlmd_kv_tokens", model="fake") == 4096
    for connection in connections:
        connection.close()
    eventually(lambda: page(server).value("vlmd_requests_running") == 0)
    eventually(lambda: page(server).value("vlmd_kv_tokens_used") == 0)
    assert page(server).value("vlmd_clients_gone_total") == 3


def test_processes(start):
    server = start()
    p = page(server)
    for role in "front", "worker", "decoder":
        assert p.value("vlmd_process_resident_bytes", role=role) > 500_000, role
    assert p.value("vlmd_process_resident_bytes", role="front") == p.value("process_resident_memory_bytes")
    assert p.value("process_open_fds") == pytest.approx(server.descriptors(), abs=2)
    assert p.value("vlmd_model_ready", model="fake") == 1
    assert p.value("vlmd_model_load_seconds_count") == 1
    assert p.value("vlmd_worker_restarts_total", model="fake") == 0
    os.kill(server.worker_pid(), signal.SIGKILL)
    eventually(lambda: page(server).value("vlmd_worker_restarts_total", model="fake") == 1)
    eventually(lambda: page(server).value("vlmd_model_load_seconds_count") == 2)


def test_a_model_whose_name_needs_escapes(start):
    server = start(names=('qu"ote\\s',), wait=False)
    eventually(lambda: page(server).value("vlmd_model_ready") == 1)
    assert {"model": 'qu\\"ote\\\\s'} in page(server).labels("vlmd_model_ready")


def test_ready(start):
    server = start("--max-requests", 1)
    answer = server.get("/ready")
    assert answer.status == 200
    assert answer.json() == {
        "ready": True,
        "conditions": {"queue_available": True, "worker_alive": True, "model_loaded": True},
        "queue_slots_available": 1,
    }
    connection = server.connect({"model": "fake", "messages": [user("hang")]})
    eventually(lambda: server.get("/ready").status == 503)
    answer = server.get("/ready")
    assert answer.json()["conditions"]["queue_available"] is False
    assert answer.headers["Retry-After"]
    connection.close()
    eventually(lambda: server.get("/ready").status == 200)


def test_not_ready_while_the_model_loads(start):
    server = start(names=("slow",), wait=False)
    assert server.get("/ready").status == 503
    eventually(lambda: server.get("/ready").status == 200)


def test_admin_answers_have_the_python_servers_fields(fake):
    def get(path):
        return fake.get(path, port=fake.admin_port).json()

    fake.chat("say hello")
    health = get("/admin/health")
    assert health["status"] == "healthy" and health["worker_status"] == "healthy" and health["version"]
    assert fake.chat("say x").status == 200  # the model that was used last is the one shown
    status = get("/admin/status")
    assert status["status"] == "running" and status["version"] == health["version"]
    assert status["ports"] == {"main": fake.port, "admin": fake.admin_port}
    assert status["model"]["loaded"] is True and status["model"]["name"] == "fake"
    assert status["model"]["memory_gb"] > 0
    assert status["worker"] == {"healthy": True, "status": "healthy"}
    assert status["config"]["total_ram_gb"] > 0
    metrics = get("/admin/metrics")
    assert metrics["total_requests"] >= metrics["successful_requests"] > 0
    assert metrics["failed_requests"] == metrics["total_requests"] - metrics["successful_requests"]
    assert 0 < metrics["success_rate"] <= 1
    times = metrics["request_duration_ms"]
    assert times["min"] <= times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
    assert metrics["queue"]["available_slots"] == metrics["queue"]["max_depth"] - metrics["queue"]["active_requests"]


def test_admin_without_a_model(start):
    server = start(names=("slow",), wait=False)
    health = server.get("/admin/health", port=server.admin_port)
    assert health.status == 200 and health.json()["status"] == "degraded"
    status = server.status()
    assert status["model"] == {"loaded": False, "name": None, "memory_gb": 0.0}
    assert status["worker"] == {"healthy": False, "status": "no_worker"}


def test_an_unloaded_model_is_ready_but_not_loaded(start):
    server = start()
    assert server.post(b"", path="/admin/unload", port=server.admin_port).status == 200
    eventually(lambda: page(server).value("vlmd_model_ready", model="fake") == 0)
    answer = server.get("/ready")
    assert answer.status == 200 and answer.json()["conditions"]["model_loaded"] is False
    health = server.get("/admin/health", port=server.admin_port).json()
    assert health["status"] == "healthy" and health["worker_status"] == "no_worker"
    assert server.chat("say hello").text() == "hello"
    assert server.get("/ready").json()["conditions"]["model_loaded"] is True
