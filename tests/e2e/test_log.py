"""The log: lines for people and for programs, files that can be moved away, and what is never in it."""

import json
import os
import signal
import subprocess

from client import PROGRAM, eventually, image_part, png, text_part, user

PROMPT = "say zebra-crossing"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines(start):
    server = start("--log-format", "json", env={**os.environ, "MLX_USE_STDIO": "1"}, wait=False)
    server.wait_until_ready()
    answer = server.chat([image_part(png(30, 30)), text_part(PROMPT)])
    assert answer.status == 200
    server.post({"model": "fake"}, path="/v1/nothing?secret=1")
    eventually(lambda: server.log().count("nothing") > 0)
    request_id = answer.headers["X-Request-Id"]
    mine = [line for line in lines(server.log()) if line.get("request_id") == request_id]
    done, answered = mine[0], mine[-1]
    assert done["prompt_tokens"] == 7 and done["completion_tokens"] == 1 and done["images"] == 1
    assert done["model"] == "fake" and done["stream"] == 0
    for stage in ["queue", "vision", "prefill", "decode"]:
        assert done[f"{stage}_seconds"] >= 0
    assert answered["method"] == "POST" and answered["status"] == 200
    assert answered["route"] == answered["path"] == "/v1/chat/completions"
    assert 0 <= answered["seconds"] < 10
    assert "?" not in server.log() and "secret" not in server.log()
    assert any("MLX_USE_STDIO has no effect" in line["message"] for line in lines(server.log()))
    roles = {line["role"] for line in lines(server.log())}
    assert roles <= {"front", "decoder", "worker", "child"}
    assert all(line["level"] in ("debug", "info", "warn", "error") for line in lines(server.log()))


def test_lines_of_children_are_in_it(start, tmp_path):
    program = tmp_path / "worker"
    program.write_text("#!/bin/sh\necho 'not our words' >&2\necho '2026-01-02T03:04:05.678Z warn  worker: ours' >&2\n")
    program.chmod(0o755)
    server = start("--log-format", "json", "--worker-program", program, wait=False)
    eventually(lambda: "ours" in server.log().replace("our words", ""), what="its lines")
    written = {line["message"]: line for line in lines(server.log())}
    assert written["not our words"]["role"] == "child"
    assert written["ours"]["role"] == "worker" and written["ours"]["time"] == "2026-01-02T03:04:05.678Z"


def test_children_log_at_the_level_that_was_set(start, tmp_path):
    program = tmp_path / "worker"
    program.write_text('#!/bin/sh\necho "level $VLMD_LOG_LEVEL" >&2\n')
    program.chmod(0o755)
    for options, level in ([], "info"), (["--verbose"], "debug"), (["--log-level", "debug"], "debug"):
        server = start(*options, "--worker-program", program, wait=False)
        eventually(lambda: f"level {level}\n" in server.log(), what=f"a child that knows {level}")
        server.stop()



def test_a_file_that_is_moved_away(start, tmp_path):
    folder = tmp_path / "deep" / "logs"
    server = start("--verbose", env={**os.environ, "MLX_LOG_DIR": str(folder)})
    path = folder / "vlmd.log"
    eventually(lambda: "listening on" in path.read_text(), what="the file")
    first = server.chat(PROMPT).headers["X-Request-Id"]
    eventually(lambda: first in path.read_text())
    assert first in server.log()  # on standard error as well
    path.rename(folder / "vlmd.log.1")
    server.process.send_signal(signal.SIGHUP)
    eventually(path.exists, what="a new file")
    second = server.chat(PROMPT).headers["X-Request-Id"]
    eventually(lambda: second in path.read_text())
    assert second not in (folder / "vlmd.log.1").read_text()
    assert path.stat().st_mode & 0o007 == 0
    assert server.stop() == 0
    assert "stopped" in path.read_text()


def test_a_folder_that_cannot_be_written(fake_model, tmp_path):
    (tmp_path / "file").write_text("")
    command = [PROGRAM, "serve", "--port", "0", "--admin-port", "0", "--model", fake_model("fake")]
    done = subprocess.run([*command, "--log-dir", tmp_path / "file"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "vlmd.log" in done.stderr


def test_words_are_in_it_only_when_asked_for(start):
    image = image_part(png(30, 30))
    silent, telling = start(), start("--log-content")
    for server in [silent, telling]:
        for stream in [False, True]:
            messages = [user([image, text_part(PROMPT)])]
            answer = server.post({"model": "fake", "messages": messages, "stream": stream})
            assert answer.status == 200 and b"zebra" in answer.body
        eventually(lambda: server.log().count("POST /v1/chat/completions 200") == 2)
        assert image["image_url"]["url"][30:60] not in server.log()
    assert "zebra" not in silent.log()
    assert telling.log().count("prompt: ") == 2
    assert telling.log().count("answer: zebra-crossing") == 2


def test_the_level_can_change(start, tmp_path):
    path = tmp_path / "vlmd.conf"
    path.write_text("log-level = info\n")
    server = start("--config", path)
    assert " debug " not in server.log()
    path.write_text("log-level = debug\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "changed: log-level" in server.log())
    server.get("/health")
    eventually(lambda: "GET /health 200" in server.log(), what="a line of little importance")
    path.write_text("log-level = error\n")
    server.process.send_signal(signal.SIGHUP)

    def silent():
        before = server.log()
        return server.chat(PROMPT).status == 200 and server.log() == before

    eventually(silent, what="silence")
