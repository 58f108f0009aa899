"""What ships under deploy/ and the daemon's script: every name in them exists, and what they promise happens."""

import configparser
import contextlib
import json
import os
import pathlib
import plistlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from client import FAKE_WORKER, PROGRAM, ROOT, eventually, gone
from prometheus import Page

DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "vlmd.json"
RULES = DEPLOY / "prometheus" / "vlmd.rules.yml"
SCRIPT = ROOT / "bin" / "mlx-inference-server-daemon.sh"
FUNCTIONS = {"sum", "by", "rate", "increase", "deriv", "histogram_quantile", "clamp_min", "and", "or", "label_values", "up"}


@pytest.fixture(scope="module")
def page(fake):
    fake.chat("say hello")
    return Page(fake.get("/metrics").body.decode())


def check_expression(page, expr):
    """Names, labels and label values of an expression are those of the page."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    without = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", bare)
    names = [n for n in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", without) if n not in FUNCTIONS and not re.fullmatch(r"e\d*", n)]
    assert names or "up{" in expr, expr
    for name in names:
        assert name in page.names(), f"{name} in {expr} does not exist"
        kind = page.families[re.sub("_(bucket|sum|count)$", "", name) if name not in page.families else name][0]
        if re.search(rf"(rate|increase)\({name}\b", bare):
            assert kind in ("counter", "histogram"), f"rate of the {kind} {name}"
        if "histogram_quantile" in bare:
            assert name.endswith("_bucket"), expr
    for name, inside in re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}", expr):
        labels = {label for sample in page.labels(name) for label in sample} | {"instance", "job"}
        for label in re.findall(r"([a-z_]+)=", inside):
            assert label in labels, f"{name} has no label {label}"
    for group in re.findall(r"by \(([^)]*)\)", expr):
        for label in re.split(r",\s*", group):
            known = {label for name in names for sample in page.labels(name) for label in sample}
            assert label in known | {"instance"}, f"by ({label}) in {expr}"


def test_dashboard(page):
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) > 20
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    seen = set()
    for panel in panels:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            check_expression(page, target["expr"])
            seen |= set(re.findall(r"vlmd_[a-z_]+", target["expr"]))
    missing = {family for family in page.families if family.startswith("vlmd_")} - {re.sub("_bucket$", "", n) for n in seen}
    assert not missing, f"nobody sees {missing}"


def test_alerts(page):
    text = RULES.read_text()
    expressions = [
        re.sub(r"\s+", " ", expr).removeprefix("> ").strip()
        for expr in re.findall(r"expr: (.*?)\n\s+(?:for|labels):", text, re.S)
    ]
    names = re.findall(r"- alert: (\w+)", text)
    assert len(expressions) == len(names) == len(set(names)) > 8
    for expr in expressions:
        check_expression(page, expr)
    operations = (ROOT / "docs" / "OPERATIONS.md").read_text()
    for name in names:
        assert f"`{name}`" in operations, f"docs/OPERATIONS.md does not say what to do about {name}"
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "rules", RULES], check=True)


def test_every_metric_is_documented(page):
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    for family in page.families:
        if family.startswith("vlmd_"):
            assert f"`{family}`" in text, f"{family} is not in docs/OPERATIONS.md"


# ---- systemd and launchd


def test_plist():
    plist = plistlib.loads((DEPLOY / "launchd" / "io.github.vlmd.plist").read_bytes())
    assert plist["ProgramArguments"][1] == "serve" and plist["Umask"] == 0o077


def test_systemd_unit():
    unit = DEPLOY / "systemd" / "vlmd.service"
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    assert parser["Service"]["Type"] == "notify" and parser["Service"]["NoNewPrivileges"] == "yes"
    if not shutil.which("systemd-analyze"):
        pytest.skip("SKIPPED: no systemd-analyze")
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True).stderr
    for line in said.splitlines():
        assert "not executable" in line or "vlmd" not in line, line
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stdout[-2000:]


def allowed_calls(unit):
    """The system calls that the unit's SystemCallFilter lines leave."""
    sets, current = {}, None
    for line in subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True).stdout.splitlines():
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            current.add(line.strip())

    def members(name):
        if not name.startswith("@"):
            return {name}
        return set().union(*(members(n) for n in sets[name]))

    allowed = set(members("@default"))
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.M):
        for name in line.lstrip("~").split():
            allowed = allowed - members(name) if line.startswith("~") else allowed | members(name)
    return allowed


def test_system_calls_are_those_of_the_unit(model_path, tmp_path):
    """What front, worker, decoder and fetcher ask of the system, by strace, is what the unit allows."""
    if not shutil.which("strace") or not shutil.which("systemd-analyze"):
        pytest.skip("SKIPPED: no strace or systemd-analyze")
    import client

    trace = tmp_path / "trace"
    wrapper = tmp_path / "vlmd"
    wrapper.write_text(f'#!/bin/sh\nexec strace -f -qq -o {trace} -- {PROGRAM} "$@"\n')
    wrapper.chmod(0o755)
    program, client.PROGRAM = client.PROGRAM, wrapper
    try:
        server = client.Server(models=[model_path], fake=False, wait=False)
    finally:
        client.PROGRAM = program
    eventually(lambda: server.get("/ready").status == 200, 120, "the model")
    image = client.image_part(client.png(60, 60))
    answer = server.chat([image, client.text_part("What is this?")], max_tokens=2)
    named = {"type": "image_url", "image_url": {"url": "http://localhost/"}}
    assert server.chat([named, client.text_part("What is this?")]).status == 400
    front = server.children()[0]
    assert server.get("/metrics").status == 200
    os.kill(front, signal.SIGTERM)
    server.process.wait(30)
    if answer.status != 200 and b"sandbox" in answer.body:
        pytest.skip("SKIPPED: the decoder's sandbox does not work under strace here")
    assert answer.status == 200, answer.body
    lines = trace.read_text(errors="replace").splitlines()
    # Exec and what the shell did before it do not count: systemd starts the program itself.
    calls = {found.group(1) for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert {"seccomp", "epoll_ctl", "mmap"} <= calls
    assert calls <= allowed_calls(DEPLOY / "systemd" / "vlmd.service")


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def read(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, key):
        while True:
            message = self.read()
            if key in message:
                return message


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears_of_readiness_life_and_end(start, tmp_path, abstract):
    address = f"\0vlmd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager = Manager(address)
    env = {**os.environ, "NOTIFY_SOCKET": address.replace("\0", "@"), "WATCHDOG_USEC": "300000"}
    server = start(env=env)
    assert manager.until("READY") == {"READY": "1", "STATUS": "serving"}
    began = time.monotonic()
    for _ in range(5):
        assert manager.until("WATCHDOG") == {"WATCHDOG": "1"}
    assert time.monotonic() - began < 2
    os.kill(server.process.pid, signal.SIGSTOP)  # a front that does not turn is silent
    time.sleep(0.2)
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.read()
    time.sleep(0.4)
    with pytest.raises(BlockingIOError):
        manager.read()
    manager.socket.settimeout(10)
    os.kill(server.process.pid, signal.SIGCONT)
    manager.until("WATCHDOG")
    os.kill(server.process.pid, signal.SIGTERM)
    assert manager.until("STOPPING")["STOPPING"] == "1"


def test_the_watchdog_of_another_process_is_not_ours(start, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    start(env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.until("READY")
    manager.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.read()


def open_files(process):
    """What the descriptors of a process that is at work name; one may be closed while they are read."""
    names = set()
    for descriptor in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.add(os.readlink(f"/proc/{process}/fd/{descriptor}"))
    return names


def test_a_passed_socket_is_listened_on(fake_model, tmp_path):
    """As systemd does it: sockets from descriptor 3 on, the process's own number in LISTEN_PID."""
    listeners = []
    for _ in range(2):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listeners.append(listener)
    api, admin = (listener.getsockname()[1] for listener in listeners)
    early = socket.create_connection(("127.0.0.1", api), timeout=30)  # waits until somebody accepts
    early.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    log = tmp_path / "log"
    shell = (
        f"exec 3<&{listeners[1].fileno()} 4<&{listeners[0].fileno()}; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:api "
        f"exec {PROGRAM} serve --port 1 --admin-port 2 --worker-program {FAKE_WORKER} --model {fake_model('fake')} 2>{log}"
    )
    process = subprocess.Popen(["bash", "-c", shell], pass_fds=[listener.fileno() for listener in listeners])
    try:
        assert b"200 OK" in early.recv(4096)
        eventually(lambda: f"listening on http://127.0.0.1:{api}, admin on http://127.0.0.1:{admin}" in log.read_text())
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        for child in children:  # no listening socket and no word of it in a child
            assert not open_files(child) & {os.readlink(f"/proc/self/fd/{listener.fileno()}") for listener in listeners}
            assert b"LISTEN_" not in pathlib.Path(f"/proc/{child}/environ").read_bytes()
    finally:
        process.terminate()
        assert process.wait(20) == 0


# ---- the daemon's script


@pytest.fixture
def daemon(fake_model, tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    env = {
        **os.environ, "MLX_LOG_DIR": str(tmp_path / "logs"), "MLX_PID_FILE": str(tmp_path / "pid"), "VLMD_PROGRAM": str(PROGRAM),
        "VLMD_PORT": str(ports[0]), "MLX_ADMIN_PORT": str(ports[1]), "VLMD_WORKER_PROGRAM": str(FAKE_WORKER),
    }
    options = ["--worker-program", str(FAKE_WORKER), "--model", str(fake_model("fake"))]

    def run(command, *more):
        return subprocess.run([SCRIPT, command, *more], env=env, capture_output=True, text=True, timeout=60)

    run.options, run.pid_file, run.log, run.ports = options, tmp_path / "pid", tmp_path / "logs" / "mlx-inference-server.log", ports
    run.env = env
    yield run
    run("stop")


def test_daemon(daemon):
    assert daemon("status").returncode == 1
    assert daemon("stop").returncode == 1
    started = daemon("start", *daemon.options)
    assert started.returncode == 0, started.stdout + started.stderr
    pid = int(daemon.pid_file.read_text())
    assert f"PID: {pid}" in started.stdout
    again = daemon("start", *daemon.options)
    assert again.returncode == 1 and "already running" in again.stdout
    status = daemon("status")
    assert status.returncode == 0 and "Main API: ✓" in status.stdout and "Admin API: ✓" in status.stdout
    assert "listening on" in daemon.log.read_text()
    restarted = daemon("restart", *daemon.options)
    assert restarted.returncode == 0, restarted.stdout + restarted.stderr
    assert gone(pid)
    pid = int(daemon.pid_file.read_text())
    stopped = daemon("stop")
    assert stopped.returncode == 0 and gone(pid) and not daemon.pid_file.exists()
    assert daemon.log.read_text().count("stopped") == 2


def test_daemon_that_cannot_start(daemon):
    failed = daemon("start", "--port", "notaport")
    assert failed.returncode == 1 and "failed to start" in failed.stderr and not daemon.pid_file.exists()
    assert daemon("nonsense").returncode == 1


def test_daemon_does_not_kill_strangers(daemon):
    """A pid file that names somebody else's process is no reason to end it."""
    stranger = subprocess.Popen(["sleep", "60"])
    daemon.pid_file.write_text(f"{stranger.pid}\n")
    assert daemon("status").returncode == 1
    assert daemon("stop").returncode == 1
    assert stranger.poll() is None
    assert daemon("start", *daemon.options).returncode == 0
    assert int(daemon.pid_file.read_text()) != stranger.pid
    stranger.kill()
    stranger.wait()


def test_daemon_logs(daemon):
    assert daemon("logs").returncode == 1
    assert daemon("start", *daemon.options).returncode == 0
    follow = subprocess.Popen([SCRIPT, "logs"], env=daemon.env, stdout=subprocess.PIPE, text=True)
    assert "front" in follow.stdout.readline()
    follow.kill()
    follow.wait()
