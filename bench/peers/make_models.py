"""Makes checkpoints with random weights of the shapes in shapes.py, the same shapes in each peer's own format:

    FOLDER/mlx/           MLX 4 bits, groups of 64, vision tower bf16 (vlmd and mlx-vlm read it)
    FOLDER/q4_0.gguf      every matrix Q4_0, as llama-quantize --pure makes it: 4.5 bits a weight, as many as MLX's
    FOLDER/q4_1.gguf      every matrix Q4_1 (--pure): scale and minimum as in MLX, groups of 32, 5 bits a weight
    FOLDER/q4_k_m.gguf    llama-quantize's mix: Q4_K, with Q6_K for the head, half of attn_v and half of ffn_down
    FOLDER/mmproj.gguf    the vision tower, F16

The tokenizer is that of the shipped model, padded with unused tokens up to the shape's vocabulary. Values are random
and small, so nothing overflows and no input means anything. Complete files are left as they are.

    python bench/peers/make_models.py 3b build/peers/models/3b --tiny models/vlmd-tiny [--only mlx q4_0 ...]
"""

import argparse
import json
import os
import shutil
import struct

import numpy as np
from shapes import CONTEXT, MODELS, hf_config, mrope_section, vision_of
from tensors import GROUP, gguf_text_tensors, gguf_vision_tensors, mlx_tensors

FORMATS = ("mlx", "q4_0", "q4_1", "q4_k_m", "mmproj")
class Random:
    def __init__(self):
        self.numbers = np.random.default_rng(20261123)

    def bytes(self, n):
        return np.frombuffer(self.numbers.bytes(n), np.uint8).copy()

    def floats(self, *shape):
        """About what trained weights are: zero on average, a deviation of 0.02."""
        return self.numbers.uniform(-0.035, 0.035, shape).astype(np.float32)


def to_bf16(x):
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def write_atomically(path, write):
    """Calls write(temporary path), then renames: a file of the final name is complete."""
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path + ".part")
    os.rename(path + ".part", path)
    print(path, os.path.getsize(path), flush=True)


# ---- MLX


def mlx_values(random, name, dtype, shape):
    if dtype == "U32":
        return random.bytes(4 * shape[0] * shape[1])
    if name.endswith(".scales"):
        return np.full(shape, 0x3B80, np.uint16)  # 2^-8
    if name.endswith(".biases"):
        return np.full(shape, 0xBCF0, np.uint16)  # -7.5 * 2^-8
    if "norm" in name or name.endswith("ln_q.weight"):
        return np.full(shape, 0x3F80, np.uint16)
    return to_bf16(random.floats(*shape))


def write_safetensors(path, model):
    tensors = sorted(mlx_tensors(model), key=lambda t: t[1] != "U32")
    header, at = {"__metadata__": {"format": "mlx"}}, 0
    for name, dtype, shape in tensors:
        size = int(np.prod(shape)) * (4 if dtype == "U32" else 2)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)
    random = Random()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.write(mlx_values(random, *tensor).tobytes())


def make_mlx(folder, model, tiny):
    write_atomically(os.path.join(folder, "model.safetensors"), lambda path: write_safetensors(path, model))
    with open(os.path.join(tiny, "config.json"), encoding="utf-8") as file:
        config = hf_config(model, json.load(file))
    quantization = {"group_size": GROUP, "bits": 4, "mode": "affine"}
    config.update(quantization=quantization, quantization_config=quantization)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(os.path.join(tiny, name), folder)
    with open(os.path.join(tiny, "preprocessor_config.json"), encoding="utf-8") as file:
        preprocessor = json.load(file)
    preprocessor.update(min_pixels=3136, max_pixels=12845056, size={"shortest_edge": 3136, "longest_edge": 12845056})
    with open(os.path.join(folder, "preprocessor_config.json"), "w", encoding="utf-8") as file:
        json.dump(preprocessor, file, indent=1)


# ---- GGUF


def half(x):
    return np.frombuffer(np.float16(x).tobytes(), np.uint8)


def block_rows(random, kind, rows, cols):
    """Random blocks of a GGUF type whose values have a deviation of about 0.02: bytes [rows, bytes a row]."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    values, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    blocks = random.bytes(rows * cols // values * size).reshape(-1, size)
    if kind == "Q4_0":
        blocks[:, :2] = half(2**-8)
    elif kind == "Q4_1":
        blocks[:, :2] = half(2**-8)
        blocks[:, 2:4] = half(-7.5 * 2**-8)
    elif kind == "Q4_K":
        blocks[:, :2] = half(2**-13)
        blocks[:, 2:4] = half(7.5 * 2**-13)
    elif kind == "Q6_K":
        blocks[:, -2:] = half(2**-16)
    return blocks.reshape(rows, -1)


def gguf_values(random, name, kind, shape):
    if kind == "F32":
        return np.ones(shape, np.float32) if "norm" in name or ".ln" in name or "post_ln" in name else random.floats(*shape)
    if kind == "F16":
        return random.floats(*shape).astype(np.float16)
    return block_rows(random, kind, *shape)


def write_gguf(path, architecture, tensors, describe):
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(path, architecture)
    describe(writer)
    plain = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16)}
    for name, kind, shape in tensors:
        if kind in plain:
            writer.add_tensor_info(name, shape, plain[kind], int(np.prod(shape)) * plain[kind].itemsize)
        else:
            row = block_rows(Random(), kind, 1, shape[1]).shape[1]
            writer.add_tensor_info(
                name, (shape[0], row), np.dtype(np.uint8), shape[0] * row, raw_dtype=GGMLQuantizationType[kind]
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = Random()
    for tensor in tensors:
        writer.write_tensor_data(gguf_values(random, *tensor))
    writer.close()


def read_vocabulary(tiny, size):
    """The tokenizer's tokens up to `size`, their types, and its merges."""
    from gguf import TokenType

    with open(os.path.join(tiny, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    tokens, types = [f"[PAD{i}]" for i in range(size)], [TokenType.UNUSED] * size
    for text, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = text, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], TokenType.CONTROL
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    return tokens, types, merges


def describe_text(writer, model, tiny):
    shape = MODELS[model]
    tokens, types, merges = read_vocabulary(tiny, shape["vocab"])
    with open(os.path.join(tiny, "config.json"), encoding="utf-8") as file:
        ids = json.load(file)
    eos = ids["eos_token_id"]
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape["hidden"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["inner"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1000000.0)
    writer.add_rope_dimension_sections([*mrope_section(shape), 0])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(eos[0] if isinstance(eos, list) else eos)
    writer.add_bos_token_id(ids["bos_token_id"])
    writer.add_add_bos_token(False)


def describe_vision(writer, model):
    vision = vision_of(model)
    writer.add_string("general.type", "mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "qwen2.5vl_merger")
    writer.add_bool("clip.use_silu", True)
    writer.add_uint32("clip.vision.n_wa_pattern", vision["full"][0] + 1)
    writer.add_uint32("clip.vision.image_size", 560)
    writer.add_uint32("clip.vision.patch_size", vision["patch"])
    writer.add_uint32("clip.vision.embedding_length", vision["hidden"])
    writer.add_uint32("clip.vision.feed_forward_length", vision["inner"])
    writer.add_uint32("clip.vision.block_count", vision["depth"])
    writer.add_uint32("clip.vision.attention.head_count", vision["heads"])
    writer.add_uint32("clip.vision.projection_dim", MODELS[model]["hidden"])
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])


def make_gguf(path, model, quant, tiny):
    if quant == "mmproj":
        tensors, describe = list(gguf_vision_tensors(model)), lambda writer: describe_vision(writer, model)
    else:
        tensors, describe = list(gguf_text_tensors(model, quant)), lambda writer: describe_text(writer, model, tiny)
    architecture = "clip" if quant == "mmproj" else "qwen2vl"
    write_atomically(path, lambda part: write_gguf(part, architecture, tensors, describe))


def make(model, folder, tiny, formats=FORMATS):
    for name in formats:
        if name == "mlx":
            make_mlx(os.path.join(folder, "mlx"), model, tiny)
        else:
            make_gguf(os.path.join(folder, name + ".gguf"), model, name, tiny)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("folder")
    parser.add_argument("--tiny", default="models/vlmd-tiny", help="the shipped model, for its tokenizer")
    parser.add_argument("--only", nargs="+", choices=FORMATS, default=FORMATS)
    args = parser.parse_args()
    make(args.model, args.folder, args.tiny, args.only)


if __name__ == "__main__":
    main()
