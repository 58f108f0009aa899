"""Writes the table of bench/results/*.csv into docs/SPEED.md, between the two lines that mark it.

    python3 bench/peers/table.py bench/results docs/SPEED.md

A figure of vlmd or of a peer is the median of its pairs; a ratio is the median of the pairs' ratios, which is not
exactly the ratio of the two figures. Of each cell the rows of the vlmd that was measured last count, alone; where that
is not the newest of the line's, the cell has a dagger.
"""

import csv
import itertools
import os
import sys

BEGIN, END = "<!-- make bench-peers-table: begin -->", "<!-- make bench-peers-table: end -->"
ROWS = {  # measure: (what, how much is done in those seconds, unit of the figure)
    "decode-0": ("decode, context 0", 1, "tok/s"),
    "decode-2048": ("decode, context 2048", 1, "tok/s"),
    "decode-8192": ("decode, context 8192", 1, "tok/s"),
    "batch-4": ("decode, batch 4", 4, "tok/s"),
    "batch-8": ("decode, batch 8", 8, "tok/s"),
    "batch-16": ("decode, batch 16", 16, "tok/s"),
    "prefill-32": ("prefill, 32 tokens", 32, "tok/s"),
    "prefill-512": ("prefill, 512 tokens", 512, "tok/s"),
    "prefill-2048": ("prefill, 2048 tokens", 2048, "tok/s"),
    "vision-392": ("vision tower, 392 px", None, "s"),
    "vision-784": ("vision tower, 784 px", None, "s"),
    "vision-1036": ("vision tower, 1036 px", None, "s"),
    "first-1036": ("first token, one 1036 px image", None, "s"),
    "load-warm": ("load, file in memory", None, "s"),
    "load-cold": ("load, file not in memory", None, "s"),
    "memory-1036": ("peak memory, one 1036 px image", None, "GB"),
}
PEERS = {
    "llama-q4_0": "llama.cpp Q4_0",
    "llama-q4_1": "llama.cpp Q4_1",
    "llama-q4_k_m": "llama.cpp Q4_K_M",
    "llama-avx2-q4_0": "llama.cpp Q4_0",
    "llama-avx2-q4_1": "llama.cpp Q4_1",
    "llama-avx2-q4_k_m": "llama.cpp Q4_K_M",
    "mlx": "mlx-vlm",
    "transformers-bf16": "transformers bf16",
    "transformers-f32": "transformers f32",
    "transformers-avx2-bf16": "transformers bf16",
    "transformers-avx2-f32": "transformers f32",
}


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def number(text):
    return float(text.lstrip(">"))


def figure(seconds, work, unit):
    """A reader's number: tokens a second, seconds or GB, with three digits."""
    value = seconds / 1e9 if unit == "GB" else work / seconds if work else seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def latest(rows):
    return [r for r in rows if r["vlmd_version"] == rows[-1]["vlmd_version"]]


def ratio_of(rows):
    """More than 1: vlmd is the better one."""
    ratio = median([number(r["peer"]) / number(r["vlmd"]) for r in rows])
    return ("> " if any(r["peer"].startswith(">") for r in rows) else "") + f"{ratio:.2f}x"


def cell(rows, newest, work, unit):
    if not rows:
        return ""
    old = "" if rows[-1]["vlmd_version"] == newest else " †"
    if rows[-1]["peer"].startswith(">"):
        theirs = ("under " if work else "over ") + figure(number(rows[-1]["peer"]), work, unit)
    else:
        theirs = figure(median([number(r["peer"]) for r in rows]), work, unit)
    return f"{theirs} ({ratio_of(rows)}){old}"


def table_of(rows):
    """One model's lines."""
    peers = [p for p in PEERS if any(r["peer_name"] == p for r in rows)]
    yield "| | vlmd | " + " | ".join(PEERS[p] for p in peers) + " |"
    yield "|---" * (len(peers) + 2) + "|"
    for measure, (what, work, unit) in ROWS.items():
        by_peer = {p: [r for r in rows if r["measure"] == measure and r["peer_name"] == p] for p in peers}
        by_peer = {p: latest(found) for p, found in by_peer.items() if found}
        if not by_peer:
            continue
        newest = [r for r in rows if r["measure"] == measure][-1]["vlmd_version"]
        own = [number(r["vlmd"]) for found in by_peer.values() for r in found if r["vlmd_version"] == newest]
        cells = [cell(by_peer.get(p, []), newest, work, unit) for p in peers]
        yield f"| {what}, {unit} | {figure(median(own), work, unit)} | " + " | ".join(cells) + " |"


def sections(folder):
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".csv"):
            continue
        with open(os.path.join(folder, name), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for model, avx2 in itertools.product(dict.fromkeys(r["model"] for r in rows), (False, True)):
            of_model = [r for r in rows if r["model"] == model and ("avx2" in r["peer_name"]) == avx2]
            if not of_model:
                continue
            versions = list(dict.fromkeys(r["vlmd_version"] for r in of_model))
            peers = list(dict.fromkeys(r["peer_version"].split(";")[0].split(", ")[0] for r in of_model))
            held = ", all held to AVX2" if avx2 else ""
            yield f"**{model.upper()}{held}**, {name.removesuffix('.csv')}, {of_model[-1]['date']}. vlmd {', '.join(versions)} (†: not the last of them); {'; '.join(peers)}."
            yield ""
            yield from table_of(of_model)
            yield ""


def main():
    folder, page = sys.argv[1:3]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(page, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n\n" + "\n".join(sections(folder)) + "\n" + END + after)


if __name__ == "__main__":
    main()
