"""The shapes of Qwen2.5-VL 3B and 7B, and what of them every peer has to know. A module for the scripts here."""

VISION = {"depth": 32, "hidden": 1280, "heads": 16, "inner": 3420, "patch": 14, "full": (7, 15, 23, 31)}
# "test" is small enough for a test of the scripts; its figures mean nothing.
MODELS = {
    "3b": {"layers": 36, "hidden": 2048, "heads": 16, "kv_heads": 2, "inner": 11008, "vocab": 151936, "tied": True},
    "7b": {"layers": 28, "hidden": 3584, "heads": 28, "kv_heads": 4, "inner": 18944, "vocab": 152064, "tied": False},
    "test": {"layers": 2, "hidden": 512, "heads": 4, "kv_heads": 2, "inner": 768, "vocab": 4096, "tied": True},
}
CONTEXT = 32768


def vision_of(model):
    return dict(VISION, depth=2, full=(1,)) if model == "test" else VISION


def text_matrices(shape):
    """(name, rows, columns) of a layer's matrices, as transformers calls them."""
    hidden, inner = shape["hidden"], shape["inner"]
    kv = hidden // shape["heads"] * shape["kv_heads"]
    return (
        ("self_attn.q_proj", hidden, hidden),
        ("self_attn.k_proj", kv, hidden),
        ("self_attn.v_proj", kv, hidden),
        ("self_attn.o_proj", hidden, hidden),
        ("mlp.gate_proj", inner, hidden),
        ("mlp.up_proj", inner, hidden),
        ("mlp.down_proj", hidden, inner),
    )


def mrope_section(shape):
    """A quarter of the angles for time, three eighths each for row and column: 16, 24, 24 at 128 elements a head."""
    angles = shape["hidden"] // shape["heads"] // 2
    return [angles // 4, angles * 3 // 8, angles * 3 // 8]


def hf_config(model, tokenizer):
    """config.json in the form that transformers, mlx-vlm and vlmd read; `tokenizer` is the tiny model's config.json."""
    shape, vision = MODELS[model], vision_of(model)
    ids = {k: v for k, v in tokenizer.items() if k.endswith("_token_id")}
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "hidden_act": "silu",
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["inner"],
        "num_attention_heads": shape["heads"],
        "num_hidden_layers": shape["layers"],
        "num_key_value_heads": shape["kv_heads"],
        "max_position_embeddings": CONTEXT,
        "max_window_layers": shape["layers"],
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": mrope_section(shape)},
        "tie_word_embeddings": shape["tied"],
        "use_sliding_window": False,
        "vocab_size": shape["vocab"],
        "torch_dtype": "bfloat16",
        **ids,
        "vision_config": {
            "model_type": "qwen2_5_vl",
            "depth": vision["depth"],
            "hidden_act": "silu",
            "hidden_size": vision["hidden"],
            "intermediate_size": vision["inner"],
            "num_heads": vision["heads"],
            "in_chans": 3,
            "in_channels": 3,
            "out_hidden_size": shape["hidden"],
            "patch_size": vision["patch"],
            "spatial_patch_size": vision["patch"],
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": list(vision["full"]),
            "tokens_per_second": 2,
        },
    }
