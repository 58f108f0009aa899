"""llama.cpp's side of the comparison, through the low-level bindings of llama-cpp-python. Contexts are made with
llama.cpp's defaults (flash attention as it sees fit, kv in f16, physical batches of 512).

    python bench/peers/peer_llama.py MODEL.gguf [MMPROJ.gguf] [--threads 2] [--states FOLDER]

A context of thousands of tokens is computed once and kept in FOLDER; the types of the weights share it, since a step's
cost does not depend on the values.
"""

import argparse
import ctypes
import os
import time

import llama_cpp
from llama_cpp import llama_cpp as api
from llama_cpp import mtmd_cpp
from protocol import median, picture, serve, timed, tokens

PHYSICAL_BATCH = 512
MARKER = b"<__media__>"


class Llama:
    def __init__(self, args):
        api.llama_backend_init()
        self.args, self.context, self.made_for, self.vision_context = args, None, None, None
        params = api.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = api.llama_model_load_from_file(args.model.encode(), params)
        if not self.model:
            raise SystemExit(f"{args.model} cannot be loaded")
        self.vocab = api.llama_model_get_vocab(self.model)
        if args.mmproj:
            self.open_vision()
        self.name = f"llama-cpp-python {llama_cpp.__version__}, {os.path.basename(args.model)}"

    def open_vision(self):
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = False
        params.n_threads = self.args.threads
        params.print_timings = False
        params.warmup = False  # a pass over an image of 46 x 46 tokens, which would count as loading
        params.media_marker = MARKER
        self.vision_context = mtmd_cpp.mtmd_init_from_file(self.args.mmproj.encode(), self.model, params)
        if not self.vision_context:
            raise SystemExit(f"{self.args.mmproj} cannot be loaded")

    def open(self, n_tokens, n_sequences=1):
        """An empty context for so many sequences of so many tokens."""
        wanted = (n_tokens, n_sequences)
        if self.made_for == wanted:
            api.llama_memory_clear(api.llama_get_memory(self.context), True)
            return
        if self.context:
            api.llama_free(self.context)
        params = api.llama_context_default_params()
        params.n_ctx = n_tokens * n_sequences
        params.n_batch = max(2048, PHYSICAL_BATCH)
        params.n_ubatch = PHYSICAL_BATCH
        params.n_seq_max = n_sequences
        params.n_threads = params.n_threads_batch = self.args.threads
        params.no_perf = True
        self.context = api.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("no context")
        self.made_for = wanted

    def run(self, rows):
        """One llama_decode of (token, position, sequence, wants logits)."""
        batch = api.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = logits
        seconds = timed(lambda: self.check(api.llama_decode(self.context, batch)))
        api.llama_batch_free(batch)
        return seconds

    def check(self, status):
        if status != 0:
            raise RuntimeError(f"llama.cpp answered {status}")
        api.llama_get_logits_ith(self.context, -1)

    def run_prompt(self, n, sequence=0):
        seconds, all_tokens = 0, tokens(n)
        for first in range(0, n, 2048):
            part = range(first, min(n, first + 2048))
            seconds += self.run([(all_tokens[i], i, sequence, i == n - 1 or i == part[-1]) for i in part])
        return seconds

    def prefill(self, n):
        self.open(max(n, 512))
        return self.run_prompt(n)

    def fill(self, n):
        """A context of n tokens in sequence 0."""
        if n < 1024 or not self.args.states:
            return self.run_prompt(n)
        path = os.path.join(self.args.states, f"llama-{n}.state").encode()
        kept, count = (api.llama_token * n)(), ctypes.c_size_t()
        if not os.path.exists(path) or not api.llama_state_seq_load_file(self.context, path, 0, kept, n, count):
            self.run_prompt(n)
            os.makedirs(self.args.states, exist_ok=True)
            api.llama_state_seq_save_file(self.context, path, 0, (api.llama_token * n)(*tokens(n)), n)

    def decode(self, n_sequences, context, steps):
        context = max(context, 1)
        self.open(-(-(context + steps + 1) // 256) * 256, n_sequences)
        for sequence in range(n_sequences):
            if sequence == 0:
                self.fill(context)
            else:
                self.run_prompt(context, sequence)
        times = [
            self.run([(100 + s, context + step, s, True) for s in range(n_sequences)]) for step in range(steps + 1)
        ]
        return median(times[1:])

    def chunks(self, side, n_words):
        bitmap = mtmd_cpp.mtmd_bitmap_init(side, side, (ctypes.c_uint8 * (side * side * 3)).from_buffer_copy(picture(side)[: side * side * 3]))
        text = mtmd_cpp.mtmd_input_text()
        text.text = b"<|im_start|>user\n" + MARKER + b" a" * n_words
        text.text_len = len(text.text)
        text.add_special, text.parse_special = False, True
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        status = mtmd_cpp.mtmd_tokenize(self.vision_context, chunks, ctypes.byref(text), (mtmd_cpp.mtmd_bitmap_p_ctypes * 1)(bitmap), 1)
        mtmd_cpp.mtmd_bitmap_free(bitmap)
        if status != 0:
            raise RuntimeError(f"mtmd_tokenize answered {status}")
        return chunks

    def vision(self, side):
        chunks = self.chunks(side, 1)
        seconds = None
        for i in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
            chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, i)
            if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == 1:
                self.image_tokens = mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk)
                seconds = timed(lambda: self.check_encode(mtmd_cpp.mtmd_encode_chunk(self.vision_context, chunk)))
        mtmd_cpp.mtmd_input_chunks_free(chunks)
        if self.image_tokens != (side // 28) ** 2:
            raise RuntimeError(f"{self.image_tokens} image tokens")
        return seconds

    def check_encode(self, status):
        if status != 0:
            raise RuntimeError(f"mtmd answered {status}")

    def first(self, side, n):
        self.open(2048)
        past = api.llama_pos()

        def work():
            chunks = self.chunks(side, n - 5)
            status = mtmd_cpp.mtmd_helper_eval_chunks(
                self.vision_context, self.context, chunks, 0, 0, 2048, True, ctypes.byref(past)
            )
            self.check(status)
            mtmd_cpp.mtmd_input_chunks_free(chunks)

        return timed(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("mmproj", nargs="?")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--states", help="folder for computed contexts")
    args = parser.parse_args()
    started = time.perf_counter()
    serve(Llama(args), started)


if __name__ == "__main__":
    main()
