"""`vlmd run` and the small commands, as a person types them."""

import json
import os
import re
import subprocess

import pytest
from client import PROGRAM, ROOT, data_uri, png
from fetching import Connects, WebServer, answer, fetcher_script

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


@pytest.fixture
def web(tmp_path):
    """A web server with one picture, and the options to reach it."""
    site = WebServer(body=png(100, 80))
    program = fetcher_script(tmp_path, Connects(tmp_path))
    yield site, ("--fetcher-program", program, "--fetch-ports", f"80,{site.port}")
    site.close()


def test_urls_are_images_too(model_path, picture, web):
    site, options = web
    outputs = []
    for image in (picture, data_uri(picture.read_bytes()), site.url("/a.png")):
        done = vlmd("run", "--model", model_path, "--max-tokens", 8, *options, image, "What is it?")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("png, 100 x 80, shown at "), done.stderr
        outputs.append(done.stdout)
    assert len(set(outputs)) == 1 and len(site.requests) == 1
    done = vlmd("run", "--model", model_path, "--max-tokens", 2, *options, site.url(), picture, site.url(), "Same?")
    assert done.returncode == 0 and done.stderr.count("png, 100 x 80") == 3 and "image 3: png" in done.stderr
    assert len(site.requests) == 3


def test_json(model_path, picture, web):
    site, options = web
    wide = picture.parent / "wide.png"
    wide.write_bytes(png(1200, 900))
    done = vlmd("run", "--model", model_path, "--max-tokens", 8, "--json", *options, site.url(), wide, "What is it?")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    told = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1 and told["model"] and told["finish_reason"] in ("stop", "length")
    plain = vlmd("run", "--model", model_path, "--max-tokens", 8, *options, site.url(), wide, "What is it?")
    assert plain.stdout == told["text"] + "\n"
    first, second = told["vlmd"]["images"]
    assert first["original"] == {"width": 100, "height": 80} and first["limited_by"] is None
    assert second["param"] == "images[1]" and second["limited_by"] == "model"
    assert [warning["code"] for warning in told["vlmd"]["warnings"]] == ["image_downscaled"]
    assert told["usage"]["prompt_tokens"] > first["tokens"] + second["tokens"]
    assert set(told["seconds"]) == {"first_token", "vision", "prefill", "decode"}
    text = json.loads(vlmd("run", "--model", model_path, "--max-tokens", 2, "--json", "Hello!").stdout)
    assert "vlmd" not in text and text["usage"]["completion_tokens"] <= 2


def test_the_server_s_receipts(model_path, real, picture):
    told = json.loads(vlmd("run", "--model", model_path, "--max-tokens", 1, "--json", picture, "Hm?").stdout)
    part = {"type": "image_url", "image_url": {"url": data_uri(picture.read_bytes())}}
    served = real.chat([part, {"type": "text", "text": "Hm?"}], max_tokens=1).json()["vlmd"]
    for receipt in (served["images"][0], told["vlmd"]["images"][0]):
        receipt.pop("param")
        receipt.pop("cached")
    assert served == told["vlmd"]


def test_urls_that_lead_nowhere(model_path, web):
    site, options = web
    nothing = WebServer(handle=lambda handler: answer(handler, b"gone", 404))
    options = (*options[:3], f"80,{site.port},{nothing.port}")
    large = WebServer(handle=lambda handler: answer(handler, b"x" * 10_000_001))
    for url, text in (
        ("http://127.0.0.1/", "loopback"), ("https://user:secret@example.org/", "user"), ("http://169.254.169.254/", "169.254"),
        (nothing.url(), "404"), ("data:image/png;base64,!!!!", "the data URI: "), ("data:,", "empty"), ("http://[::1", "http://[::1"),
    ):
        done = vlmd("run", "--model", model_path, *options, url, "What is it?")
        assert (done.returncode, done.stdout) == (1, "") and text in done.stderr, (url, done.stderr)
    options = (*options[:3], f"{large.port}")
    done = vlmd("run", "--model", model_path, *options, large.url(), "What is it?")
    assert done.returncode == 1 and "Maximum file size" in done.stderr, done.stderr
    assert vlmd("run", "--model", model_path, "--fetch-ports", "99999", site.url(), "What?").returncode == 1
    for server in (nothing, large):
        server.close()


def test_a_url_without_a_question():
    for url in ("https://example.org/a.png", "data:image/png;base64,AAAA"):
        done = vlmd("run", url)
        assert done.returncode == 2 and "is a URL" in done.stderr


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
