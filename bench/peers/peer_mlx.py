"""mlx-vlm's side of the comparison, on mlx's CPU backend.

    python bench/peers/peer_mlx.py CHECKPOINT

Prefill goes as in mlx_vlm.generate: all tokens but the last in parts of 2048, without logits, then the last.
mlx chooses its threads itself.
"""

import argparse
import time
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
from mlx_vlm.models import cache as caches
from mlx_vlm.utils import load_model
from protocol import median, serve, timed, tokens

PREFILL_STEP = 2048


class Mlx:
    def __init__(self, args):
        mx.set_default_device(mx.cpu)
        self.model = load_model(Path(args.checkpoint))
        self.text = self.model.language_model
        self.name = f"mlx-vlm {version('mlx-vlm')}, mlx {version('mlx')}"

    def new_cache(self):
        self.text._rope_deltas = self.text._position_ids = None
        return caches.make_prompt_cache(self.text)

    def run(self, ids, cache, **more):
        """Logits of the last token of each row."""
        n = ids.shape[1]
        first = 0
        while n - first > 1:
            end = min(first + PREFILL_STEP, n - 1)
            part = {k: v[:, first:end] for k, v in more.items()}
            self.text(ids[:, first:end], cache=cache, **part)
            mx.eval([c.state for c in cache])
            first = end
        part = {k: v[:, first:] for k, v in more.items()}
        mx.eval(self.text(ids[:, first:], cache=cache, **part).logits)

    def prefill(self, n):
        cache = self.new_cache()
        return timed(lambda: self.run(mx.array([tokens(n)]), cache))

    def decode(self, n_sequences, context, steps):
        cache = self.new_cache()
        args = self.text.args
        shape = (n_sequences, args.num_key_value_heads, max(context, 1), args.hidden_size // args.num_attention_heads)
        for layer in cache:
            layer.update_and_fetch(
                mx.random.normal(shape).astype(mx.bfloat16), mx.random.normal(shape).astype(mx.bfloat16)
            )
        mx.eval([c.state for c in cache])
        self.text._rope_deltas = mx.zeros((n_sequences, 1), mx.int32)
        step = mx.array([[100 + i] for i in range(n_sequences)])
        self.run(step, cache)
        return median([timed(lambda: self.run(step, cache)) for _ in range(steps)])

    def pixels(self, side):
        n = side // 14
        pixels, grid = mx.random.normal((n * n, 1176)).astype(mx.bfloat16), mx.array([[1, n, n]])
        mx.eval(pixels, grid)
        return pixels, grid

    def vision(self, side):
        pixels, grid = self.pixels(side)
        return timed(lambda: mx.eval(self.model.vision_tower(pixels, grid, output_hidden_states=False)))

    def first(self, side, n):
        pixels, grid = self.pixels(side)
        cache, image = self.new_cache(), self.model.config.image_token_id
        ids = mx.array([tokens(n // 2) + [image] * (side // 28) ** 2 + tokens(n - n // 2)])

        def work():
            seen = self.model.get_input_embeddings(ids, pixels, image_grid_thw=grid)
            self.run(ids, cache, inputs_embeds=seen.inputs_embeds)

        return timed(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    args = parser.parse_args()
    started = time.perf_counter()
    serve(Mlx(args), started)


if __name__ == "__main__":
    main()
