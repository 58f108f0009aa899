"""Feeds packed batches from worker processes through shared memory, in order, each made from its own seed.

Start it before CUDA is touched: workers are forked. The data depend on the seeds alone, not on the number of workers. A
worker that dies or hangs does not end the run: its batch is skipped after a while, and said so.
"""

import mmap
import multiprocessing
import os
import queue
import time

import numpy as np

import packing


class Loader:
    """Iterates over (seed, {name: array}, counts). The arrays stay valid until release() of the same item."""

    def __init__(self, seeds, sizes: packing.Sizes, workers: int, slots: int, patience: float = 60.0):
        self.seeds, self.sizes, self.patience = list(seeds), sizes, patience
        layout = packing.Packer.layout(sizes)
        size = sum(-(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64 for shape, dtype in layout.values())
        self.memory = [mmap.mmap(-1, size) for _ in range(slots)]
        self.slots = []
        for block in self.memory:
            arrays, at = {}, 0
            for name, (shape, dtype) in layout.items():
                count = int(np.prod(shape))
                arrays[name] = np.frombuffer(block, dtype, count, at).reshape(shape)
                at += -(-count * np.dtype(dtype).itemsize // 64) * 64
            self.slots.append(arrays)
        context = multiprocessing.get_context("fork")
        self.jobs, self.done = context.Queue(), context.Queue()
        self.free, self.sent, self.ready, self.skipped = list(range(slots)), 0, {}, set()
        self.processes = [context.Process(target=self.work, daemon=True) for _ in range(workers)]
        for p in self.processes:
            p.start()
        self.refill()

    def work(self) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        os.nice(5)
        speller = packing.Speller()
        while True:
            number, slot = self.jobs.get()
            try:
                used = packing.fill(self.seeds[number], self.sizes, self.slots[slot], speller)
            except Exception as e:  # a batch that cannot be made is left out; the consumer says so
                used = {"error": repr(e)}
            self.done.put((number, slot, used))

    def refill(self) -> None:
        while self.free and self.sent < len(self.seeds):
            self.jobs.put((self.sent, self.free.pop()))
            self.sent += 1

    def __iter__(self):
        for number, seed in enumerate(self.seeds):
            end = time.monotonic() + self.patience
            while number not in self.ready and time.monotonic() < end:
                try:
                    got, slot, used = self.done.get(timeout=1.0)
                except queue.Empty:
                    continue
                if got < number:
                    self.release(slot)
                else:
                    self.ready[got] = slot, used
            if number not in self.ready:
                print(f"batch {number} did not come in {self.patience:.0f} s; skipped", flush=True)
                continue
            slot, used = self.ready.pop(number)
            if "error" in used:
                print(f"batch {number} failed: {used['error']}", flush=True)
                self.release(slot)
                continue
            yield seed, slot, self.slots[slot], used

    def release(self, slot: int) -> None:
        """Give a slot back to the workers."""
        self.free.append(slot)
        self.refill()

    def close(self) -> None:
        for p in self.processes:
            p.terminate()
