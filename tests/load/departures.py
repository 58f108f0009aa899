#!/usr/bin/env python3
"""How long a real model goes on working for a client that has left: in the vision tower, in a prefill and while it decodes.

    python3 tests/load/departures.py MODEL [--rounds 4] [--seed 1]

MODEL is a checkpoint of some size (3B: pieces of work are long there). Each client leaves at a random moment; the worker is at rest when
its processor time has stood still for half a second. Fails when one takes longer than a second, or left after its answer was done."""

import argparse
import os
import pathlib
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from client import Server, image_part, png, text_part, user  # noqa: E402

SIDE = 1036
LIMIT = 1.0
STILL = 0.5
KINDS = {  # what is asked, and when the client leaves: seconds
    "vision tower": ([image_part(png(SIDE, SIDE)), text_part("What is this?")], 5, (0.5, 10)),
    "prefill": ([text_part("word " * 2000)], 5, (0.3, 10)),
    "decode": ([text_part("word")], 400, (1.0, 5)),
}


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def seconds_to_rest(pid):
    began = since = time.monotonic()
    used = processor_time(pid)
    while time.monotonic() - since < STILL:
        time.sleep(0.01)
        now = processor_time(pid)
        if now - used > 0.01:
            used, since = now, time.monotonic()
    return since - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, worst, left = random.Random(arguments.seed), 0.0, 0
    server = Server(models=[arguments.model], fake=False)
    try:
        assert server.chat([text_part("word")], max_tokens=1).status == 200, server.log()
        for _ in range(arguments.rounds):
            for kind, (content, most, when) in KINDS.items():
                body = {"model": server.model, "messages": [user(content)], "max_tokens": most, "stream": True}
                connection = server.connect(body)
                delay = chance.uniform(*when)
                time.sleep(delay)
                connection.close()
                rest = seconds_to_rest(server.worker_pid())
                print(f"{kind}: left after {delay:.2f} s, at rest {rest:.2f} s later", flush=True)
                worst, left = max(worst, rest), left + 1
        seen = server.log().count("the client went away")
    finally:
        server.stop()
    print(f"{left} clients left, {seen} of them in the middle of the work; the slowest rest after {worst:.2f} s (limit {LIMIT:g} s)")
    return 0 if worst <= LIMIT and seen == left else 1


if __name__ == "__main__":
    sys.exit(main())
