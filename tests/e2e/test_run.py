"""`vlmd run` and the small commands, as a person types them."""

import os
import re
import subprocess

import pytest
from client import PROGRAM, ROOT, png

FIGURES = re.compile(r"first token after \d+\.\d\d s(, \d+\.\d tokens/s)? \(\d+ tokens in, \d+ out\)\n$")


def vlmd(*arguments, stdin="", env=None):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=120, cwd=ROOT,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(png(100, 80))
    return file


def test_an_image(model_path, picture):
    done = vlmd("run", "--model", model_path, "--max-tokens", 8, picture, "What is it?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n") and FIGURES.search(done.stderr)
    again = vlmd("run", "--model", model_path, "--max-tokens=8", picture, "What is it?")
    assert again.stdout == done.stdout


def test_two_images_and_standard_input(model_path, picture):
    done = vlmd("run", "--model", model_path, "--max-tokens", 4, picture, picture, "-", stdin="Same?\n")
    assert done.returncode == 0 and FIGURES.search(done.stderr)


def test_text_alone(model_path):
    done = vlmd("run", "--model", model_path, "--max-tokens", 4, "--temperature", "1", "--seed", 3, "Hello!")
    assert done.returncode == 0 and FIGURES.search(done.stderr)


def test_a_picture_without_a_question(model_path, picture):
    done = vlmd("run", "--model", model_path, picture)
    assert done.returncode == 2 and f"{picture} is a file" in done.stderr
    assert vlmd("run", "--model", model_path, "--max-tokens", 2, "--", picture).returncode == 0


def test_an_answer_that_cannot_be_written(model_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PROGRAM, "run", "--model", model_path, "Hello!"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
    assert done.returncode == 1 and "cannot write the answer" in done.stderr


def test_the_same_text_as_the_server(model_path, real, picture):
    from client import data_uri

    done = vlmd("run", "--model", model_path, "--max-tokens", 16, picture, "What is it?")
    part = {"type": "image_url", "image_url": {"url": data_uri(picture.read_bytes())}}
    answer = real.chat([part, {"type": "text", "text": "What is it?"}], max_tokens=16, temperature=0)
    assert done.stdout == answer.text() + "\n"


@pytest.mark.parametrize(
    "arguments, status, text",
    [
        ([], 2, "prompt"),
        (["--nosuch", "x"], 2, "--nosuch"),
        (["--max-tokens", "many", "x"], 2, "--max-tokens"),
        (["--temperature", "3", "x"], 2, "--temperature"),
        (["--temperature", "nan", "x"], 2, "--temperature"),
        (["--seed", "-1", "x"], 2, "--seed"),
        (["--max-tokens"], 2, "--max-tokens"),
        (["--model", "nosuch", "x"], 1, "nosuch"),
        (["--model", "no/such@x", "x"], 1, "no/such@x"),
        (["--model", "/dev/null", "x"], 1, "/dev/null"),
    ],
)
def test_mistakes(arguments, status, text):
    done = vlmd("run", *arguments)
    assert done.returncode == status and done.stdout == ""
    assert text in done.stderr


def test_mistakes_with_images(model_path, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(png(10, 10)[:40])
    other = tmp_path / "other.txt"
    other.write_text("hello")
    for file, text in [(broken, "broken.png"), (other, "other.txt"), (tmp_path / "none.png", "none.png"), (tmp_path, "regular")]:
        done = vlmd("run", "--model", model_path, file, "What is it?")
        assert done.returncode == 1 and done.stdout == "" and text in done.stderr, done.stderr


def test_a_folder_without_a_model(tmp_path):
    done = vlmd("run", "--model", tmp_path, "x")
    assert done.returncode == 1 and "config.json" in done.stderr


def test_help_and_version():
    for arguments in (["help"], ["--help"], ["run", "--help"], ["serve", "--help"], ["list", "--help"]):
        done = vlmd(*arguments)
        assert done.returncode == 0 and "usage: vlmd" in done.stdout and done.stderr == ""
    assert re.fullmatch(r"vlmd \d+\.\d+\.\d+\n", vlmd("version").stdout)
    assert vlmd().returncode == 2
    assert vlmd("nosuch").returncode == 2
    shown = vlmd("serve", "--help").stdout
    for option in ("--model", "--host", "--port", "--admin-port", "--threads", "--kv-tokens", "--isa"):
        assert option in shown


def test_roles_are_not_for_people():
    assert vlmd("role:worker").returncode == 2
    assert vlmd("role:decoder").returncode == 2


def test_list_and_names(tmp_path):
    """Names of the Hugging Face cache, by reference, revision and folder."""
    snapshot = tmp_path / "hub/models--some--model-3B/snapshots/abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "hub/models--some--model-3B/refs").mkdir()
    (tmp_path / "hub/models--some--model-3B/refs/main").write_text("abc123")
    (tmp_path / "hub/models--some--empty/snapshots").mkdir(parents=True)
    env = {"HF_HOME": str(tmp_path)}
    listed = vlmd("list", env=env)
    assert listed.returncode == 0
    assert re.search(r"^some/model-3B\s+\S*abc123$", listed.stdout, re.M) and "some/empty" not in listed.stdout
    for name in ("some/model-3B", "some/model-3B@main", "some/model-3B@abc123", snapshot):
        done = vlmd("run", "--model", name, "x", env=env)
        assert done.returncode == 1 and "no model" not in done.stderr, done.stderr
    for name in ("some/model-3B@other", "some/empty", "some/../model-3B", "../hub"):
        assert "no model" in vlmd("run", "--model", name, "x", env=env).stderr
