"""Draws the pictures in samples/ with cairo.

    /usr/bin/python3 make_samples.py SAMPLES_DIR      (Debian: python3-cairo, python3-pil, the fonts of the model card)
"""

import math
import pathlib
import random
import sys

import cairo
from PIL import Image

import holdout_draw
import names


def canvas(w, h, top, bottom):
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, w, h)
    c = cairo.Context(surface)
    g = cairo.LinearGradient(0, 0, 0, h)
    g.add_color_stop_rgb(0, *holdout_draw.rgb(top))
    g.add_color_stop_rgb(1, *holdout_draw.rgb(bottom))
    c.set_source(g)
    c.paint()
    return surface, c


def shape(c, kind, color, x, y, size, turn=0.0):
    c.save()
    c.translate(x, y)
    c.rotate(turn)
    c.scale(size / 2, size / 2)
    holdout_draw.path_of(random.Random(3), c, kind)
    c.set_source_rgb(*holdout_draw.rgb(color))
    c.fill()
    c.restore()


def emoji(c, name, x, y, size):
    item = holdout_draw.Item(random.Random(0), emoji=name)
    item.char = names.EMOJI[name][0]
    item.x, item.y, item.size = x, y, size
    holdout_draw.draw_item(random.Random(12), c, item)


def text(c, words, family, color, x, y, size):
    c.select_font_face(family, cairo.FONT_SLANT_NORMAL, cairo.FONT_WEIGHT_BOLD)
    c.set_font_size(size)
    e = c.text_extents(words)
    c.move_to(x - e.width / 2 - e.x_bearing, y - e.height / 2 - e.y_bearing)
    c.set_source_rgb(*holdout_draw.rgb(color))
    c.show_text(words)


def save(surface, path, **options):
    surface.flush()
    size = (surface.get_width(), surface.get_height())
    Image.frombytes("RGB", size, bytes(surface.get_data()), "raw", "BGRX", surface.get_stride(), 1).save(path, **options)


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)

    surface, c = canvas(640, 480, "#fdf6e3", "#f3e3c3")
    shape(c, "circle", "#e6261f", 150, 240, 170)
    shape(c, "star", "#1e60e0", 490, 230, 200, 0.1)
    save(surface, out / "shapes.png", optimize=True)

    surface, c = canvas(800, 600, "#bfe3f7", "#e9f6d8")
    emoji(c, "dog", 210, 330, 260)
    emoji(c, "pizza", 580, 300, 220)
    save(surface, out / "dog-and-pizza.jpg", quality=88)

    surface, c = canvas(720, 360, "#26324a", "#31435f")
    text(c, "Hello42", "Lato", "#ffe600", 360, 180, 130)
    save(surface, out / "text.webp", quality=85)

    surface, c = canvas(640, 480, "#ffffff", "#eef2f6")
    for i, (x, y) in enumerate([(120, 140), (330, 110), (520, 180), (210, 340), (440, 350)]):
        emoji(c, "strawberry", x, y, 110 + 8 * math.cos(i))
    save(surface, out / "strawberries.png", optimize=True)

    for name, color in (("first", "#008000"), ("second", "#ffa500")):
        surface, c = canvas(420, 420, "#f4f0ff", "#dcd4f4")
        shape(c, "heart", color, 210, 215, 230)
        save(surface, out / f"heart-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
