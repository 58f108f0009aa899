"""Every tensor of a checkpoint of shapes.py, by name, type and shape: in MLX's files and in llama.cpp's. A module."""

from shapes import MODELS, text_matrices, vision_of

GROUP = 64
VISION_NAMES = {  # transformers' names in llama.cpp's
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.proj": "attn_out",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TEXT_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def vision_tensors(model):
    """(name, shape) of the vision tower, in transformers' names below its prefix."""
    vision, out = vision_of(model), MODELS[model]["hidden"]
    hidden, inner, merged = vision["hidden"], vision["inner"], 4 * vision["hidden"]
    for i in range(vision["depth"]):
        block = f"blocks.{i}."
        yield block + "norm1.weight", (hidden,)
        yield block + "norm2.weight", (hidden,)
        for name, rows, cols in (
            ("attn.qkv", 3 * hidden, hidden),
            ("attn.proj", hidden, hidden),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ):
            yield f"{block}{name}.weight", (rows, cols)
            yield f"{block}{name}.bias", (rows,)
    yield "merger.ln_q.weight", (hidden,)
    yield "merger.mlp.0.weight", (merged, merged)
    yield "merger.mlp.0.bias", (merged,)
    yield "merger.mlp.2.weight", (out, merged)
    yield "merger.mlp.2.bias", (out,)


def mlx_matrix(name, rows, cols):
    yield name + ".weight", "U32", (rows, cols // 8)
    yield name + ".scales", "BF16", (rows, cols // GROUP)
    yield name + ".biases", "BF16", (rows, cols // GROUP)


def mlx_tensors(model):
    """(name, dtype, shape); the words first, so that everything is aligned."""
    shape = MODELS[model]
    prefix = "language_model.model."
    yield from mlx_matrix(prefix + "embed_tokens", shape["vocab"], shape["hidden"])
    if not shape["tied"]:
        yield from mlx_matrix("language_model.lm_head", shape["vocab"], shape["hidden"])
    for i in range(shape["layers"]):
        layer = f"{prefix}layers.{i}."
        for name, rows, cols in text_matrices(shape):
            yield from mlx_matrix(layer + name, rows, cols)
            if name[:11] in ("self_attn.q", "self_attn.k", "self_attn.v"):
                yield f"{layer}{name}.bias", "BF16", (rows,)
        yield layer + "input_layernorm.weight", "BF16", (shape["hidden"],)
        yield layer + "post_attention_layernorm.weight", "BF16", (shape["hidden"],)
    yield prefix + "norm.weight", "BF16", (shape["hidden"],)
    hidden, patch = vision_of(model)["hidden"], vision_of(model)["patch"]
    yield "vision_tower.patch_embed.proj.weight", "BF16", (hidden, 2, patch, patch, 3)
    for name, dims in vision_tensors(model):
        yield "vision_tower." + name, "BF16", dims


def uses_more_bits(i, n):
    """llama-quantize's choice of the layers of Q4_K_M that get Q6_K."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def gguf_kind(quant, name, i, n):
    """The type of a matrix; name as llama.cpp's, i of n layers (None outside them)."""
    if quant != "q4_k_m":
        return quant.upper()
    if name == "head" or (name in ("attn_v", "ffn_down") and uses_more_bits(i, n)):
        return "Q6_K"
    return "Q4_K"


def gguf_text_tensors(model, quant):
    """(name, kind, shape)"""
    shape = MODELS[model]
    hidden, vocab, n = shape["hidden"], shape["vocab"], shape["layers"]
    yield "token_embd.weight", gguf_kind(quant, "head" if shape["tied"] else "embedding", None, n), (vocab, hidden)
    if not shape["tied"]:
        yield "output.weight", gguf_kind(quant, "head", None, n), (vocab, hidden)
    yield "output_norm.weight", "F32", (hidden,)
    for i in range(n):
        yield f"blk.{i}.attn_norm.weight", "F32", (hidden,)
        yield f"blk.{i}.ffn_norm.weight", "F32", (hidden,)
        for long_name, rows, cols in text_matrices(shape):
            name = TEXT_NAMES[long_name]
            yield f"blk.{i}.{name}.weight", gguf_kind(quant, name, i, n), (rows, cols)
            if name in ("attn_q", "attn_k", "attn_v"):
                yield f"blk.{i}.{name}.bias", "F32", (rows,)


def gguf_vision_tensors(model):
    hidden, patch = vision_of(model)["hidden"], vision_of(model)["patch"]
    yield "v.patch_embd.weight", "F16", (hidden, 3, patch, patch)
    yield "v.patch_embd.weight.1", "F16", (hidden, 3, patch, patch)
    for name, dims in vision_tensors(model):
        kind = "F16" if len(dims) == 2 else "F32"
        parts = name.split(".")
        if parts[0] == "merger":
            yield {"ln_q": "v.post_ln.weight", "mlp": f"mm.{parts[2]}.{parts[-1]}"}[parts[1]], kind, dims
        elif parts[2:4] == ["attn", "qkv"]:
            for part in "qkv":
                yield f"v.blk.{parts[1]}.attn_{part}.{parts[-1]}", kind, (dims[0] // 3, *dims[1:])
        else:
            yield f"v.blk.{parts[1]}.{VISION_NAMES['.'.join(parts[2:-1])]}.{parts[-1]}", kind, dims
