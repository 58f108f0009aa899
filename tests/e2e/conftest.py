"""Servers for the end-to-end tests. Those named fake run tests/fake/fake_worker.c instead of a model."""

import os
import pathlib
import subprocess

import pytest
from client import FAKE_WORKER, PROGRAM, ROOT, Server


@pytest.fixture(scope="session")
def programs():
    if not PROGRAM.exists():
        pytest.exit(f"{PROGRAM} is missing: run make first", 1)
    if PROGRAM == ROOT / "build" / "vlmd":
        subprocess.run(["make", "-s", "build/fake_worker", "build/test_fetcher"], cwd=ROOT, check=True)
    assert FAKE_WORKER.exists(), f"{FAKE_WORKER} is missing: make {FAKE_WORKER}"


@pytest.fixture(scope="session")
def fake_model(programs, tmp_path_factory):
    """Makes a model folder of a given name; see fake_worker.c for what names do."""

    def make(name):
        folder = tmp_path_factory.mktemp("models") / name
        folder.mkdir()
        return folder

    return make


@pytest.fixture(scope="session")
def fake(fake_model):
    """One server with the fake worker for all tests that leave it well."""
    server = Server(models=[fake_model("fake"), fake_model("blind")])
    yield server
    assert server.stop() == 0


@pytest.fixture
def start(fake_model):
    """Starts servers that the test may harm: start(*options, name="fake")."""
    servers = []

    def begin(*options, names=("fake",), **more):
        server = Server(*options, models=[fake_model(name) for name in names], **more)
        servers.append(server)
        return server

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def model_path(programs):
    path = os.environ.get("VLMD_TEST_MODEL", "models/vlmd-tiny")
    folder = pathlib.Path(path) if os.path.isabs(path) else ROOT / path
    if not (folder / "config.json").exists():
        pytest.skip(f"SKIPPED: no model at {folder} (VLMD_TEST_MODEL names another)")
    return folder


@pytest.fixture(scope="session")
def real(model_path):
    """One server with the real worker."""
    server = Server(models=[model_path], fake=False)
    yield server
    assert server.stop() == 0
