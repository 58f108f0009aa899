"""Times Pillow over what bench/image_decode.c times: a JPEG's bytes to RGB, resized with the same filter.

    python tools/image_peer.py make /tmp/picture.jpg      writes a photo-like JPEG of 4032 x 3024 pixels
    python tools/image_peer.py time /tmp/picture.jpg 1148 868 --rounds 10
"""

import argparse
import io
import pathlib
import time

import numpy
import PIL
from PIL import Image


def make(path):
    """Soft shapes and the noise of a sensor: about 4 MB at quality 90."""
    random = numpy.random.default_rng(1)
    coarse = random.integers(0, 256, (378, 504, 3), dtype=numpy.uint8)
    soft = numpy.asarray(Image.fromarray(coarse).resize((4032, 3024), Image.BICUBIC)).astype(int)
    noisy = numpy.clip(soft + random.integers(-6, 7, soft.shape), 0, 255).astype(numpy.uint8)
    Image.fromarray(noisy).save(path, quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "time"))
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("width", type=int, nargs="?", default=1148)
    parser.add_argument("height", type=int, nargs="?", default=868)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    if options.what == "make":
        make(options.file)
        return
    data = options.file.read_bytes()
    best = [9e9, 9e9]
    for _ in range(options.rounds):
        began = time.perf_counter()
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        decoded = time.perf_counter()
        picture.resize((options.width, options.height), Image.BICUBIC)
        ended = time.perf_counter()
        best = [min(best[0], decoded - began), min(best[1], ended - decoded)]
    print(
        f"Pillow {PIL.__version__}: decode {1e3 * best[0]:.1f} ms, resize {1e3 * best[1]:.1f} ms, "
        f"together {1e3 * sum(best):.1f} ms"
    )


if __name__ == "__main__":
    main()
