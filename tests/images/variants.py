"""Makes some hundreds of valid pictures, of every variant of the four formats and of many sizes, lets image_files decode them and
compares the pixels with Pillow's. Needs Pillow, numpy and transformers (for tools/fixtures/pixels.py, whose writers and reference
it uses).

    python tests/images/variants.py build/image_files
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "fixtures"))
import pixels  # noqa: E402

SIZES = ((1, 1), (2, 3), (8, 8), (17, 5), (16, 33), (63, 65), (130, 99))


def jpegs():
    encode, scene = pixels.encode, pixels.scene
    for width, height in SIZES:
        for subsampling in (0, 1, 2):
            for progressive in (False, True):
                for quality in (20, 92):
                    yield "jpg", encode(
                        scene(width, height), "JPEG", quality=quality, subsampling=subsampling,
                        progressive=progressive,
                    )
        for progressive in (False, True):
            yield "jpg", encode(scene(width, height, "L"), "JPEG", progressive=progressive)
            cmyk = encode(scene(width, height, "CMYK"), "JPEG", quality=85, progressive=progressive)
            yield "jpg", cmyk
            yield "jpg", pixels.ycck_from_cmyk(cmyk)
        yield "jpg", encode(scene(width, height), "JPEG", keep_rgb=True)
        yield "jpg", encode(scene(width, height), "JPEG", restart_marker_rows=1)
    for value in range(1, 9):
        for file_format, options in (("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
            exif = pixels.with_orientation(value)
            yield file_format.lower(), encode(scene(37, 20), file_format, exif=exif, **options)


def pngs():
    random = np.random.default_rng(3)
    for width, height in SIZES:
        for interlaced in (False, True):
            for depth, colour, channels in (
                (1, 0, 1), (2, 0, 1), (4, 0, 1), (8, 0, 1), (16, 0, 1), (8, 2, 3), (16, 2, 3),
                (8, 4, 2), (16, 4, 2), (8, 6, 4), (16, 6, 4),
            ):
                samples = random.integers(0, 2**depth, (height, width, channels))
                yield "png", pixels.png(samples, depth, colour, interlaced)
            for depth in (1, 2, 4, 8):
                entries = 2**depth
                samples = random.integers(0, entries, (height, width, 1))
                palette = pixels.png_chunk(b"PLTE", random.integers(0, 256, entries * 3, np.uint8).tobytes())
                alpha = pixels.png_chunk(b"tRNS", random.integers(0, 256, entries, np.uint8).tobytes())
                yield "png", pixels.png(samples, depth, 3, interlaced, palette)
                yield "png", pixels.png(samples, depth, 3, interlaced, palette + alpha)
            samples = random.integers(0, 4, (height, width, 3))
            key = pixels.png_chunk(b"tRNS", bytes((0, 1, 0, 2, 0, 3)))
            yield "png", pixels.png(samples, 8, 2, interlaced, key)
            yield "png", pixels.png(samples[:, :, :1], 8, 0, interlaced, pixels.png_chunk(b"tRNS", b"\0\2"))


def gifs():
    random = np.random.default_rng(5)
    for width, height in SIZES:
        palette = pixels.scene(width, height).quantize(64)
        for interlace in (0, 1):
            yield "gif", pixels.encode(palette, "GIF", interlace=interlace)
            yield "gif", pixels.encode(palette, "GIF", interlace=interlace, transparency=1)
        colours = random.integers(0, 256, 768).tolist()
        indexes = random.integers(0, 256, (height, width))
        for left, top, transparent in ((0, 0, None), (3, 2, 9), (3, 2, None)):
            yield "gif", pixels.gif([(left, top, indexes, None, transparent)], (width + 4, height + 9), colours)
        later = palette.transpose(Image.Transpose.ROTATE_180)
        yield "gif", pixels.encode(palette, "GIF", save_all=True, append_images=[later])


def webps():
    encode, scene = pixels.encode, pixels.scene
    for width, height in SIZES:
        for mode in ("RGB", "RGBA"):
            for options in ({"quality": 10}, {"quality": 90}, {"lossless": True}, {"quality": 50, "method": 6}):
                yield "webp", encode(scene(width, height, mode), "WEBP", **options)
        yield "webp", encode(
            scene(width, height), "WEBP", save_all=True, lossless=True,
            append_images=[scene(width, height).rotate(180)],
        )


def read_ppm(path):
    data = path.read_bytes()
    _, size, _, body = data.split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(body, np.uint8).reshape(height, width, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    options = parser.parse_args()
    counts, worst, wrong = {}, {}, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pictures = []
        for make in (jpegs, pngs, gifs, webps):
            for kind, data in make():
                path = folder / f"{len(pictures):04}.{kind}"
                path.write_bytes(data)
                pictures.append(path)
        subprocess.run(
            [options.program, "-w", folder, *pictures], check=True, stdout=subprocess.DEVNULL
        )
        for path in pictures:
            expected = np.asarray(pixels.upright_rgb(path.read_bytes())).astype(int)
            got = read_ppm(folder / (path.name + ".ppm")).astype(int)
            kind = path.suffix[1:].replace("jpeg", "jpg")
            counts[kind] = counts.get(kind, 0) + 1
            same = expected.shape == got.shape
            difference = int(abs(expected - got).max()) if same else 255
            worst[kind] = max(worst.get(kind, 0), difference)
            if difference > (1 if kind == "jpg" else 0):
                wrong += 1
                print(f"{path.name}: differs by up to {difference}")
    for kind, count in counts.items():
        print(f"{kind}: {count} pictures, largest difference {worst[kind]}")
    print(f"{sum(counts.values())} pictures, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
