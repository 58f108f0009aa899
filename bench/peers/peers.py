"""Runs vlmd and its peers in turn, pair by pair, on checkpoints with random weights of real shapes, and appends every
pair to a CSV. `make bench-peers` calls it; the same by hand:

    python bench/peers/peers.py --ours build/bench/peers_ours --work build/peers/models \\
        --models 3b --peers llama-q4_0 mlx --only decode prefill --pairs 5 --prefix "chrt -f 10"

A peer may be given by its beginning (llama, transformers), a measure too (decode, decode-8192). Checkpoints are made
when they are missing. A cell that has enough pairs of the same vlmd (--version, git's by default) and peer is not run again,
so an interrupted run goes on where it was. The process that is not at work is stopped, so that its threads wait nowhere.
"""

import argparse
import csv
import datetime
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time

import make_models

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COLUMNS = ("date", "model", "measure", "unit", "vlmd", "peer", "vlmd_version", "peer_name", "peer_version", "prefix")
ENGINE = ("src/backend", "src/engine", "src/model", "src/ops", "src/format")  # what the figures depend on
TEXT = 30  # tokens of text after an image
KV_TOKENS = 9216
# measure: the line that a driver is sent
LINES = {
    "decode-0": "decode 1 0 8",
    "decode-2048": "decode 1 2048 6",
    "decode-8192": "decode 1 8192 4",
    "batch-4": "decode 4 0 4",
    "batch-8": "decode 8 0 4",
    "batch-16": "decode 16 0 3",
    "prefill-32": "prefill 32",
    "prefill-512": "prefill 512",
    "prefill-2048": "prefill 2048",
    "vision-392": "vision 392",
    "vision-784": "vision 784",
    "vision-1036": "vision 1036",
    "first-1036": f"first 1036 {TEXT}",
}
LOADS = ("load-cold", "load-warm")
MEMORY = "memory-1036"  # peak of the process after first-1036
MEASURES = (*LOADS, *LINES)
PEERS = {  # name: (driver, files it reads, arguments before the threads)
    "llama-q4_0": ("peer_llama.py", ("q4_0.gguf", "mmproj.gguf"), ()),
    "llama-q4_1": ("peer_llama.py", ("q4_1.gguf", "mmproj.gguf"), ()),
    "llama-q4_k_m": ("peer_llama.py", ("q4_k_m.gguf", "mmproj.gguf"), ()),
    "llama-avx2-q4_0": ("peer_llama.py", ("q4_0.gguf", "mmproj.gguf"), ()),
    "llama-avx2-q4_1": ("peer_llama.py", ("q4_1.gguf", "mmproj.gguf"), ()),
    "llama-avx2-q4_k_m": ("peer_llama.py", ("q4_k_m.gguf", "mmproj.gguf"), ()),
    "mlx": ("peer_mlx.py", ("mlx",), ()),
    "transformers-bf16": ("peer_transformers.py", ("mlx",), ("bf16",)),
    "transformers-f32": ("peer_transformers.py", ("mlx",), ("f32", "--vision-only")),
    "transformers-avx2-bf16": ("peer_transformers.py", ("mlx",), ("bf16",)),
    "transformers-avx2-f32": ("peer_transformers.py", ("mlx",), ("f32", "--vision-only")),
}
# Peers with avx2 in their names, and vlmd beside them, run as on a processor without AVX-512: llama.cpp from a second build
# of it (setup.py puts it beside the first), torch told so.
AVX2 = {
    "PYTHONPATH": os.path.join(sys.prefix, "avx2"),
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


STEPS_OF_SLOW_PEERS = 1  # of decode, where one takes seconds; the first step is never counted


class TooSlow(Exception):
    pass


class Driver:
    """A process that answers the lines of bench/peers/ours.c."""

    def __init__(self, command, log, environment):
        self.log = open(log, "ab")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process = subprocess.Popen(command, **pipes, text=True, bufsize=1, env={**os.environ, **environment})
        self.stopped = False
        word, seconds, self.name = self.read(1200).split(" ", 2)
        if word != "ready":
            raise RuntimeError(f"{command[0]} does not start; see {log}")
        self.load_seconds = float(seconds)

    def read(self, limit):
        end = time.monotonic() + limit
        while True:
            if select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                line = self.process.stdout.readline()
                if not line:
                    raise RuntimeError(f"it died; see {self.log.name}")
                if line.split(" ")[0] in ("ready", "seconds", "error"):
                    return line.strip()
            elif time.monotonic() >= end:
                raise TooSlow

    def ask(self, line, limit):
        """Seconds; the process runs for as long as it answers."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(line + "\n")
        answer = self.read(limit)
        self.process.send_signal(signal.SIGSTOP)
        word, rest = answer.split(" ", 1)
        if word != "seconds":
            raise RuntimeError(rest)
        return float(rest)

    def peak_memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()
        self.log.close()


class Bench:
    def __init__(self, args):
        self.args = args
        self.prefix = shlex.split(args.prefix)
        self.path = os.path.join(args.results, args.machine + ".csv")
        self.rows = []
        if os.path.exists(self.path):
            with open(self.path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def folder(self, model):
        return os.path.join(self.args.work, model)

    def files(self, model, peer):
        """Absolute paths of what a peer reads (peer None: vlmd)."""
        names = PEERS[peer][1] if peer else ("mlx",)
        return [os.path.abspath(os.path.join(self.folder(model), name)) for name in names]

    def start(self, model, peer, beside=None):
        """A peer, or (peer None) vlmd as it is measured beside one: held to AVX2 where that is."""
        log = os.path.join(self.args.work, f"{peer or 'vlmd'}.log")
        threads = str(self.args.threads)
        if not peer:
            command = [os.path.abspath(self.args.ours), *self.files(model, None), threads, str(KV_TOKENS)]
            command += ["avx2"] if "avx2" in beside else []
        else:
            driver, _, more = PEERS[peer]
            command = [sys.executable, os.path.join(HERE, driver), *self.files(model, peer), *more]
            if driver != "peer_mlx.py":
                command += ["--threads", threads]
            if driver == "peer_llama.py":
                command += ["--states", os.path.abspath(os.path.join(self.folder(model), "states"))]
        started = Driver(self.prefix + command, log, AVX2 if peer and "avx2" in peer else {})
        started.process.send_signal(signal.SIGSTOP)
        return started

    def done(self, model, measure, peer):
        """How many pairs there are of this vlmd; one that took too long is enough."""
        key = (model, measure, peer, self.args.version)
        rows = [r for r in self.rows if (r["model"], r["measure"], r["peer_name"], r["vlmd_version"]) == key]
        return self.args.pairs if any(str(r["peer"]).startswith(">") for r in rows) else len(rows)

    def record(self, model, measure, peer, ours, theirs, versions, unit="s"):
        row = {
            "date": datetime.date.today().isoformat(),
            "model": model,
            "measure": measure,
            "unit": unit,
            "vlmd": ours,
            "peer": theirs,
            "vlmd_version": self.args.version,
            "peer_name": peer,
            "peer_version": versions,
            "prefix": self.args.prefix,
        }
        self.rows.append(row)
        new = not os.path.exists(self.path)
        os.makedirs(self.args.results, exist_ok=True)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(f"{model} {measure:13} vlmd {ours} {unit}, {peer} {theirs}", flush=True)

    def make(self, model, peer):
        formats = {name.removesuffix(".gguf") for name in (*PEERS[peer][1], "mlx")}
        make_models.make(model, self.folder(model), self.args.tiny, sorted(formats))

    def ask_peer(self, driver, line, peer):
        """Seconds as text; ">LIMIT" when it took longer, after which the driver is of no use."""
        if line.startswith("decode") and peer == "mlx":
            line = f"{line.rpartition(' ')[0]} {STEPS_OF_SLOW_PEERS}"
        try:
            return f"{driver.ask(line, self.args.limit):.6f}"
        except TooSlow:
            return f">{self.args.limit}"

    def cell(self, model, measure, peer, ours, theirs):
        """Pairs until there are enough or the time is over, at least one. False: the peer must be started again."""
        begin = time.monotonic()
        have = self.done(model, measure, peer)
        first = True
        while have < self.args.pairs and (first or time.monotonic() - begin < self.args.budget):
            first = False
            peer_first = have % 2
            answer = self.ask_peer(theirs, LINES[measure], peer) if peer_first else None
            own = f"{ours.ask(LINES[measure], 3600):.6f}"
            answer = answer or self.ask_peer(theirs, LINES[measure], peer)
            self.record(model, measure, peer, own, answer, theirs.name)
            have += 1
            if answer.startswith(">"):
                return False
        return True

    def memory(self, model, measure, peer):
        """A pair in fresh processes, for the time and for what they needed at most."""
        ours, theirs = self.start(model, None, peer), self.start(model, peer)
        try:
            alive = self.cell(model, measure, peer, ours, theirs)
            if alive and not self.done(model, MEMORY, peer):
                peaks = ours.peak_memory(), theirs.peak_memory()
                self.record(model, MEMORY, peer, *peaks, theirs.name, "bytes")
        finally:
            ours.close()
            theirs.close()

    def loads(self, model, measure, peer):
        for _ in range(self.done(model, measure, peer), min(self.args.pairs, 3)):
            seconds = []
            for who in (None, peer):
                sizes = prepare_files(self.files(model, who), cold=measure == "load-cold")
                driver = self.start(model, who, peer)
                seconds.append(f"{driver.load_seconds:.6f}")
                name = f"{driver.name}; {sizes}"
                driver.close()
            self.record(model, measure, peer, *seconds, name)

    def run_peer(self, model, peer):
        wanted = [m for m in MEASURES if chosen(m, self.args.only) and self.done(model, m, peer) < self.needed(m)]
        if peer.startswith("transformers"):
            wanted = [m for m in wanted if m not in LOADS]
        if peer.startswith("transformers") and peer.endswith("f32"):
            wanted = [m for m in wanted if m.startswith("vision")]
        if not wanted:
            return
        self.make(model, peer)
        for measure in [m for m in wanted if m in LOADS]:
            self.loads(model, measure, peer)
        ours = theirs = None
        too_slow = set()
        try:
            for measure in [m for m in wanted if m in LINES and not m.startswith("first")]:
                if measure.split("-")[0] in too_slow:
                    continue
                ours = ours or self.start(model, None, peer)
                theirs = theirs or self.start(model, peer)
                try:
                    alive = self.cell(model, measure, peer, ours, theirs)
                except RuntimeError as error:
                    print(f"{model} {measure} {peer}: {error}", flush=True)
                    alive = False
                if not alive:
                    too_slow.add(measure.split("-")[0])
                    theirs.close()
                    theirs = None
        finally:
            for driver in (ours, theirs):
                if driver:
                    driver.close()
        for measure in [m for m in wanted if m.startswith("first")]:
            if not too_slow & {"vision", "prefill"}:
                self.memory(model, measure, peer)

    def needed(self, measure):
        return min(self.args.pairs, 3) if measure in LOADS else self.args.pairs


def prepare_files(paths, cold):
    """Takes files out of the page cache or puts them in; says how long reading them took."""
    total, begin = 0, time.monotonic()
    for path in paths:
        names = [os.path.join(path, f) for f in os.listdir(path)] if os.path.isdir(path) else [path]
        for name in names:
            for evict in (True, False, True) if cold else (False,):
                total += touch(name, evict)
    return f"read {total / 1e9:.2f} GB in {time.monotonic() - begin:.2f} s"


def touch(name, evict):
    with open(name, "rb", buffering=0) as file:
        if evict:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return 0
        size = 0
        while block := file.read(1 << 22):
            size += len(block)
        return size


def chosen(name, beginnings):
    return not beginnings or any(name.startswith(b) for b in beginnings)


def machine_name():
    """The processor's name, family and model, and its cores: what tells results apart."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].split("\n") if ":" in line)
    facts = {k.strip(): v.strip() for k, v in facts.items()}
    parts = [facts.get("model name", os.uname().machine), facts.get("cpu family", ""), facts.get("model", "")]
    parts.append(f"{os.cpu_count()}cores")
    return re.sub("[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def git_version():
    command = ["git", "-C", ROOT, "log", "-1", "--format=%h", "--", *ENGINE]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/bench/peers_ours", help="the driver made of bench/peers/ours.c")
    parser.add_argument("--work", default="build/peers/models", help="where checkpoints and logs are")
    parser.add_argument("--tiny", default=os.path.join(ROOT, "models", "vlmd-tiny"), help="for its tokenizer")
    parser.add_argument("--models", nargs="+", choices=make_models.MODELS, default=["3b"])
    parser.add_argument("--peers", nargs="+", help=" ".join(PEERS))
    parser.add_argument("--only", nargs="+", help=" ".join(MEASURES))
    parser.add_argument("--pairs", type=int, default=5, help="of each cell (5)")
    parser.add_argument("--budget", type=float, default=60, help="seconds a cell may take before it begins another pair (60)")
    parser.add_argument("--limit", type=float, default=300, help="seconds that a peer may take for one answer (300)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prefix", default="", help='before every command, e.g. "chrt -f 10"')
    parser.add_argument("--results", default=os.path.join(ROOT, "bench", "results"))
    parser.add_argument("--machine", default=machine_name())
    parser.add_argument("--version", default=git_version(), help="of vlmd, for the table")
    args = parser.parse_args()
    bench = Bench(args)
    for model in args.models:
        for peer in PEERS:
            if chosen(peer, args.peers):
                bench.run_peer(model, peer)


if __name__ == "__main__":
    main()
