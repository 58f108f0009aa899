"""Settings from the command line, the environment and files; --check; SIGHUP; documents that are made of the table."""

import os
import re
import signal
import subprocess

import pytest
from client import PROGRAM, ROOT, Server, eventually, image_part, png, text_part


def check(*options, env=None):
    return subprocess.run(
        [PROGRAM, "serve", "--check", *map(str, options)], cwd=ROOT, text=True, capture_output=True,
        env={"PATH": os.environ["PATH"], **(env or {})},
    )


def effective(*options, env=None):
    """What --check shows: name -> (value, origin)."""
    done = check(*options, env=env)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(?:# )?([a-z-]+) = (.*?) *# ([^#\n]*)$", done.stdout, re.M)
    return {name: (value, origin) for name, value, origin in found}


@pytest.fixture
def settings(tmp_path, fake_model):
    """Writes a file of settings that name a model, and returns its path."""

    def write(*lines):
        path = tmp_path / "vlmd.conf"
        path.write_text("\n".join([f"model = {fake_model('fake')}", *lines]) + "\n")
        return path

    return write


def test_each_source_has_its_rank(settings):
    path = settings("port = 1", "admin-port = 2", "max-images = 3", "decoders = 4")
    env = {"VLMD_CONFIG": str(path), "VLMD_PORT": "5", "MLX_ADMIN_PORT": "6", "MLX_IDLE_TIMEOUT": "7"}
    shown = effective("--port", 8, env=env)
    assert shown["port"] == ("8", "command line")
    assert shown["admin-port"] == ("6", "MLX_ADMIN_PORT")
    assert shown["max-images"] == ("3", f"{path}:4")
    assert shown["idle-timeout"] == ("7", "MLX_IDLE_TIMEOUT")
    assert shown["model-load-timeout"][1].startswith("detected: ")
    assert shown["host"] == ("127.0.0.1", "default")


@pytest.mark.parametrize("cpus", ["", "x", "3-1", "0,", "1023", "1024"])
def test_processors_that_are_not_there(settings, cpus):
    for done in (check("--config", settings(f"cpus = {cpus}")), check("--config", settings(), "--cpus", cpus)):
        if cpus == "":
            assert done.returncode == 0
        else:
            assert done.returncode == 2 and "cpus" in done.stderr
    done = subprocess.run([PROGRAM, "run", "--cpus", cpus or ",", "hi"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and "--cpus" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="SKIPPED: no affinity on this system")
def test_models_compute_on_their_processors(model_path):
    one = max(os.sched_getaffinity(0))
    server = Server("--cpus", str(one), models=[model_path], fake=False)
    try:
        worker = server.status()["models"][0]["pid"]
        tasks = [int(name) for name in os.listdir(f"/proc/{worker}/task")]
        assert tasks and all(os.sched_getaffinity(task) == {one} for task in tasks)
        assert os.sched_getaffinity(server.process.pid) == os.sched_getaffinity(0)
    finally:
        assert server.stop() == 0


def test_what_check_shows_is_a_file_that_means_the_same(settings, tmp_path):
    path = settings("max-images = 3", "verbose = yes")
    again = tmp_path / "again.conf"
    again.write_text(check("--config", path, "--host", "::1").stdout)
    first, second = effective("--config", path, "--host", "::1"), effective("--config", again)
    assert {k: v[0] for k, v in first.items()} == {k: v[0] for k, v in second.items()}
    assert second["host"] == ("::1", f"{again}:{again.read_text().split('host = ')[0].count(chr(10)) + 1}")


@pytest.mark.parametrize(
    "lines, options, env, said",
    [
        (["port = x"], [], {}, r"vlmd\.conf:2: port wants a number from 0 to 65535, not x"),
        (["prot = 1"], [], {}, r"vlmd\.conf:2: there is no setting prot"),
        (["port"], [], {}, r"vlmd\.conf:2: "),
        (["port = 1x"], ["--port", "2"], {}, r"vlmd\.conf:2: port wants"),
        ([], ["--port", "-1"], {}, r"--port wants a number"),
        ([], ["--prot", "1"], {}, r"unknown option: --prot"),
        ([], [], {"MLX_IDLE_TIMEOUT": "soon"}, r"MLX_IDLE_TIMEOUT wants a number"),
        ([], [], {"MLX_MACHINE_TYPE": "toaster"}, r"MLX_MACHINE_TYPE wants one of high-memory"),
        (["port = 9", "admin-port = 9"], [], {}, r"port and admin-port are both 9"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_served(settings, lines, options, env, said):
    done = check("--config", settings(*lines), *options, env=env)
    assert done.returncode == 2
    assert re.search(said, done.stderr), done.stderr
    assert done.stdout == ""


def test_check_looks_for_the_models(settings):
    done = check("--model", "no-such-model")
    assert done.returncode == 1
    assert "no-such-model" in done.stderr


def test_the_home_of_the_cache(settings, tmp_path):
    """A model of the Hugging Face cache, found by flag, variable and file."""
    for home in ["flag", "variable", "file"]:
        snapshot = tmp_path / home / "hub" / f"models--org--{home}" / "snapshots" / "main"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
    path = settings(f"hf-home = {tmp_path / 'file'}")
    path.write_text(path.read_text().split("\n", 1)[1])  # names no model

    def found(name, *options, **env):
        return check("--config", path, "--model", f"org/{name}", *options, env=env).returncode == 0

    assert found("file") and not found("flag")
    variable = str(tmp_path / "variable")
    assert found("variable", HF_HOME=variable) and not found("file", HF_HOME=variable)
    assert found("flag", "--hf-home", tmp_path / "flag", HF_HOME=variable, HF_HUB_CACHE=variable + "/hub")


def test_variables_without_a_meaning_are_named(settings):
    done = check("--config", settings(), env={"MLX_USE_STDIO": "1", "VISION_RESIZE_CACHE_SIZE": "20"})
    assert done.returncode == 0
    assert "MLX_USE_STDIO has no effect" in done.stderr
    assert "VISION_RESIZE_CACHE_SIZE has no effect" in done.stderr


def test_sighup_takes_what_can_change(start, tmp_path):
    path = tmp_path / "vlmd.conf"
    path.write_text("max-images = 1\n")
    server = start("--config", path)
    two = [image_part(png(30, 30)), image_part(png(30, 30)), text_part("images")]
    assert server.chat(two).status == 400
    path.write_text("max-images = 2\ndecoders = 3\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "SIGHUP: changed: max-images" in server.log(), what="the new settings")
    assert "want a restart: decoders" in server.log()
    assert server.chat(two).status == 200
    path.write_text("max-images = many\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the settings stay as they are" in server.log(), what="a complaint")
    assert server.chat(two).status == 200


def test_documents_are_current(programs):
    subprocess.run(["tools/documents.sh", PROGRAM, "--check"], cwd=ROOT, check=True)


def test_the_vision_variables_of_the_python_server(start):
    picture = [image_part(png(600, 300)), text_part("images")]
    limited = start(env={**os.environ, "VISION_MAX_DIMENSION": "280"})
    free = start(env={**os.environ, "VISION_MAX_DIMENSION": "280", "VISION_AUTO_RESIZE": "false"})
    width = {name: int(s.chat(picture).text().split("x")[0]) for name, s in [("limited", limited), ("free", free)]}
    assert width["limited"] <= 280 < 560 <= width["free"]
