"""What of bench/peers can be checked without the peers: the shapes, the checkpoints' sizes, and the table."""

import csv
import math
import os
import subprocess
import sys

from client import ROOT

FOLDER = os.path.join(ROOT, "bench", "peers")
sys.path.insert(0, FOLDER)

import shapes  # noqa: E402
import table  # noqa: E402
import tensors  # noqa: E402

PAGE = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"


def text_bytes(model):
    """What a decode step reads: everything of the text model, an untied embedding left out."""
    sizes = {"U32": 4, "BF16": 2}
    return sum(
        math.prod(dims) * sizes[dtype]
        for name, dtype, dims in tensors.mlx_tensors(model)
        if name.startswith("language_model") and (shapes.MODELS[model]["tied"] or "embed_tokens" not in name)
    )


def test_the_shapes_are_those_of_the_released_models():
    assert text_bytes("3b") == 1_736_187_904
    assert text_bytes("7b") == 3_977_702_400
    assert shapes.mrope_section(shapes.MODELS["3b"]) == [16, 24, 24]


def test_gguf_has_the_same_matrices():
    def weights(listed):
        return sum(math.prod(dims) for _, _, dims in listed if len(dims) == 2)

    for model in ("3b", "7b"):
        mlx = [(n, d, (s[0], s[1] * 8)) for n, d, s in tensors.mlx_tensors(model) if d == "U32"]
        gguf = list(tensors.gguf_text_tensors(model, "q4_k_m"))
        assert weights(mlx) == weights(gguf)
        kinds = {name: kind for name, kind, _ in gguf}
        assert kinds["blk.0.ffn_down.weight"] == "Q6_K" and kinds["blk.0.ffn_up.weight"] == "Q4_K"
        assert kinds["token_embd.weight" if model == "3b" else "output.weight"] == "Q6_K"


def rows_of(peer, version, pairs, measure="prefill-512"):
    return [
        {"date": "2026-01-01", "model": "3b", "measure": measure, "unit": "s", "vlmd": a, "peer": b,
         "vlmd_version": version, "peer_name": peer, "peer_version": "x", "prefix": ""}
        for a, b in pairs
    ]


def test_a_table_counts_the_latest_version_and_medians_of_ratios(tmp_path):
    rows = rows_of("llama-q4_0", "old", [("100", "1")])
    rows += rows_of("llama-q4_0", "new", [("1", "2"), ("2", "6"), ("4", "4")])
    rows += rows_of("mlx", "new", [("2", ">300")])
    rows = rows_of("transformers-bf16", "old", [("8", "4")]) + rows
    with open(tmp_path / "machine.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    for _ in range(2):  # a second time changes nothing
        subprocess.run([sys.executable, os.path.join(FOLDER, "table.py"), tmp_path, page], check=True)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old\n" not in text
    assert "| prefill, 512 tokens, tok/s | 256 | 128 (2.00x) | under 1.71 (> 150.00x) | 128 (0.50x) † |" in text
