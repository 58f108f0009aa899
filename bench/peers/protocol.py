"""What the drivers of the Python peers share: the lines of bench/peers/ours.c, and a picture. A module."""

import sys
import time

PROMPT_TOKENS = [100 + i * 37 % 2000 for i in range(40000)]


def tokens(n):
    return PROMPT_TOKENS[:n]


def median(values):
    return sorted(values)[len(values) // 2]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def picture(side):
    """RGB bytes of a square picture without meaning."""
    return bytes((i * 2654435761 >> 13) & 255 for i in range(1 << 16)) * (side * side * 3 // (1 << 16) + 1)


def serve(peer, started):
    """Answers lines until the input ends. `peer` has name, prefill(n), decode(batch, context, steps), vision(side) and
    first(side, n), each of which gives seconds; `started` is when loading began."""
    peer.prefill(1)
    print(f"ready {time.perf_counter() - started:.6f} {peer.name}", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        try:
            seconds = getattr(peer, what)(*map(int, numbers))
            print(f"seconds {seconds:.6f}", flush=True)
        except Exception as error:  # the next line may still work
            print("error", type(error).__name__, str(error).replace("\n", " ")[:200], flush=True)
