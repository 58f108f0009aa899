"""Trains vlmd-tiny from nothing in one run on one GPU. The command that made the shipped weights is in README.md.

    python3 train.py --out DIR --steps N [--seconds S]
    torchrun --nproc-per-node 2 train.py ...        (several GPUs of one host: so many times the batch)

The schedule follows the steps; --seconds only guards a rented machine: if time runs out sooner, the learning rate falls by
the clock instead. Batch n comes from seed n, so two runs see the same data.
"""

import argparse
import collections
import os
import pathlib
import queue
import threading
import time

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

import loader
import model
import optimizer
import packing
import quantize
import scenes

EVAL_SEED = 1_000_000_000
LARGEST_FILE = 15_000_000


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--seconds", type=float, default=1e9, help="of training, compilation included")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--weights", type=pathlib.Path, help="a folder of weights-*.safetensors to begin with, not fresh ones")
    p.add_argument("--workers", type=int, default=0, help="drawing processes; 0: one less than there are processors")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=2e-3)
    p.add_argument("--warmup", type=int, default=200)
    p.add_argument("--flat", type=float, default=0.3, help="share of the run before the rate falls")
    p.add_argument("--quantize-from", type=float, default=0.6, help="share of the run after which 4-bit weights are simulated")
    p.add_argument("--aux", type=float, default=0.5, help="weight of the patch loss at the start; a tenth at the end")
    p.add_argument("--eval-batches", type=int, default=8)
    p.add_argument("--log-every", type=int, default=100)
    p.add_argument("--patches", type=int, default=0, help="a smaller batch, for trying things on a CPU")
    p.add_argument("--profile", type=int, default=0, help="print the kernels of four steps from this one on")
    return p.parse_args()


def batch_sizes(patches: int) -> packing.Sizes:
    if not patches:
        return packing.Sizes()
    part = patches / packing.Sizes.patches
    return packing.Sizes(patches, *(int(getattr(packing.Sizes, k) * part) + 64 for k in (
        "tokens", "keys", "labels")), windows=4096, images=640, sequences=1280, aux=256)


def disturb(pixels, image_cu, gain, offset, noise):
    """Bytes [n, 588] with each image's brightness, contrast and grain changed a little; gain and so on are one an image."""
    image = torch.bucketize(torch.arange(pixels.shape[0], device=pixels.device), image_cu[1:], right=True)
    image = image.clamp(max=gain.shape[0] - 1)
    x = pixels.float()
    x = (x - 128) * gain[image][:, None] + 128 + offset[image][:, None] + torch.randn_like(x) * noise[image][:, None]
    return x.round().clamp(0, 255).to(torch.uint8)


class Feeder(threading.Thread):
    """Moves batches from the loader's shared memory to the device, a few ahead of the training loop, and hands each out
    twice: at once with its first questions, and DELAY batches later, a little disturbed, with its second ones."""

    DELAY = 150

    def __init__(self, source: loader.Loader, device: torch.device, sizes: packing.Sizes, ahead: int = 3):
        super().__init__(daemon=True)
        self.source, self.device, self.sizes = source, device, sizes
        self.out = queue.Queue(ahead)
        self.cuda = device.type == "cuda"
        self.kept, self.fresh_next = collections.deque(), True
        self.disturb = torch.compile(disturb, dynamic=False) if self.cuda else disturb

    def run(self) -> None:
        stream = torch.cuda.Stream() if self.cuda else None
        buffers = [{k: torch.empty(shape, dtype=torch.from_numpy(np.zeros(1, dtype)).dtype, pin_memory=self.cuda)
                    for k, (shape, dtype) in packing.Packer.layout(self.sizes).items()} for _ in range(2)]
        events = [None, None]
        for n, (seed, slot, arrays, used) in enumerate(self.source):
            buffer = buffers[n % 2]
            if events[n % 2] is not None:
                events[n % 2].synchronize()
            for k, v in arrays.items():
                buffer[k].copy_(torch.from_numpy(v))
            self.source.release(slot)
            if self.cuda:
                with torch.cuda.stream(stream):
                    batch = {k: v.to(self.device, non_blocking=True) for k, v in buffer.items()}
                    events[n % 2] = torch.cuda.Event()
                    events[n % 2].record()
            else:
                batch = {k: v.clone() for k, v in buffer.items()}
            self.out.put((seed, batch, used, events[n % 2]))
        self.out.put(None)

    def receive(self):
        """The next new batch with all its variants, or None at the end."""
        item = self.out.get()
        if item is None:
            return None
        seed, batch, used, event = item
        if event is not None:
            event.wait(torch.cuda.current_stream())
            for v in batch.values():
                v.record_stream(torch.cuda.current_stream())
        return seed, batch, used

    def select(self, seed: int, batch: dict, variant: int) -> dict:
        """What the model needs of one variant, with the patches whose class is asked."""
        out = {k.removeprefix(f"{variant}."): v for k, v in batch.items() if k[1] != "." or k[0] == str(variant)}
        rng = torch.Generator().manual_seed(seed * 2 + variant)
        index = torch.randint(0, self.sizes.patches, (self.sizes.aux,), generator=rng)
        if self.cuda:
            index = index.pin_memory().to(self.device, non_blocking=True)
        out["aux_index"] = index
        out["aux_labels"] = out["patch_labels"].index_select(0, index)
        if variant:
            chance = torch.rand(4, self.sizes.images, generator=rng)
            noise = torch.where(chance[3] < 0.3, chance[2] * 7, 0.0)
            change = torch.stack((0.9 + 0.18 * chance[0], 16 * (chance[1] - 0.5), noise)).to(self.device)
            out["pixels"] = self.disturb(out["pixels"], out["image_cu"], *change)
        out.update(longest_window=64, longest_image=self.sizes.longest_image, longest_q=packing.LONGEST_SEQUENCE,
                   longest_k=2 * packing.LONGEST_SEQUENCE)
        return out

    def next(self):
        """(batch, counts) for a training step, or None at the end."""
        if self.fresh_next or not self.kept:
            item = self.receive()
            if item is None:
                return None
            seed, batch, used = item
            self.kept.append(item)
            self.fresh_next = len(self.kept) <= self.DELAY
            return self.select(seed, batch, 0), used
        seed, batch, used = self.kept.popleft()
        self.fresh_next = True
        return self.select(seed, batch, 1), used


@torch.no_grad()
def evaluate(net: model.Model, batches: list) -> str:
    """Exact match of whole answers: all argmax tokens right, which is what greedy decoding would give."""
    right, total = np.zeros(len(scenes.TASKS)), np.zeros(len(scenes.TASKS))
    for batch, used in batches:
        _, _, predicted = net.losses(batch)
        ok = (predicted == batch["labels"]).cpu().numpy()
        for first, n, task in used["answers"][0]:
            right[task] += ok[first:first + n].all()
            total[task] += 1
    parts = [f"{t} {100 * right[i] / total[i]:.1f}({int(total[i])})" for i, t in enumerate(scenes.TASKS) if total[i]]
    return f"all {100 * right.sum() / max(1, total.sum()):.2f} | " + " ".join(parts)


def save(params: dict, out: pathlib.Path) -> None:
    """bfloat16, in files of at most LARGEST_FILE bytes: weights-0.safetensors and so on."""
    part, size, number = {}, 0, 0
    names = [k for k in params if not k.startswith("aux")]
    for k in names:
        value = params[k].detach().to(torch.bfloat16).cpu().contiguous()
        if size + value.numel() * 2 > LARGEST_FILE:
            save_file(part, out / f"weights-{number}.safetensors")
            part, size, number = {}, 0, number + 1
        part[k], size = value, size + value.numel() * 2
    save_file(part, out / f"weights-{number}.safetensors")


class Team:
    """The processes of one run, one a GPU. They average their gradients and agree on how far the run has come."""

    def __init__(self, device: torch.device, rank: int, world: int):
        self.rank, self.world, self.device = rank, world, device
        self.clock = None
        if world > 1:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def average(self, values: list, elapsed: float) -> float:
        """Average the gradients of values over the team; returns the mean of elapsed, as it was one step ago, because
        reading the new one would make the processor wait for the GPU."""
        if self.world == 1:
            return elapsed
        own = torch.tensor([elapsed], device=self.device)
        flat = torch.cat([v.grad.reshape(-1) for v in values] + [own])
        dist.all_reduce(flat)
        flat /= self.world
        at = 0
        for v in values:
            v.grad.copy_(flat[at:at + v.numel()].view_as(v))
            at += v.numel()
        before, self.clock = self.clock, flat[-1]
        return 0.0 if before is None else before.item()


def rate(progress: float, step: int, args) -> float:
    """Warm up, stay, fall to nothing."""
    fall = 1.0 if progress < args.flat else max(0.0, (1 - progress) / (1 - args.flat))
    return min(1.0, (step + 1) / args.warmup) * fall


def main() -> None:
    args = arguments()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    log = open(args.out / ("train.log" if rank == 0 else f"train-{rank}.log"), "a")

    def say(*words):
        line = f"[{time.time() - began:7.1f}] " + " ".join(str(w) for w in words)
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    sizes = batch_sizes(args.patches)
    scenes.emoji()
    args.eval_batches = args.eval_batches if rank == 0 else 0
    seeds = [EVAL_SEED + i for i in range(args.eval_batches)]
    seeds += [args.seed * 1_000_000 + i for i in range(rank, args.steps * world, world)]
    workers = args.workers or max(1, (os.cpu_count() or 2) // world - 1)
    source = loader.Loader(seeds, sizes, workers, slots=2 * workers + 4)
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    team = Team(device, rank, world)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(args.seed)
    compiled = device.type == "cuda"
    fresh = model.init_parameters(scenes.CLASSES, seed=args.seed)
    for part in sorted(args.weights.glob("weights-*.safetensors")) if args.weights else []:
        fresh.update({k: v.float() for k, v in load_file(part).items()})
    params = {k: v.to(device).requires_grad_() for k, v in fresh.items()}
    net = model.Model(params, dtype=torch.bfloat16 if compiled else torch.float32, compiled=compiled)
    counted = {part: sum(v.numel() for k, v in params.items() if k.startswith(part)) for part in (model.VIS, model.LM, "aux")}
    say("parameters", counted, "classes", scenes.CLASSES, "device", device, "arguments", vars(args))
    update = optimizer.MuonAndAdam(params, args.muon_lr, args.adam_lr)
    copies = quantize.QuantizedCopies(params, compiled)
    feeder = Feeder(source, device, sizes)
    feeder.start()
    held_out = []
    for _ in range(args.eval_batches):
        seed, batch, used = feeder.receive()
        held_out.append((feeder.select(seed, batch, 0), used))
    for _, used in held_out[:1]:
        say("first batch:", {k: v for k, v in used.items() if k != "answers"})

    def measure(batches, quantized):
        net.f, net.params = net.eager, copies(params) if quantized else params
        line = evaluate(net, batches)
        net.f, net.params = net.fast, params
        return line

    start = last = time.time()
    sums, images, waited, since, skipped = None, 0, 0.0, 0, 0
    good, marks = None, [0.25, 0.5, 0.75, 0.9]
    step, profiler, elapsed = 0, None, 0.0
    while True:
        progress = max(step / args.steps, elapsed / args.seconds)
        if progress >= 1:
            break
        t = time.time()
        item = feeder.next()
        waited += time.time() - t
        if item is None:
            break
        batch, used = item
        net.params = copies(params) if progress >= args.quantize_from else params
        loss, aux, _ = net.losses(batch)
        (loss + args.aux * (1 - 0.9 * progress) * aux).backward()
        elapsed = team.average(update.everything, time.time() - start)
        norm = torch.nn.utils.clip_grad_norm_(update.everything, 1.0)
        update.step(rate(progress, step, args))
        step, since, images = step + 1, since + 1, images + used["images"]
        now = torch.stack((loss.detach(), aux.detach(), norm))
        sums = now if sums is None else sums + now
        if args.profile and step == args.profile and compiled:
            profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            torch.cuda.synchronize()
            profiler.__enter__()
            profile_start = time.time()
        if profiler and step == args.profile + 4:
            torch.cuda.synchronize()
            wall = time.time() - profile_start
            profiler.__exit__(None, None, None)
            rows = profiler.key_averages()
            busy = sum(r.self_device_time_total for r in rows) / 1e6
            say(f"profile: wall {wall:.3f} s busy {busy:.3f} s kernels {sum(r.count for r in rows)}")
            for r in sorted(rows, key=lambda r: -r.self_device_time_total)[:30]:
                say(f"   {r.self_device_time_total / 4e3:8.2f} ms/step {r.count // 4:5d} {r.key[:100]}")
            profiler = None
        if since >= (args.log_every if step > 100 or not compiled else 20) or step <= 2:
            values = (sums / since).tolist()
            took = time.time() - last
            say(f"step {step} loss {values[0]:.4f} aux {values[1]:.4f} norm {values[2]:.2f} | {1e3 * took / since:.1f} ms/step "
                f"{images / took:.0f} images/s waited {100 * waited / took:.0f}% rate {rate(progress, step, args):.3f}")
            if not np.isfinite(values).all():
                skipped += 1
                say("not a number: back to the last good weights")
                with torch.no_grad():
                    for k, v in params.items():
                        v.copy_(good[k])
                    for v in update.velocity.values():
                        v.zero_()
                    update.adam.state.clear()
                if skipped > 20:
                    break
            elif step > 20:
                good = {k: v.detach().clone() for k, v in params.items()}
            last, sums, images, waited, since = time.time(), None, 0, 0.0, 0
        if marks and progress > marks[0]:
            marks.pop(0)
            if rank == 0:
                say("held out:", measure(held_out[:3], progress >= args.quantize_from))
                save(params, args.out)
            last, sums, images, waited, since = time.time(), None, 0, 0.0, 0
    if compiled:
        torch.cuda.synchronize()
        say(f"memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    say(f"trained {step} steps in {time.time() - start:.0f} s")
    if rank:
        source.close()
        os._exit(0)
    save(params, args.out)
    say("saved")
    say("full precision:", measure(held_out, False))
    say("4-bit language model:", measure(held_out, True))
    say("done")
    source.close()
    os._exit(0)


if __name__ == "__main__":
    main()
