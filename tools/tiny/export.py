"""Writes a training checkpoint as a Hugging Face Qwen2.5-VL folder (bfloat16), ready for mlx-vlm's converter.

    python3 export.py WEIGHTS.safetensors[,MORE.safetensors] OUT_DIR      (--random: fresh weights, for engine tests)
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

import config
import model
import tokenizer

V, T = config.VISION, config.TEXT


def hf_config(tok, vision=V, text=T) -> dict:
    """config.json; both the flat fields of older releases and the nested text_config of newer ones are read by somebody,
    so the flat ones are written, as in Qwen's own checkpoints."""
    ids = {s: tok.token_to_id(s) for s in tokenizer.SPECIAL}
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02, "use_cache": True,
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"], "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_size": text["hidden"], "intermediate_size": text["inter"], "num_hidden_layers": text["layers"],
        "num_attention_heads": text["heads"], "num_key_value_heads": text["kv_heads"], "rms_norm_eps": text["eps"],
        "rope_theta": text["theta"], "max_position_embeddings": 8192, "max_window_layers": text["layers"],
        "sliding_window": 8192, "use_sliding_window": False, "tie_word_embeddings": True, "vocab_size": config.VOCAB,
        "rope_scaling": {"type": "mrope", "mrope_section": list(text["sections"])},
        "torch_dtype": "bfloat16",
        "vision_config": {
            "model_type": "qwen2_5_vl", "depth": vision["depth"], "hidden_act": "silu", "hidden_size": vision["hidden"],
            "intermediate_size": vision["inter"], "num_heads": vision["heads"], "in_chans": 3, "in_channels": 3,
            "out_hidden_size": text["hidden"], "patch_size": config.PATCH, "spatial_patch_size": config.PATCH,
            "spatial_merge_size": config.MERGE, "temporal_patch_size": 2, "window_size": vision["window"],
            "fullatt_block_indexes": list(vision["full"]), "tokens_per_second": 2},
    }


PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
    "patch_size": config.PATCH, "temporal_patch_size": 2, "merge_size": config.MERGE,
    "min_pixels": config.MIN_PIXELS, "max_pixels": config.MAX_PIXELS,
    "size": {"shortest_edge": config.MIN_PIXELS, "longest_edge": config.MAX_PIXELS},
    "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "resample": 3,
    "rescale_factor": 1 / 255, "image_mean": config.IMAGE_MEAN, "image_std": config.IMAGE_STD,
}


def hf_weights(params: dict) -> dict:
    """Hugging Face's names and layouts in bfloat16. The patch embedding is one matrix here; a still image fills both time
    slices of theirs alike, so each gets half."""
    out = {}
    for name, value in params.items():
        if name.startswith("aux"):
            continue
        if name == model.VIS + "patch_embed.weight":
            half = value.view(-1, 3, 1, config.PATCH, config.PATCH) / 2
            out["visual.patch_embed.proj.weight"] = torch.cat((half, half), 2)
        elif name.startswith(model.VIS):
            out["visual." + name[len(model.VIS):]] = value
        else:
            out["model." + name[len(model.LM):]] = value
    return {k: v.detach().to(torch.bfloat16).contiguous() for k, v in out.items()}


def write(params: dict, out: pathlib.Path) -> None:
    """Write every file of the checkpoint folder."""
    tok = tokenizer.save(out)
    weights = hf_weights(params)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    generation = {"bos_token_id": tok.token_to_id("<|endoftext|>"), "pad_token_id": tok.token_to_id("<|endoftext|>"),
                  "eos_token_id": [tok.token_to_id("<|im_end|>"), tok.token_to_id("<|endoftext|>")], "do_sample": False}
    for name, content in (("config", hf_config(tok)), ("preprocessor_config", PROCESSOR), ("generation_config", generation)):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--random", action="store_true", help="fresh random weights instead of trained ones")
    args = parser.parse_args()
    trained = model.init_parameters(8) if args.random else {}
    for key, tensor in trained.items():
        if tensor.dim() == 1:  # biases and norms start flat; make every one of them matter in a comparison
            tensor += 0.1 * torch.randn_like(tensor)
    for part in filter(None, args.weights.split(",")):
        trained.update(load_file(part))
    write(trained, args.out)
