#!/usr/bin/env python3
"""Runs tests of promises at full count and prints one table: each promise, how often it was tried, what was measured, the limit, and
whether it was held. `make faults` and `make load-tests` run it.

    python3 tests/load/table.py faults|load --pytest "pytest" [--share 1.0]

faults  children that die, clients that vanish, ends in mid-stream (tests/e2e/test_faults.py); --share runs a part of the counts
load    many and slow connections and the cost of a token (tests/load/connections.py), JSONTestSuite, raw HTTP

Exits with 1 when a promise was missed or could not be tried, and says why: a row is held only by a measurement."""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITE = pathlib.Path(os.environ.get("JSON_TEST_SUITE", ROOT / "build" / "JSONTestSuite"))

# The rows in the table's order, and their limits.
FAULTS = {
    "workers that die under load": "0 hung, ready again within load time + 1 s",
    "real workers that die under load": "0 hung, ready again within load time + 1 s",
    "real workers without address space": "one error or a whole answer each, others unharmed",
    "real workers that the system ends for memory": "one error or a whole answer each, others unharmed",
    "decoders that die under load": "0 hung",
    "fetchers that die under load": "0 hung",
    "fronts that die": "0 orphans after 2 s",
    "clients that vanish": "worker stops within 1 s, nothing left",
    "SIGTERM in mid-stream": "exit status 0 within the drain time",
}
LOAD = {
    "idle connections: memory of each": "8192 bytes",
    "idle connections: a new request": "5 ms",
    **{f"{kind} that trickle: {what}": limit for kind in ("silence", "heads", "bodies", "readers")
       for what, limit in (("closed by their deadline", f"{30 if kind == 'readers' else 15} s"), ("99th percentile of others", "2 times"))},
    "a token at 64 streams, flat out": "5 us",
    "a token at 64 streams, 50 a second each": "5 us",
    "JSONTestSuite": "all files as expected",
    "hostile raw HTTP requests": "at least 300, all refused or read as RFC 9112 says",
}


def run(command, rows, **more):
    """Returns what the command printed; it is shown as it comes."""
    print("+", shlex.join(command), flush=True)
    environment = {**os.environ, "VLMD_ROWS": str(rows), "PYTHONUNBUFFERED": "1", **more}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    printed = ""
    for line in process.stdout:
        printed += line
        print(line, end="", flush=True)
    process.wait()
    return printed


def tests(pytest, file, row, rows, least, *options):
    """A row that a whole file of tests holds."""
    printed = run([*pytest, "-q", "-rs", *options, file], rows)
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", printed.strip().rpartition("\n")[2])}
    passed, others = counts.pop("passed", 0), sum(counts.values())
    with open(rows, "a", encoding="utf-8") as out:
        held = passed >= least and others == 0
        out.write(json.dumps({"row": row, "count": passed + others, "figure": f"{passed} as expected, {others} not", "held": held}) + "\n")


def json_suite(pytest, rows):
    """Fetched once, unless JSON_TEST_SUITE says where it is."""
    if "JSON_TEST_SUITE" not in os.environ and subprocess.run([ROOT / "tools" / "json_test_suite.sh"]).returncode != 0:
        print("JSONTestSuite could not be fetched: JSON_TEST_SUITE=FOLDER names a copy of github.com/nst/JSONTestSuite")
        return
    if not list((SUITE / "test_parsing").glob("*.json")):
        print(f"no JSONTestSuite at {SUITE}: JSON_TEST_SUITE=FOLDER names a copy of github.com/nst/JSONTestSuite")
        return
    run([*pytest, "-q", "-s", "-rs", "tests/e2e/test_json.py"], rows)


def print_table(limits, found):
    """Returns how many rows were not held."""
    wide = max(len(row) for row in limits)
    broken = 0
    print(f"\n{'':7} {'promise':{wide}}  {'count':>6}  measured; limit")
    for row, limit in limits.items():
        measured = found.get(row)
        word = "not run" if not measured else "held" if measured["held"] else "MISSED"
        broken += word != "held"
        count, figure = (measured["count"], measured["figure"]) if measured else ("-", "did not run or failed on the way, see above")
        print(f"{word:7} {row:{wide}}  {count:>6}  {figure}; {limit}")
    return broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("faults", "load"))
    parser.add_argument("--pytest", default="pytest", help="the command that runs pytest")
    parser.add_argument("--share", type=float, default=1, help="of the counts, for a look at the faults (1)")
    arguments = parser.parse_args()
    pytest = shlex.split(arguments.pytest)
    with tempfile.TemporaryDirectory() as folder:
        rows = pathlib.Path(folder) / "rows"
        rows.touch()
        if arguments.what == "faults":
            run([*pytest, "-q", "-s", "-rs", "tests/e2e/test_faults.py"], rows, VLMD_FAULTS=str(arguments.share))
        else:
            for part in "idle", "trickles", "tokens":
                run([sys.executable, "tests/load/connections.py", "--only", part], rows)
            json_suite(pytest, rows)
            tests(pytest, "tests/e2e/test_raw_http.py", "hostile raw HTTP requests", rows, 300)
        found = {row["row"]: row for row in map(json.loads, rows.read_text().splitlines())}
    sys.exit(1 if print_table(FAULTS if arguments.what == "faults" else LOAD, found) else 0)


if __name__ == "__main__":
    main()
