"""Compares the training code with transformers: pixels, logits at every answer token, prompt ids.

    python3 check_parity.py HF_DIR [--scenes N]

HF_DIR is what export.py wrote. Pictures go through transformers' own image processor, prompts through its chat template.
"""

import argparse
import pathlib
import random

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import config
import model
import packing
import scenes


def training_parameters(folder: pathlib.Path) -> dict:
    """The exported weights under the names that model.py uses."""
    out = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name == "visual.patch_embed.proj.weight":
            out[model.VIS + "patch_embed.weight"] = value.float().sum(2).reshape(value.shape[0], -1)
        elif name.startswith("visual."):
            out[model.VIS + name[7:]] = value.float()
        else:
            out[model.LM + name[6:]] = value.float()
    out["aux.weight"], out["aux.bias"] = torch.zeros(2, config.VISION["hidden"]), torch.zeros(2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scenes", type=int, default=24)
    args = parser.parse_args()
    speller, rng = packing.Speller(), random.Random(77)
    sizes = packing.Sizes(576 * 6, 6000, 16000, 800, 600, 40, 80, 64)
    net = model.Model(training_parameters(args.folder), dtype=torch.float32)
    hf = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.folder, dtype=torch.float32).eval()
    processor = Qwen2VLImageProcessorPil.from_pretrained(args.folder)
    spelt = AutoTokenizer.from_pretrained(args.folder)
    worst = pixel_worst = 0.0
    agreed = tokens = 0
    for _ in range(args.scenes):
        views, asked = scenes.scene(rng)
        variants = packing.variants_of(rng, speller, len(views), asked)
        docs = variants[0]
        arrays = packing.Packer.allocate(sizes)
        image_token = speller.special["<|image_pad|>"]
        packer = packing.Packer(sizes, arrays, image_token)
        if not packer.add(views, variants):
            raise SystemExit("the scene does not fit")
        packer.finish()
        batch = {k.removeprefix("0."): torch.from_numpy(v) for k, v in arrays.items()}
        batch.update(longest_window=64, longest_image=sizes.longest_image, longest_q=512, longest_k=1024)
        with torch.no_grad():
            features, _ = net.see(batch)
            hidden = net.read(batch, features)
            p = net.params
            mine = model.dense(model.rms_norm(hidden[batch["label_index"]], p[model.LM + "norm.weight"]),
                               p[model.LM + "embed_tokens.weight"])
        seen = processor(images=[v.picture for v in views], return_tensors="pt")
        for view, grid in zip(views, seen["image_grid_thw"].tolist()):
            assert [g * config.PATCH for g in grid[1:]] == list(view.pixels.shape[:2]), (grid, view.pixels.shape)
        at = 0
        cells = [v.pixels.shape[0] * v.pixels.shape[1] // config.CELL**2 for v in views]
        for doc in docs:
            prefix, order = [], []
            for piece in doc.prefix:
                if isinstance(piece, tuple):
                    prefix += [image_token] * cells[piece[0]]
                    order.append(piece[0])
                else:
                    prefix.append(piece)
            for ids, mask in doc.segments:
                text = spelt.decode(prefix + ids)
                if spelt(text)["input_ids"] != prefix + ids:
                    raise SystemExit(f"ids differ for {text!r}")
                whole = torch.tensor([prefix + ids])
                with torch.no_grad():
                    theirs = hf(input_ids=whole, pixel_values=seen["pixel_values"], image_grid_thw=seen["image_grid_thw"],
                                mm_token_type_ids=(whole == image_token).long()).logits[0]
                want = np.flatnonzero(mask)
                theirs = theirs[len(prefix) + want - 1]
                ours = mine[at:at + len(want)]
                at += len(want)
                worst = max(worst, (theirs - ours).abs().max().item())
                agreed += (theirs.argmax(-1) == ours.argmax(-1)).sum().item()
                tokens += len(want)
        first = packer.image_lengths[0]
        h, w = views[0].pixels.shape[0] // config.CELL, views[0].pixels.shape[1] // config.CELL
        order, _ = packing.window_order(h, w)
        rows = model.patch_rows(batch["pixels"][:first], net.mean, net.std, torch.float32).view(-1, 4, 3, 196)
        theirs = seen["pixel_values"][:first].view(-1, 4, 3, 2, 196)[:, :, :, 0][order]
        pixel_worst = max(pixel_worst, (rows - theirs).abs().max().item())
    print(f"{args.scenes} scenes: pixels differ by at most {pixel_worst:.2e}, logits by {worst:.2e}, "
          f"argmax agrees on {agreed} of {tokens} answer tokens")


if __name__ == "__main__":
    main()
