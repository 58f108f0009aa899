"""Draws the separate evaluation set with cairo: other code, other fonts and other wordings than training ever saw.

    /usr/bin/python3 holdout_draw.py SET_DIR [--per-task 120] [--seed 1]      (Debian: python3-cairo, python3-pil)

Shared with training are only the vocabulary (names.py) and the sentences of answers (wordings.py, whose HELD_OUT questions
are asked here). Pillow does no drawing; it only writes JPEG, WebP and GIF files.
"""

import argparse
import json
import math
import pathlib
import random

import cairo
from PIL import Image

import names
import wordings

FONTS = ["Lato", "Cabin", "Roboto Slab", "JetBrains Mono", "Vollkorn", "Caladea", "Cantarell", "P052"]
# keywords of CSS, each under the name that people use
PAINT = {
    "red": ["#ff0000", "#dc143c", "#e6261f"], "green": ["#008000", "#228b22", "#00ff00", "#32cd32", "#2e8b57"],
    "blue": ["#0000ff", "#1e90ff", "#4169e1", "#0000cd"], "yellow": ["#ffff00", "#ffe600"], "orange": ["#ffa500", "#ff8c00"],
    "purple": ["#800080", "#663399", "#8a2be2"], "pink": ["#ffc0cb", "#ff69b4", "#ffb6c1"], "brown": ["#8b4513", "#a52a2a", "#7b4a1e"],
    "black": ["#000000", "#101010"], "white": ["#ffffff"], "gray": ["#808080", "#696969"], "cyan": ["#00ffff", "#00e5ee"],
}
GROUNDS = ["#ffffff", "#ffffff", "#f5f5dc", "#fffaf0", "#e6e6fa", "#d3d3d3", "#2f4f4f", "#191970", "#000000", "#f0fff0", "#87ceeb",
           "#faebd7", "#556b2f", "#483d8b", "#b0c4de", "#d2b48c", "#98fb98", "#ffdab9"]
TEXTS = ["Lamp", "BRIDGE", "Tomato", "winter", "SPEED", "Paris", "42", "2026", "K9", "Zebra", "QUIET", "garage", "B52", "Mind", "JAZZ", "Route66",
         "hidden", "Right", "DELTA", "7x9", "Thunder", "fjord", "GATE", "R2D2", "kitten", "Yellow", "Hamburg", "MARKT", "Ladder", "tiger"]
SIZES = [(320, 240), (640, 480), (800, 600), (1000, 750), (1000, 1000), (512, 512), (256, 256), (600, 900), (900, 500), (400, 700), (200, 150),
         (768, 432), (300, 300), (480, 270), (150, 220), (1000, 400)]


def rgb(code: str):
    return tuple(int(code[i:i + 2], 16) / 255 for i in (1, 3, 5))


def contrast(a: str, b: str) -> float:
    """Ratio of relative luminances plus a share for the distance of hues."""
    (r, g, bl), (r2, g2, b2) = rgb(a), rgb(b)
    light = abs(0.3 * (r - r2) + 0.59 * (g - g2) + 0.11 * (bl - b2))
    return light + 0.35 * math.dist((r, g, bl), (r2, g2, b2))


class Item:
    """Something placed: kind is a shape, or None for an emoji."""

    def __init__(self, rng, kind=None, color=None, emoji=None):
        self.kind, self.color, self.emoji = kind, color, emoji
        self.paint = rng.choice(PAINT[color]) if color else None
        self.char = rng.choice(names.EMOJI[emoji]) if emoji else None
        self.x = self.y = self.size = 0.0

    @property
    def name(self):
        return f"{self.color} {self.kind}" if self.kind else self.emoji


def any_item(rng):
    if rng.random() < 0.45:
        return Item(rng, rng.choice(names.SHAPES), rng.choice(list(PAINT)))
    return Item(rng, emoji=rng.choice(names.EMOJI_NAMES))


def path_of(rng, c: cairo.Context, kind: str) -> None:
    """The outline of a shape in the box -1..1, y down."""
    def poly(points):
        c.move_to(*points[0])
        for p in points[1:]:
            c.line_to(*p)
        c.close_path()

    def regular(n, turn=0.0):
        poly([(math.sin(turn + 2 * math.pi * i / n), -math.cos(turn + 2 * math.pi * i / n)) for i in range(n)])

    if kind == "circle":
        c.arc(0, 0, 0.97, 0, 2 * math.pi)
    elif kind == "oval":
        c.save()
        c.scale(1, rng.choice([0.5, 0.6]))
        c.arc(0, 0, 1, 0, 2 * math.pi)
        c.restore()
    elif kind == "square":
        c.rectangle(-0.85, -0.85, 1.7, 1.7)
    elif kind == "rectangle":
        half = rng.choice([0.42, 0.5, 0.6])
        c.rectangle(-0.98, -half, 1.96, 2 * half)
    elif kind == "triangle":
        poly([(0, -0.9), (1, 0.83), (-1, 0.83)])
    elif kind == "star":
        poly([((1 if i % 2 == 0 else 0.382) * math.sin(math.pi * i / 5), -(1 if i % 2 == 0 else 0.382) * math.cos(math.pi * i / 5))
              for i in range(10)])
    elif kind == "heart":
        c.move_to(0, 0.95)
        c.curve_to(-1.6, -0.1, -0.9, -1.35, 0, -0.55)
        c.curve_to(0.9, -1.35, 1.6, -0.1, 0, 0.95)
        c.close_path()
    elif kind == "diamond":
        poly([(0, -1), (0.68, 0), (0, 1), (-0.68, 0)])
    elif kind == "pentagon":
        regular(5)
    elif kind == "hexagon":
        regular(6, math.pi / 6)
    elif kind == "cross":
        a = rng.choice([0.25, 0.33])
        c.rectangle(-a, -1, 2 * a, 2)
        c.rectangle(-1, -a, 2, 2 * a)
    elif kind == "ring":
        c.arc(0, 0, 1, 0, 2 * math.pi)
        c.new_sub_path()
        c.arc_negative(0, 0, rng.choice([0.55, 0.7]), 2 * math.pi, 0)
    elif kind == "crescent":
        c.arc(0, 0, 1, math.radians(50), math.radians(310))
        c.arc_negative(0.48, 0, 0.78, math.radians(258), math.radians(102))
        c.close_path()
    elif kind == "arrow":
        turn = rng.choice([0, 1, 2, 3]) * math.pi / 2
        points = [(-1, -0.28), (0.1, -0.28), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.28), (-1, 0.28)]
        poly([(x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)) for x, y in points])


def ground(rng, c, w, h, paints) -> None:
    """Fill the picture so that everything with a colour stands out."""
    good = [g for g in GROUNDS if all(contrast(g, p) > 0.3 for p in paints)] or ["#ffffff"]
    if "#ffffff" in good and len(good) == 1 and any(contrast("#ffffff", p) <= 0.3 for p in paints):
        good = ["#404040"]
    base = rng.choice(good)
    c.set_source_rgb(*rgb(base))
    c.paint()
    other = rng.choice(good)
    kind = rng.random()
    if kind < 0.2:
        g = cairo.LinearGradient(0, 0, w * rng.random(), h)
    elif kind < 0.35:
        g = cairo.RadialGradient(w / 2, h / 2, 0, w / 2, h / 2, max(w, h) * 0.7)
    else:
        g = None
    if g:
        g.add_color_stop_rgb(0, *rgb(base))
        # halfway only: between two grounds lie colours that nobody checked
        g.add_color_stop_rgb(1, *(0.75 * a + 0.25 * b for a, b in zip(rgb(base), rgb(other))))
        c.set_source(g)
        c.paint()
    elif kind < 0.45:
        c.set_source_rgba(*rgb(other), 0.18)
        for _ in range(30):
            c.arc(rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.02, 0.12) * min(w, h), 0, 2 * math.pi)
            c.fill()
    elif kind < 0.55:
        c.set_source_rgba(0.5, 0.5, 0.5, 0.2)
        step = max(6, min(w, h) // 14)
        for x in range(0, w, step):
            for y in range(0, h, step):
                c.arc(x, y, max(1, step * 0.1), 0, 2 * math.pi)
                c.fill()


def draw_item(rng, c, item) -> None:
    c.save()
    c.translate(item.x, item.y)
    if rng.random() < 0.3:
        c.rotate(rng.uniform(-0.15, 0.15))
    r = item.size / 2
    if item.kind:
        c.scale(r, r)
        path_of(rng, c, item.kind)
        if item.kind != "ring" and rng.random() < 0.15:
            c.set_source_rgb(*rgb(item.paint))
            c.fill_preserve()
            c.set_source_rgb(*[v * 0.5 for v in rgb(item.paint)])
            c.set_line_width(0.05)
            c.stroke()
        else:
            if rng.random() < 0.15:
                c.set_antialias(cairo.ANTIALIAS_NONE)
            c.set_source_rgb(*rgb(item.paint))
            c.fill()
            c.set_antialias(cairo.ANTIALIAS_DEFAULT)
    else:
        c.select_font_face("Noto Color Emoji")
        c.set_font_size(item.size * 0.85)
        e = c.text_extents(item.char)
        c.move_to(-e.x_bearing - e.width / 2, -e.y_bearing - e.height / 2)
        c.show_text(item.char)
    c.restore()


def write_text(rng, c, text, paint, w, h) -> None:
    c.select_font_face(rng.choice(FONTS), cairo.FONT_SLANT_NORMAL, rng.choice([cairo.FONT_WEIGHT_NORMAL, cairo.FONT_WEIGHT_BOLD]))
    c.set_font_size(100)
    e = c.text_extents(text)
    # at least 24 pixels an em once the processor has made it about 336 x 336
    least = 24 * max(1.0, math.sqrt(w * h / 112896)) / 100
    most = min(w * 0.92 / e.width, h * 0.85 / max(e.height, 70))
    scale = max(min(least, most), most * rng.uniform(0.35, 1.0))
    c.set_font_size(100 * scale)
    e = c.text_extents(text)
    x, y = rng.uniform(w * 0.03, w * 0.97 - e.width), rng.uniform(h * 0.05, max(h * 0.051, h * 0.95 - e.height))
    c.set_source_rgb(*rgb(paint))
    c.move_to(x - e.x_bearing, y - e.y_bearing)
    c.show_text(text)


def place(rng, items, w, h, share) -> bool:
    done = []
    for item in items:
        for _ in range(200):
            size = min(w, h) * rng.uniform(*share)
            x, y = rng.uniform(size * 0.55, w - size * 0.55), rng.uniform(size * 0.55, h - size * 0.55)
            if all(max(abs(x - i.x), abs(y - i.y)) > (size + i.size) * 0.56 for i in done):
                item.x, item.y, item.size = x, y, size
                done.append(item)
                break
        else:
            return False
    return True


class Set:
    """The folder that is being filled."""

    def __init__(self, folder, seed, per_task, held_out):
        self.folder, self.rng, self.per_task, self.held_out = folder, random.Random(seed), per_task, held_out
        self.lines, self.count, self.pictures = [], {}, 0
        folder.mkdir(parents=True, exist_ok=True)

    def full(self, *tasks) -> bool:
        return all(self.count.get(t, 0) >= self.per_task for t in tasks)

    def picture(self, items, text=None, size=None) -> str:
        """Draw, save, and return the file's name. text: (string, paint)."""
        rng = self.rng
        w, h = size or rng.choice(SIZES)
        surface = cairo.ImageSurface(cairo.FORMAT_RGB24, w, h)
        c = cairo.Context(surface)
        ground(rng, c, w, h, [i.paint for i in items if i.paint] + ([text[1]] if text else []))
        for item in items:
            draw_item(rng, c, item)
        if text:
            write_text(rng, c, text[0], text[1], w, h)
        surface.flush()
        image = Image.frombytes("RGB", (w, h), bytes(surface.get_data()), "raw", "BGRX", surface.get_stride(), 1)
        self.pictures += 1
        stem = f"{self.pictures:05}"
        kind = rng.random()
        if kind < 0.35:
            name, options = stem + ".png", {}
        elif kind < 0.7:
            name, options = stem + ".jpg", {"quality": rng.choice([60, 75, 85, 92])}
        elif kind < 0.87:
            name, options = stem + ".webp", {"quality": rng.choice([70, 80, 90])}
        else:
            name, options = stem + ".gif", {}
            image = image.quantize(256)
        image.save(self.folder / name, **options)
        return name

    def ask(self, task, pattern, answer, files, **slots) -> None:
        if self.count.get(task, 0) >= self.per_task:
            return
        self.count[task] = self.count.get(task, 0) + 1
        question = {"type": "text", "text": wordings.ask(pattern, self.rng, self.held_out, **slots)}
        pictures = [{"type": "image", "image": i} for i in range(len(files))]
        content = [question] + pictures if self.rng.random() < 0.3 else pictures + [question]
        self.lines.append({"task": task, "images": files, "content": content, "answer": answer})

    def distinct(self, n):
        items = [any_item(self.rng) for _ in range(n)]
        kinds = [i.kind or i.emoji for i in items]
        return items if len(set(kinds)) == n else self.distinct(n)

    def objects(self, n) -> None:
        rng = self.rng
        size = rng.choice(SIZES)
        w, h = size
        items = self.distinct(n)
        if not place(rng, items, w, h, {1: (0.2, 0.8), 2: (0.18, 0.42), 3: (0.16, 0.32)}[n]):
            return
        files = [self.picture(items, size=size)]
        order = sorted(items, key=lambda i: i.x)
        if all(b.x - a.x > 0.05 * w for a, b in zip(order, order[1:])):
            self.ask(f"what{n}", "what", wordings.say_list([i.name for i in order]), files)
        item = rng.choice(items)
        if item.kind:
            self.ask("color", "color", f"The {item.kind} is {item.color}.", files, o=item.kind)
            if rng.random() < 0.4:
                asked = rng.choice([item.color, rng.choice(list(PAINT))])
                self.ask("yesno", "iscolor", f"{'Yes' if asked == item.color else 'No'}, the {item.kind} is {item.color}.", files,
                         o=item.kind, c=asked)
        fx, fy = item.x / w, item.y / h
        if all(abs(f - t) > 0.06 for f in (fx, fy) for t in (1 / 3, 2 / 3)):
            row = "top" if fy < 1 / 3 else "bottom" if fy > 2 / 3 else ""
            column = "left" if fx < 1 / 3 else "right" if fx > 2 / 3 else ""
            place_name = (f"in the {row} {column} corner" if row and column else f"at the {row}" if row
                          else f"on the {column}" if column else "in the center")
            self.ask("where", "where", wordings.say_where(item.name, place_name), files, o=item.name)
        if n > 1:
            a, b = rng.sample(items, 2)
            dx, dy = b.x - a.x, b.y - a.y
            how = None
            if abs(dx) > 1.8 * abs(dy):
                how = "to the left of" if dx > 0 else "to the right of"
            elif abs(dy) > 1.8 * abs(dx):
                how = "above" if dy > 0 else "below"
            if how:
                self.ask("relation", "relation", wordings.say_relation(a.name, how, b.name), files, a=a.name, b=b.name)
        other = any_item(rng)
        shown = rng.choice(items) if rng.random() < 0.5 else other
        there = any(i.name == shown.name for i in items)
        self.ask("yesno", "exists", wordings.say_exists(shown.name, there), files, an=names.with_article(shown.name))

    def counts(self) -> None:
        rng = self.rng
        size = rng.choice([s for s in SIZES if min(s) >= 200])
        first = any_item(rng)
        if first.emoji and first.emoji not in names.COUNTABLE:
            return
        n = rng.randint(1, 6)
        items = []
        for _ in range(n):
            copy = Item(rng, first.kind, first.color, first.emoji)
            copy.paint, copy.char = first.paint, first.char
            items.append(copy)
        extra = any_item(rng)
        if rng.random() < 0.4 and (extra.kind or extra.emoji) != (first.kind or first.emoji):
            items.append(extra)
        if place(rng, items, *size, (0.14, 0.26)):
            self.ask("count", "count", wordings.say_count(first.name, n), [self.picture(items, size=size)], os=names.plural(first.name))

    def string(self) -> str:
        rng = self.rng
        if rng.random() < 0.4:
            return rng.choice(TEXTS)
        letters = rng.choice(["ABDEFGHJKLMNPQRTUVWXYZ", "ABDEFGHJKLMNPQRTUVWXYZ23456789", "abdefghijkmnpqrtuy", "ABDEFGHRabdefghr", "0123456789"])
        text = "".join(rng.choice(letters) for _ in range(rng.randint(1, 8)))
        return text if any(c in "ABDEFGHJLMNQRTYabdefghijmnqrty0123456789" for c in text) else self.string()

    def texts(self) -> None:
        text, color = self.string(), self.rng.choice(list(PAINT))
        wide = len(text) / 8
        size = self.rng.choice([s for s in SIZES if s[0] >= 200 + 200 * wide])
        files = [self.picture([], (text, self.rng.choice(PAINT[color])), size)]
        task = "text1-4" if len(text) <= 4 else "text5-8"
        self.ask(task, "text", f'It says "{text}".', files)
        self.ask("textcolor", "textcolor", f"The text is {color}.", files)
        if self.rng.random() < 0.6:
            i = self.rng.randrange(len(text))
            self.ask("char", "char", wordings.say_char(i, text[i]), files, n=names.ORDINALS[i])
        else:
            self.ask("length", "length", wordings.say_count("character", len(text)), files)

    def pairs(self) -> None:
        rng = self.rng
        size = rng.choice([s for s in SIZES if max(s) <= 800])
        item, = self.distinct(1)
        if not place(rng, [item], *size, (0.3, 0.7)):
            return
        other, answer = Item(rng, item.kind, item.color, item.emoji), wordings.SAY_SAME
        other.paint, other.char = item.paint, item.char
        if rng.random() < 0.55:
            if item.kind and rng.random() < 0.5:
                color = rng.choice([c for c in PAINT if c != item.color])
                other = Item(rng, item.kind, color)
                answer = f"The {item.kind} is {item.color} in the first image and {color} in the second."
            else:
                other = any_item(rng)
                if (other.kind or other.emoji) == (item.kind or item.emoji):
                    return
                answer = wordings.say_shows(names.with_article(item.name), names.with_article(other.name))
        other.x, other.y, other.size = item.x, item.y, item.size
        files = [self.picture([item], size=size), self.picture([other], size=size)]
        self.ask("same" if answer == wordings.SAY_SAME else "differ", "compare", answer, files)
        which = rng.randrange(2)
        self.ask("nth", "nth", wordings.say_list([(item, other)[which].name]), files, n=names.ORDINALS[which])

    def talk(self) -> None:
        """What is said without an image, each thing once."""
        for answer, texts in wordings.TALK_HELD_OUT.items():
            for text in texts:
                self.lines.append({"task": "talk", "images": [], "content": [{"type": "text", "text": text}], "answer": answer})

    def save(self) -> None:
        with open(self.folder / "scenes.jsonl", "w") as out:
            for line in self.lines:
                out.write(json.dumps(line) + "\n")
        print(f"{self.pictures} pictures", self.count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=pathlib.Path)
    parser.add_argument("--per-task", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--known-wordings", action="store_true", help="ask as training does, to see what the drawing alone costs")
    args = parser.parse_args()
    out = Set(args.set, args.seed, args.per_task, not args.known_wordings)
    while not out.full("what1", "what2", "what3", "color", "where", "relation", "yesno"):
        out.objects(out.rng.choice([1, 2, 2, 3, 3]))
    while not out.full("count"):
        out.counts()
    while not out.full("text1-4", "text5-8", "textcolor", "char", "length"):
        out.texts()
    while not out.full("same", "differ", "nth"):
        out.pairs()
    if out.held_out:
        out.talk()
    out.save()


if __name__ == "__main__":
    main()
