"""Asks build/vlmd about the files in samples/ and compares its words with transformers'.

    python3 tests/parity/engine/samples.py [--program build/vlmd] [--isa auto] [FIXTURE]

FIXTURE is tests/parity/engine/samples.json, made by tools/fixtures/engine_samples.py. The program
runs as a user runs it: files in, text on standard output.
"""

import argparse
import json
import os
import subprocess
import sys


def ask(program, isa, fixture, case):
    command = [program, "run", "--model", fixture["checkpoint"], "--isa", isa, "--temperature", "0"]
    command += ["--max-tokens", str(fixture["limit"]), *case["images"], case["prompt"]]
    done = subprocess.run(command, capture_output=True, timeout=120)
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    return done.stdout.decode(errors="replace").removesuffix("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/vlmd")
    parser.add_argument("--isa", default="auto")
    parser.add_argument("fixture", nargs="?", default="tests/parity/engine/samples.json")
    args = parser.parse_args()
    if not os.path.exists(args.fixture):
        print(f"SKIPPED samples: {args.fixture} is not there")
        return 0
    with open(args.fixture, encoding="utf-8") as file:
        fixture = json.load(file)
    failed = 0
    for case in fixture["cases"]:
        found = ask(args.program, args.isa, fixture, case)
        if found != case["text"]:
            failed += 1
            print(f"FAIL {' '.join(case['images'])}: {case['prompt']}\n  {found!r}\n  wanted {case['text']!r}")
    print(f"samples: {args.isa} kernels, greedy text of {len(fixture['cases'])} questions")
    print(f"{len(fixture['cases']) - failed} passed, {failed} failed")
    return 1 if failed or not fixture["cases"] else 0


if __name__ == "__main__":
    sys.exit(main())
