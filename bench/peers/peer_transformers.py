"""transformers' side of the comparison: the classes of Qwen2.5-VL with random weights, eager mode, on the CPU.

    python bench/peers/peer_transformers.py CHECKPOINT bf16|f32 [--threads 2] [--vision-only]

CHECKPOINT is read for its config.json only; weights are made in memory, so that "ready" says nothing about loading.
With --vision-only there is no text model: the float32 weights of one do not fit beside another process.
"""

import argparse
import os
import time

import torch
import transformers
from protocol import median, serve, timed, tokens
from transformers import AutoConfig, DynamicCache
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling

TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def fill_with_noise(module, dtype):
    """Gives a module made without memory small random weights."""
    module = module.to(dtype).to_empty(device="cpu")
    noise = (torch.rand(1 << 20) * 0.06 - 0.03).to(dtype)
    for name, tensor in module.named_parameters():
        if "norm" in name or name.endswith("ln_q.weight"):
            tensor.data.fill_(1)
            continue
        flat = tensor.data.view(-1)
        for first in range(0, flat.numel(), noise.numel()):
            part = flat[first : first + noise.numel()]
            part.copy_(noise[: part.numel()])
    return module.eval()


def make_rotary(module, config):
    """The angles' frequencies are computed, not loaded: makes the modules that hold them anew."""
    configs = {
        modeling.Qwen2_5_VLRotaryEmbedding: config.text_config,
        modeling.Qwen2_5_VLVisionRotaryEmbedding: config.vision_config,
    }
    for name, child in list(module.named_modules()):
        if type(child) in configs:
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, type(child)(configs[type(child)]))


class Transformers:
    def __init__(self, args):
        torch.set_num_threads(args.threads)
        torch.set_grad_enabled(False)
        self.config = AutoConfig.from_pretrained(args.checkpoint)
        self.dtype, self.text = TYPES[args.type], None
        with torch.device("meta"):
            if args.vision_only:
                self.config.vision_config._attn_implementation = "sdpa"
                whole = modeling.Qwen2_5_VisionTransformerPretrainedModel._from_config(self.config.vision_config)
            else:
                whole = modeling.Qwen2_5_VLForConditionalGeneration._from_config(self.config, attn_implementation="sdpa")
        whole = fill_with_noise(whole, self.dtype)
        make_rotary(whole, self.config)
        self.visual = whole if args.vision_only else whole.model.visual
        self.text = None if args.vision_only else whole
        self.name = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, {args.type}"

    def run(self, ids, cache):
        position = cache.get_seq_length()
        ids = torch.tensor(ids)
        positions = torch.arange(position, position + ids.shape[1]).expand(3, ids.shape[0], -1)
        return self.text(input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)

    def prefill(self, n):
        if not self.text:
            if n == 1:  # the protocol's first call
                return 0
            raise RuntimeError("vision only")
        return timed(lambda: self.run([tokens(n)], DynamicCache()))

    def decode(self, n_sequences, context, steps):
        text, cache = self.config.text_config, DynamicCache()
        shape = (n_sequences, text.num_key_value_heads, max(context, 1), text.hidden_size // text.num_attention_heads)
        for layer in range(text.num_hidden_layers):
            cache.update(torch.randn(shape).to(self.dtype), torch.randn(shape).to(self.dtype), layer)
        step = [[100 + i] for i in range(n_sequences)]
        self.run(step, cache)
        return median([timed(lambda: self.run(step, cache)) for _ in range(steps)])

    def pixels(self, side):
        n = side // 14
        return torch.randn(n * n, 1176).to(self.dtype), torch.tensor([[1, n, n]])

    def vision(self, side):
        pixels, grid = self.pixels(side)
        return timed(lambda: self.visual(pixels, grid_thw=grid))

    def first(self, side, n):
        pixels, grid = self.pixels(side)
        image = (side // 28) ** 2
        ids = tokens(n // 2) + [self.config.image_token_id] * image + tokens(n - n // 2)
        types = torch.tensor([[1 if i == self.config.image_token_id else 0 for i in ids]])
        return timed(
            lambda: self.text(
                input_ids=torch.tensor([ids]), pixel_values=pixels, image_grid_thw=grid, mm_token_type_ids=types, logits_to_keep=1
            )
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--vision-only", action="store_true")
    args = parser.parse_args()
    started = time.perf_counter()
    serve(Transformers(args), started)


if __name__ == "__main__":
    main()
