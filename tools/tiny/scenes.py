"""Composes scenes and what can be asked about them: objects, copies to count, texts, pairs of images.

A scene is one or two Views (processed pixels and labelled boxes) and a list of (task, question, answer). Pictures are drawn
at canvas size, saved through a file format, then resized exactly as the image processor of transformers does.
"""

import dataclasses
import math
import random

import numpy as np
from PIL import Image

import assets
import config
import render
import strings
import wide
import wordings as say
from names import COLORS, COUNTABLE, EMOJI_NAMES, NUMBERS, ORDINALS, SHAPES, plural, with_article

COLOR_NAMES = list(COLORS)
GLYPHS = strings.UPPER + "IO" + strings.LOWER + "lo" + strings.DIGITS
CLASS_SHAPE = len(EMOJI_NAMES)
CLASS_GLYPH = CLASS_SHAPE + len(SHAPES) * len(COLOR_NAMES)
CLASS_NOTHING = CLASS_GLYPH + len(GLYPHS)
CLASSES = CLASS_NOTHING + 1

TASKS = ["what1", "what2", "what3", "whatn", "whattext", "color", "where", "relation", "yesno", "count", "text1-4", "text5-8",
         "textcolor", "char", "length", "same", "differ", "nth", "talk", "absent"]
CLEAR = 0.045                 # how far, in shares of the image, a thing must keep from the lines between thirds
FONT_PIXELS = 17.0            # smallest em after processing
OBJECT_PIXELS = 27.0          # smallest object after processing

_emoji = {}


def emoji() -> dict:
    if not _emoji:
        _emoji.update(assets.load_emoji())
        for name, pictures in _emoji.items():
            means = []
            for p in pictures:
                a = np.asarray(p, np.float32)
                means.append(tuple((a[..., :3] * a[..., 3:]).sum((0, 1)) / a[..., 3].sum()))
            _emoji[name] = list(zip(pictures, means))
    return _emoji


@dataclasses.dataclass
class Thing:
    """A shape (color is set) or an emoji."""
    name: str
    color: str | None = None
    tint: tuple = (0, 0, 0)
    picture: Image.Image | None = None
    x: float = 0.0
    y: float = 0.0
    size: float = 0.0

    @property
    def full(self) -> str:
        return f"{self.color} {self.name}" if self.color else self.name

    @property
    def label(self) -> int:
        if self.color:
            return CLASS_SHAPE + SHAPES.index(self.name) * len(COLOR_NAMES) + COLOR_NAMES.index(self.color)
        return EMOJI_NAMES.index(self.name)


@dataclasses.dataclass
class View:
    """pixels [h, w, 3] bytes, sides multiples of 28; boxes (x0, y0, x1, y1, class) in those pixels; the drawn picture."""
    pixels: np.ndarray
    boxes: list
    picture: Image.Image


def smart_resize(height: int, width: int, low=config.MIN_PIXELS, high=config.MAX_PIXELS, factor=config.CELL) -> tuple[int, int]:
    """The size that Qwen2-VL's processor makes of a picture: multiples of factor, between low and high pixels in all."""
    h, w = round(height / factor) * factor, round(width / factor) * factor
    if h * w > high:
        beta = math.sqrt(height * width / high)
        h = max(factor, math.floor(height / beta / factor) * factor)
        w = max(factor, math.floor(width / beta / factor) * factor)
    elif h * w < low:
        beta = math.sqrt(low / (height * width))
        h, w = math.ceil(height * beta / factor) * factor, math.ceil(width * beta / factor) * factor
    return h, w


def canvas(rng: random.Random) -> tuple[int, int]:
    """(width, height) of a picture to draw, 56 to 1,000 pixels a side."""
    kind = rng.random()
    if kind < 0.05:
        return rng.choice([(640, 480), (400, 300), (320, 240), (512, 512), (800, 600), (300, 300), (200, 200), (480, 640), (1000, 1000)])
    mean = math.exp(rng.uniform(math.log(84), math.log(360)) if kind < 0.62 else rng.uniform(math.log(310), math.log(600)) if kind < 0.96
                    else rng.uniform(math.log(560), math.log(900)))
    aspect = 2 ** max(-2.0, min(2.0, rng.gauss(0, 0.55)))
    if rng.random() < 0.2:
        aspect = 1.0
    w, h = mean * math.sqrt(aspect), mean / math.sqrt(aspect)
    if kind < 0.36:  # whole cells need no resizing, which is what costs most here
        return tuple(min(11, max(3, round(v / config.CELL))) * config.CELL for v in (w, h))
    return tuple(int(min(1000, max(56, v))) for v in (w, h))


def shrink(size) -> float:
    """Processed pixels for each canvas pixel."""
    w, h = size
    rh, rw = smart_resize(h, w)
    return math.sqrt(rh * rw / (w * h))


def shape(rng: random.Random, name=None, color=None) -> Thing:
    color = color or rng.choice(COLOR_NAMES)
    return Thing(name or rng.choice(SHAPES), color, render.pick_color(color, rng))


def emoji_thing(rng: random.Random, names=EMOJI_NAMES) -> Thing:
    name = rng.choice(names)
    picture, mean = rng.choice(emoji()[name])
    return Thing(name, None, mean, picture)


def thing(rng: random.Random, shapes=0.42) -> Thing:
    return shape(rng) if rng.random() < shapes else emoji_thing(rng)


def place(rng: random.Random, things: list[Thing], size, largest=None) -> bool:
    """Give things places and sizes so that none overlap; False if they do not fit."""
    w, h = size
    m = min(w, h)
    top = m * (largest or {1: 0.95, 2: 0.62, 3: 0.5}.get(len(things), 0.4))
    low = min(OBJECT_PIXELS / shrink(size), m * 0.6)
    for attempt in range(60):
        done = []
        for t in things:
            for _ in range(14):
                s = math.exp(rng.uniform(math.log(low), math.log(max(low * 1.05, top)))) * (1 - 0.012 * attempt)
                s = min(max(s, low), m * 0.96)
                x, y = rng.uniform(s * 0.49, w - s * 0.49), rng.uniform(s * 0.49, h - s * 0.49)
                if all(max(abs(x - a), abs(y - b)) > (s + c) * 0.5 for a, b, c in done):
                    done.append((x, y, s))
                    break
            else:
                break
        if len(done) == len(things):
            for t, (x, y, s) in zip(things, done):
                t.x, t.y, t.size = x, y, s
            return True
    return False


def paint(rng: random.Random, size, things: list[Thing], writing=None, back=None) -> View:
    """Draw and process one picture. writing = (text, font, em, spacing, tint, x, y, angle). back: a ready background."""
    tints = [t.tint for t in things] + ([writing[4]] if writing else [])
    image = (back or render.background(rng, size, tints, 80.0 if writing else 68.0)).copy()
    boxes = []
    for t in things:
        if t.picture is None:
            render.draw_shape(rng, image, t.name, t.tint, t.x, t.y, t.size)
        else:
            render.draw_emoji(rng, image, t.picture, t.x, t.y, t.size)
        r = t.size * 0.42
        boxes.append((t.x - r, t.y - r, t.x + r, t.y + r, t.label))
    if writing:
        text, font, em, spacing, tint, x, y, angle = writing
        for char, box in zip(text, render.draw_text(rng, image, text, font, em, spacing, tint, x, y, angle)):
            boxes.append((*box, CLASS_GLYPH + GLYPHS.index(char)))
    image = render.save_and_reload(rng, render.spoil(rng, image))
    h, w = smart_resize(image.height, image.width)
    sx, sy = w / image.width, h / image.height
    pixels = np.asarray(image.resize((w, h), Image.BICUBIC))
    return View(pixels, [(a * sx, b * sy, c * sx, d * sy, k) for a, b, c, d, k in boxes], image)


def third(thing_: Thing, size) -> str | None:
    """Where in the image something lies, or None when it lies near the line between two answers."""
    fx, fy = thing_.x / size[0], thing_.y / size[1]
    if min(abs(fx - 1 / 3), abs(fx - 2 / 3), abs(fy - 1 / 3), abs(fy - 2 / 3)) < CLEAR:
        return None
    row = "top" if fy < 1 / 3 else "bottom" if fy > 2 / 3 else ""
    column = "left" if fx < 1 / 3 else "right" if fx > 2 / 3 else ""
    if row and column:
        return f"in the {row} {column} corner"
    if row:
        return f"at the {row}"
    return f"on the {column}" if column else "in the center"


def relation(a: Thing, b: Thing, size) -> str | None:
    """How a lies to b, or None when it is not plain."""
    dx, dy = b.x - a.x, b.y - a.y
    gap = 14 / shrink(size)
    if abs(dx) > 1.6 * abs(dy) and abs(dx) > gap:
        return "to the left of" if dx > 0 else "to the right of"
    if abs(dy) > 1.6 * abs(dx) and abs(dy) > gap:
        return "above" if dy > 0 else "below"
    return None


def list_answer(things: list[Thing], size) -> str | None:
    """Names from left to right; None when two stand too nearly above one another."""
    order = sorted(things, key=lambda t: t.x)
    if all(b.x - a.x >= 9 / shrink(size) for a, b in zip(order, order[1:])):
        return say.say_list([t.full for t in order])
    return None


def unique_shape(t: Thing, things) -> bool:
    return t.color is not None and sum(o.color is not None and o.name == t.name for o in things) == 1


class Asker:
    """Collects (task, question, answer) with one source of chance."""

    def __init__(self, rng: random.Random):
        self.rng, self.found = rng, []

    def add(self, tag: str, pattern: str, answer: str, **slots) -> None:
        self.found.append((tag, wide.ask(pattern, self.rng, **slots), answer))

    def about_things(self, things: list[Thing], size) -> None:
        rng, n = self.rng, len(things)
        listed = list_answer(things, size)
        if listed:
            for _ in range(2 if n < 3 else 3):
                self.add(f"what{n}", "what", listed)
        for t in things:
            called = t.name if unique_shape(t, things) and rng.random() < 0.5 else t.full
            if unique_shape(t, things):
                self.add("color", "color", f"The {t.name} is {t.color}.", o=t.name)
                if rng.random() < 0.3:
                    other = rng.choice([t.color, rng.choice(COLOR_NAMES)])
                    verdict = "Yes" if other == t.color else "No"
                    self.add("yesno", "iscolor", f"{verdict}, the {t.name} is {t.color}.", o=t.name, c=other)
            where = third(t, size)
            if where:
                self.add("where", "where", say.say_where(called, where), o=called)
        if n > 1:
            for _ in range(2):
                a, b = rng.sample(things, 2)
                how = relation(a, b, size)
                if not how:
                    continue
                if rng.random() < 0.75:
                    self.add("relation", "relation", say.say_relation(a.full, how, b.full), a=a.full, b=b.full)
                else:
                    asked = how if rng.random() < 0.5 else rng.choice(["to the left of", "to the right of", "above", "below"])
                    start = "Yes, t" if asked == how else "No, t"
                    self.add("yesno", "isrel", start + say.say_relation(a.full, how, b.full)[1:], a=a.full, b=b.full,
                             r=asked)
        if rng.random() < 0.6:
            t = rng.choice(things)
            if rng.random() < 0.5:
                t = shape(rng, t.name) if t.color and rng.random() < 0.3 else thing(rng)
            there = any(o.full == t.full for o in things)
            self.add("yesno", "exists", say.say_exists(t.full, there), an=with_article(t.full))
        if rng.random() < 0.2:
            self.add("count", "count", say.say_count("object", n), os=rng.choice(["objects", "things"]))
        if rng.random() < 0.12:
            self.about_absent(things)

    def about_absent(self, things: list[Thing]) -> None:
        """Something that is asked about but is not there."""
        rng, t = self.rng, thing(self.rng)
        if rng.random() < 0.4:
            self.add("absent", "text", "There is no text.")
        elif not any(o.name == t.name for o in things):
            if t.color:
                self.add("absent", "color", f"There is no {t.name}.", o=t.name)
            else:
                self.add("absent", "where", f"There {say.be(t.name)} no {t.name}.", o=t.name)

    def about_text(self, text: str, color: str, things=()) -> None:
        rng, n = self.rng, len(text)
        tag = "text1-4" if n <= 4 else "text5-8"
        for _ in range(4):
            self.add(tag, "text", f'It says "{text}".')
        self.add("textcolor", "textcolor", f"The text is {color}.")
        if rng.random() < 0.35:
            start = say.say_list([t.full for t in things])[:-1] + " and" if things else "There is"
            self.add("whattext", "what", f'{start} the text "{text}".')
        if rng.random() < 0.6:
            i = rng.randrange(n)
            self.add("char", "char", say.say_char(i, text[i]), n=ORDINALS[i])
        if rng.random() < 0.6:
            self.add("length", "length", say.say_count("character", n))


def objects_scene(rng: random.Random):
    """One to three different things."""
    size = canvas(rng)
    things = [thing(rng) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
    if len(things) > 1 and rng.random() < 0.25:
        things[1:] = [shape(rng, things[0].name if things[0].color else None) if rng.random() < 0.5 else t for t in things[1:]]
    seen = set()
    things = [t for t in things if not (t.full in seen or seen.add(t.full))]
    while not place(rng, things, size):
        things.pop()
    asker = Asker(rng)
    asker.about_things(things, size)
    return [paint(rng, size, things)], asker.found


def count_scene(rng: random.Random):
    """Copies of one thing, sometimes among copies of another."""
    size = canvas(rng)
    a = shape(rng) if rng.random() < 0.5 else emoji_thing(rng, COUNTABLE)
    b = shape(rng) if rng.random() < 0.5 else emoji_thing(rng, COUNTABLE)
    if a.color and rng.random() < 0.4:
        b = shape(rng, a.name)
    others = 0 if a.full == b.full else rng.choice([0, 0, 1, 2])
    things = [dataclasses.replace(a) for _ in range(rng.randint(1, 6))] + [dataclasses.replace(b) for _ in range(others)]
    while not place(rng, things, size, 0.3 if len(things) > 4 else 0.4):
        things.pop()
    na = sum(t.full == a.full for t in things)
    nb = len(things) - na
    rng.shuffle(things)
    asker = Asker(rng)
    for _ in range(2):
        asker.add("count", "count", say.say_count(a.full, na), os=plural(a.full))
    if nb:
        asker.add("count", "count", say.say_count(b.full, nb), os=plural(b.full))
    elif rng.random() < 0.15 and a.full != b.full:
        asker.add("count", "count", say.say_count(b.full, 0), os=plural(b.full))
    asker.add("count", "count", say.say_count("object", len(things)), os=rng.choice(["objects", "things"]))
    if a.color and b.color and a.name == b.name and nb:
        asker.add("count", "count", say.say_count(a.name, len(things)), os=plural(a.name))
    if not nb and na > 1:
        asker.add("whatn", "what", say.say_count(a.full, na))
    elif nb and na != nb:
        more, fewer = sorted([(na, a), (nb, b)], key=lambda x: -x[0])
        rest = f"{NUMBERS[fewer[0]]} {fewer[1].full if fewer[0] == 1 else plural(fewer[1].full)}."
        asker.add("whatn", "what", f"{say.say_count(more[1].full, more[0])[:-1]} and {rest}")
    return [paint(rng, size, things)], asker.found


def writing(rng: random.Random, text: str, size, room=1.0, color=None, font=None):
    """(color name, what paint() needs) for a text that fits, or None."""
    w, h = size
    color = color or rng.choice(COLOR_NAMES)
    font = font or rng.choice(assets.TRAINING_FONTS)
    spacing = rng.choice([0, 0, 0, 0.04, 0.1, 0.2])
    ems = render.text_advances(font, text, spacing)[-1]
    angle = rng.uniform(-0.2, 0.2) if rng.random() < 0.3 else 0.0
    c, s = abs(math.cos(angle)), abs(math.sin(angle))
    wide, tall = ems * c + 1.1 * s, ems * s + 1.1 * c
    top = min(w * 0.96 / wide, h * room * 0.96 / tall)
    low = FONT_PIXELS / shrink(size)
    if top < low:
        return None
    em = math.exp(rng.uniform(math.log(low), math.log(top)))
    if rng.random() < 0.15:
        em = rng.uniform(low, min(top, low * 1.5))
    x = rng.uniform(wide * em / 2, w - wide * em / 2)
    y = rng.uniform(h * (1 - room) + tall * em / 2, h - tall * em / 2)
    return color, (text, font, em, spacing, render.pick_color(color, rng), x, y, angle)


def text_scene(rng: random.Random):
    """A text, now and then with an object above it."""
    while True:
        size = canvas(rng)
        with_thing = rng.random() < 0.12 and size[1] > 120
        made = writing(rng, strings.random_string(rng), size, 0.45 if with_thing else 1.0)
        if made:
            break
    color, written = made
    asker = Asker(rng)
    things = []
    if with_thing:
        things = [thing(rng)]
        upper = (size[0], size[1] * 0.5)
        if not place(rng, things, upper):
            things = []
    asker.about_text(written[0], color, things)
    if things:
        mine = Asker(rng)
        mine.about_things(things, size)
        asker.found = asker.found[2:] + [q for q in mine.found if not q[0].startswith(("what", "count"))][:2]
        if rng.random() < 0.7:
            start = say.say_list([things[0].full])[:-1]
            asker.add("whattext", "what", f'{start} and the text "{written[0]}".')
    return [paint(rng, size, things, written)], asker.found


def different_thing(rng: random.Random, things: list[Thing]) -> Thing:
    while True:
        t = thing(rng)
        if all(t.full != o.full and not (t.color and o.color and t.name == o.name) for o in things):
            return t


def pair_scene(rng: random.Random):
    """Two pictures: the same scene, or one difference."""
    if rng.random() < 0.24:
        return text_pair(rng)
    size = canvas(rng)
    other = size if rng.random() < 0.5 else canvas(rng)
    first = [thing(rng) for _ in range(rng.choice([1, 1, 1, 2]))]
    if len(first) == 2 and (first[0].full == first[1].full or first[0].name == first[1].name):
        first.pop()
    low = max(OBJECT_PIXELS / shrink(size) / min(size), OBJECT_PIXELS / shrink(other) / min(other))
    while not place(rng, first, size):
        first.pop()
    second = []
    for t in first:
        m = max(t.size / min(size), low) * min(other)
        half = m * 0.49
        fx, fy = t.x / size[0], t.y / size[1]
        second.append(dataclasses.replace(t, size=m, x=min(max(fx * other[0], half), other[0] - half),
                                          y=min(max(fy * other[1], half), other[1] - half)))
    answer = say.SAY_SAME
    if rng.random() < 0.62:
        i = rng.randrange(len(second))
        old, new = first[i], second[i]
        if old.color and rng.random() < 0.5:
            color = rng.choice([c for c in COLOR_NAMES if c != old.color])
            new.color, new.tint = color, render.pick_color(color, rng)
            answer = f"The {old.name} is {old.color} in the first image and {color} in the second."
        else:
            swap = different_thing(rng, first)
            new.name, new.color, new.tint, new.picture = swap.name, swap.color, swap.tint, swap.picture
            answer = say.say_shows(with_article(old.full), with_article(new.full))
    asker = Asker(rng)
    for _ in range(3):
        asker.add("same" if answer == say.SAY_SAME else "differ", "compare", answer)
    for word, things, s in (("first", first, size), ("second", second, other)):
        listed = list_answer(things, s)
        if listed:
            asker.add("nth", "nth", listed, n=word)
    back = None
    if size == other and rng.random() < 0.4:
        back = render.background(rng, size, [t.tint for t in first + second])
    return [paint(rng, size, first, None, back), paint(rng, other, second, None, back)], asker.found


def text_pair(rng: random.Random):
    """Two pictures of text, alike or not."""
    while True:
        size = canvas(rng)
        other = size if rng.random() < 0.5 else canvas(rng)
        text = strings.random_string(rng)
        changed = text
        if rng.random() < 0.6:
            changed = strings.similar_string(rng, text) if rng.random() < 0.5 else strings.random_string(rng)
            if changed.lower() == text.lower():
                continue
        color = rng.choice(COLOR_NAMES)
        font = rng.choice(assets.TRAINING_FONTS)
        a, b = writing(rng, text, size, 1.0, color, font), writing(rng, changed, other, 1.0, color, font)
        if a and b:
            break
    same = text == changed
    answer = say.SAY_SAME if same else f'The first image says "{text}" and the second says "{changed}".'
    asker = Asker(rng)
    for _ in range(3):
        asker.add("same" if same else "differ", "compare", answer)
    for word, shown in (("first", text), ("second", changed)):
        asker.add("nth", "nth", f'There is the text "{shown}".', n=word)
    return [paint(rng, size, [], a[1]), paint(rng, other, [], b[1])], asker.found


def several_scene(rng: random.Random):
    """Three small pictures of one thing each; only what each shows is asked."""
    asker, views = Asker(rng), []
    for word in ORDINALS[:3]:
        size = tuple(rng.randint(100, 240) for _ in range(2))
        things = [thing(rng)]
        if not place(rng, things, size):
            return several_scene(rng)
        views.append(paint(rng, size, things))
        asker.add("nth", "nth", list_answer(things, size), n=word)
    return views, asker.found


def small_talk(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Questions that come without an image."""
    out = []
    for _ in range(count):
        if rng.random() < 0.25:
            task = rng.choice(say.NO_IMAGE_TASKS)
            o = thing(rng)
            slots = dict(o=o.full, os=plural(o.full), a=o.full, b=thing(rng).full, an=with_article(o.full), n=rng.choice(ORDINALS[:2]))
            out.append(("talk", wide.ask(task, rng, **slots), say.NO_IMAGE))
        else:
            answer = rng.choice(list(say.TALK))
            out.append(("talk", wide.small_talk(say.TALK[answer], rng), answer))
    return out


MIX = [(objects_scene, 0.29), (count_scene, 0.16), (text_scene, 0.39), (pair_scene, 0.15), (several_scene, 0.01)]


def scene(rng: random.Random):
    """(views, questions) of some kind; never empty."""
    while True:
        make = rng.choices([m for m, _ in MIX], [w for _, w in MIX])[0]
        views, asked = make(rng)
        if asked:
            return views, asked
