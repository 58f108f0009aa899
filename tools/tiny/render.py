"""Draws backgrounds, shapes, emoji and text with Pillow, in many manners, and saves through real file formats.

Everything is placed in canvas pixels. Each drawing function also returns where it drew, as boxes (x0, y0, x1, y1), for the
patch classifier that helps training. Random choices come from the caller's random.Random.
"""

import colorsys
import functools
import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import assets
from names import COLORS

FILTERS = [Image.BICUBIC, Image.LANCZOS, Image.BILINEAR, Image.BOX, Image.HAMMING]


def pick_color(name: str, rng: random.Random) -> tuple[int, int, int]:
    """Some colour that people call by this name."""
    hue, sat, val = rng.choice(COLORS[name])
    if rng.random() < 0.25:  # the pure corner of the region, as drawing programs offer it
        h, s, v = sum(hue) / 2, sat[1], val[1]
        if name == "green" and rng.random() < 0.5:
            v = 0.5
        if name == "purple":
            h, v = 300, 0.5
        if name in ("red", "yellow", "green", "blue", "cyan"):
            h = {"red": 0, "yellow": 60, "green": 120, "blue": 240, "cyan": 180}[name]
        if name == "gray":
            s, v = 0, 0.5
        if name == "black":
            v = 0
        if name == "white":
            s = 0
    else:
        h, s, v = rng.uniform(*hue), rng.uniform(*sat), rng.uniform(*val)
    if name == "cyan":
        s = max(s, 0.55)
    r, g, b = colorsys.hsv_to_rgb((h % 360) / 360, s, v)
    return round(r * 255), round(g * 255), round(b * 255)


def far(a, b) -> float:
    """Distance of two colours, with more weight on lightness, which small things need to be seen."""
    dr, dg, db = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    light = 0.3 * dr + 0.59 * dg + 0.11 * db
    return math.sqrt((dr * dr + dg * dg + db * db) / 3 + 1.2 * light * light)


def shade(color, amount: int):
    return tuple(min(255, max(0, c + amount)) for c in color)


def field(rng: random.Random, size, colors, cells: int) -> Image.Image:
    """A smooth field of the given colours from a small random grid."""
    seed = np.random.default_rng(rng.getrandbits(32))
    pick = seed.integers(0, len(colors), (cells, cells))
    grid = np.asarray(colors, np.float32)[pick] + seed.normal(0, 6, (cells, cells, 3))
    return Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8)).resize(size, Image.BILINEAR if size[0] > 200 else Image.BICUBIC)


def pattern(rng: random.Random, image: Image.Image, base, other) -> None:
    """Lay a faint pattern over a background: dots, blobs, crosses, checks, waves, a frame or a horizon."""
    w, h = image.size
    m = min(w, h)
    share = rng.uniform(0.15, 0.55)
    ink = tuple(round(b + (o - b) * share) for b, o in zip(base, other))
    if max(abs(a - b) for a, b in zip(ink, base)) < 8:
        ink = shade(base, rng.choice([-26, -16, 16, 26]))
    draw = ImageDraw.Draw(image)
    step = max(5, round(m * rng.uniform(0.04, 0.16)))
    kind = rng.choice(["dots", "dots", "blobs", "blobs", "crosses", "checks", "waves", "frame", "horizon", "confetti"])
    if kind in ("dots", "crosses"):
        r = max(1, round(step * rng.uniform(0.06, 0.28)))
        shift = rng.choice([0, step // 2])
        for row, y in enumerate(range(rng.randrange(step), h, step)):
            for x in range((row % 2) * shift, w, step):
                if kind == "dots":
                    draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)
                else:
                    draw.line([x - r, y, x + r, y], fill=ink)
                    draw.line([x, y - r, x, y + r], fill=ink)
    elif kind in ("blobs", "confetti"):
        for _ in range(rng.randint(8, 40)):
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            r = m * (rng.uniform(0.02, 0.14) if kind == "blobs" else rng.uniform(0.005, 0.02))
            part = rng.uniform(0.3, 1.0)
            draw.ellipse([x - r, y - r, x + r, y + r], fill=tuple(round(b + (i - b) * part) for b, i in zip(base, ink)))
    elif kind == "checks":
        for row, y in enumerate(range(0, h, step)):
            for x in range((row % 2) * step, w, 2 * step):
                draw.rectangle([x, y, x + step - 1, y + step - 1], fill=ink)
    elif kind == "waves":
        for y in range(0, h + step, step):
            draw.line([(x, y + step * 0.3 * math.sin(x / step * 2)) for x in range(0, w + 4, 4)], fill=ink, width=max(1, step // 8))
    elif kind == "frame":
        edge = max(2, round(m * rng.uniform(0.01, 0.06)))
        draw.rectangle([0, 0, w - 1, h - 1], outline=ink, width=edge)
    else:
        draw.rectangle([0, round(h * rng.uniform(0.3, 0.8)), w, h], fill=ink)


def background(rng: random.Random, size, tints, need=62.0) -> Image.Image:
    """A background on which all tints can be seen."""
    base, other = None, None
    for attempt in range(60):
        if rng.random() < 0.4:
            base = rng.choice([(255, 255, 255), (250, 250, 248), (240, 240, 240), (0, 0, 0), (30, 30, 34), (235, 228, 215), (200, 200, 200)])
        else:
            base = tuple(rng.randint(0, 255) for _ in range(3))
        other = tuple(min(255, max(0, v + rng.randint(-55, 55))) for v in base)
        limit = need * (1 - attempt / 120)
        if all(min(far(t, base), far(t, other)) > limit for t in tints):
            break
    else:
        base = max([(255, 255, 255), (0, 0, 0), (128, 128, 128), (60, 90, 60), (220, 220, 160), (250, 200, 200)],
                   key=lambda c: min([far(c, t) for t in tints], default=0))
        other = base
    kind = rng.random()
    w, h = size
    if kind < 0.28:
        image = Image.new("RGB", size, base)
    elif kind < 0.44:
        image = Image.new("RGB", size, base)
        pattern(rng, image, base, other)
    elif kind < 0.60:
        corners = [base, other, base, other]
        if rng.random() < 0.5:
            corners = [base, base, other, other] if rng.random() < 0.5 else [base, other, other, base]
        image = Image.fromarray(np.array(corners, np.uint8).reshape(2, 2, 3)).resize(size, Image.BILINEAR)
        if rng.random() < 0.15:
            pattern(rng, image, base, other)
    elif kind < 0.74:
        image = field(rng, size, [base, other], rng.choice([3, 4, 6, 10, 24]))
    elif kind < 0.80:
        image = field(rng, size, [base, other, shade(base, rng.randint(-30, 30))], rng.choice([40, 70, min(size)]))
    elif kind < 0.90:
        image = Image.new("RGB", size, base)
        draw = ImageDraw.Draw(image)
        soft = tuple((3 * a + b) // 4 for a, b in zip(base, other)) if rng.random() < 0.5 else other
        step = max(3, round(min(size) * rng.uniform(0.03, 0.2)))
        style = rng.random()
        if style < 0.35:
            for x in range(0, w, 2 * step):
                draw.rectangle([x, 0, x + step - 1, h], fill=soft)
        elif style < 0.6:
            for y in range(0, h, 2 * step):
                draw.rectangle([0, y, w, y + step - 1], fill=soft)
        elif style < 0.8:
            for x in range(-h, w, 2 * step):
                draw.line([x, h, x + h, 0], fill=soft, width=max(1, step // 2))
        else:
            for y in range(0, h, step):
                draw.line([0, y, w, y], fill=soft, width=1)
            for x in range(0, w, step):
                draw.line([x, 0, x, h], fill=soft, width=1)
    else:
        image = Image.blend(field(rng, size, [base, other], 3), field(rng, size, [base, other], rng.choice([12, 30])), 0.5)
    return image


def grain(rng: random.Random, image: Image.Image) -> Image.Image:
    """Add the noise of a camera sensor or a poor scan."""
    seed = np.random.default_rng(rng.getrandbits(32))
    w, h = image.size
    noise = seed.integers(0, 2, (4, h, w), dtype=np.int8).sum(0, dtype=np.int16) - 2
    pixels = np.asarray(image).astype(np.int16) + (noise * rng.uniform(1, 9)).astype(np.int16)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def polygon(sides: int, turn: float, rx=1.0, ry=1.0):
    return [(rx * math.sin(turn + 2 * math.pi * i / sides), -ry * math.cos(turn + 2 * math.pi * i / sides)) for i in range(sides)]


def heart_outline(rng: random.Random):
    """One of two ways to draw a heart, in the unit box."""
    if rng.random() < 0.6:
        wide = rng.uniform(15, 17)
        points = []
        for i in range(90):
            t = 2 * math.pi * i / 90
            x, y = 16 * math.sin(t) ** 3, 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            points.append((x / wide, -(y + 2.5) / 15))
        return points
    r = rng.uniform(0.48, 0.54)
    lobes = []
    for center, start, stop in ((-0.46, 2.45, 6.1), (0.46, 3.32, 6.98)):
        lobes += [(center + r * math.cos(start + (stop - start) * i / 24), -0.4 + r * math.sin(start + (stop - start) * i / 24))
                  for i in range(25)]
    return lobes + [(0, rng.uniform(0.85, 0.98))]


def rounded(points, share: float):
    """Cut each corner of a polygon with a small curve."""
    if share <= 0:
        return points
    out, n = [], len(points)
    for i in range(n):
        (ax, ay), (bx, by), (cx, cy) = points[i - 1], points[i], points[(i + 1) % n]
        p, q = (bx + (ax - bx) * share, by + (ay - by) * share), (bx + (cx - bx) * share, by + (cy - by) * share)
        for k in range(6):
            t = k / 5
            out.append(tuple((1 - t) ** 2 * p[d] + 2 * t * (1 - t) * (bx, by)[d] + t * t * q[d] for d in (0, 1)))
    return out


def shape_geometry(kind: str, rng: random.Random):
    """(outline, hole) as points in the unit box, y down; the hole is None or an outline."""
    round_off = rng.uniform(0.05, 0.3) if rng.random() < 0.25 else 0.0
    if kind == "circle":
        return polygon(64, 0), None
    if kind == "oval":
        squash = rng.uniform(0.42, 0.68)
        return (polygon(64, 0, 1, squash) if rng.random() < 0.65 else polygon(64, 0, squash, 1)), None
    if kind == "square":
        return rounded([(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)], round_off * 0.8), None
    if kind == "rectangle":
        a = rng.uniform(0.36, 0.64)
        x, y = (0.97, a) if rng.random() < 0.65 else (a, 0.97)
        return rounded([(-x, -y), (x, -y), (x, y), (-x, y)], round_off * 0.5), None
    if kind == "triangle":
        tall = rng.uniform(0.75, 1.0)
        lean = rng.uniform(-0.25, 0.25) if rng.random() < 0.3 else 0
        points = [(lean, -tall), (0.97, tall * 0.86), (-0.97, tall * 0.86)]
        return rounded(points, round_off * 0.6), None
    if kind == "star":
        inner = rng.uniform(0.36, 0.52)
        points = 5 if rng.random() < 0.85 else 6
        return [(r * math.sin(math.pi * i / points), -r * math.cos(math.pi * i / points))
                for i in range(2 * points) for r in [1.0 if i % 2 == 0 else inner]], None
    if kind == "heart":
        return heart_outline(rng), None
    if kind == "diamond":
        narrow = rng.uniform(0.6, 0.98)
        return rounded([(0, -1), (narrow, 0), (0, 1), (-narrow, 0)], round_off * 0.5), None
    if kind == "pentagon":
        return rounded(polygon(5, 0), round_off * 0.5), None
    if kind == "hexagon":
        return rounded(polygon(6, rng.choice([0, math.pi / 6])), round_off * 0.5), None
    if kind == "cross":
        a = rng.uniform(0.2, 0.42)
        return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)], None
    if kind == "ring":
        inner = rng.uniform(0.42, 0.8)
        return polygon(64, 0), polygon(64, 0, inner, inner)
    if kind == "crescent":
        off, r = rng.uniform(0.3, 0.5), rng.uniform(0.8, 0.95)
        return polygon(64, 0), [(x * r + off, y * r) for x, y in polygon(64, 0)]
    if kind == "arrow":
        shaft, head, neck = rng.uniform(0.18, 0.36), rng.uniform(0.62, 0.9), rng.uniform(-0.1, 0.3)
        return [(-1, -shaft), (neck, -shaft), (neck, -head), (1, 0), (neck, head), (neck, shaft), (-1, shaft)], None
    raise ValueError(f"no such shape: {kind}")


def turn(points, angle: float):
    c, s = math.cos(angle), math.sin(angle)
    return [(x * c - y * s, x * s + y * c) for x, y in points]


def draw_shape(rng: random.Random, image: Image.Image, kind: str, color, x: float, y: float, size: float) -> None:
    """A shape of about `size` pixels around (x, y)."""
    outline, hole = shape_geometry(kind, rng)
    angle = 0.0
    if kind == "arrow":
        angle = rng.choice([0, 0.5, 1, 1.5]) * math.pi + rng.uniform(-0.15, 0.15)
    elif kind in ("crescent", "ring"):
        angle = rng.uniform(0, 2 * math.pi)
    elif rng.random() < 0.4:
        angle = rng.uniform(-0.22, 0.22)
    stretch = rng.uniform(0.92, 1.0) if rng.random() < 0.3 else 1.0
    outline = turn([(px * stretch, py) for px, py in outline], angle)
    hole = turn([(px * stretch, py) for px, py in hole], angle) if hole else None
    half = size / 2
    over = 1 if rng.random() < 0.08 else (4 if size < 60 else 2 if size < 260 else 1 + (rng.random() < 0.5))
    side = int(size * 1.12) + 4
    x0, y0 = int(x - side / 2), int(y - side / 2)

    def mask(points, empty=None, grow=1.0):
        tile = Image.new("L", (side * over, side * over), 0)
        draw = ImageDraw.Draw(tile)
        place = lambda pts: [((x + px * half * grow - x0) * over, (y + py * half * grow - y0) * over) for px, py in pts]
        draw.polygon(place(points), fill=255)
        if empty:
            draw.polygon(place(empty), fill=0)
        return tile if over == 1 else tile.resize((side, side), rng.choice([Image.BOX, Image.BILINEAR, Image.LANCZOS]))

    if rng.random() < 0.08:  # a soft shadow below
        shadow = mask(outline, hole).filter(ImageFilter.BoxBlur(max(1, size * 0.03))).point(lambda v: int(v * 0.45))
        image.paste((0, 0, 0), (x0 + round(size * 0.04), y0 + round(size * 0.05)), shadow)
    fill = color
    if rng.random() < 0.12 and max(color) - min(color) > 60:
        lighter, darker = shade(color, rng.randint(4, 16)), shade(color, -rng.randint(4, 16))
        fill = Image.fromarray(np.array([[lighter], [darker]], np.uint8)).resize((side, side), Image.BILINEAR)
    if hole is None and rng.random() < 0.18:  # an edge in another colour
        edge = rng.choice([(0, 0, 0), (255, 255, 255), shade(color, -70), shade(color, 70)])
        image.paste(edge, (x0, y0), mask(outline))
        outline = [(px * (1 - rng_edge), py * (1 - rng_edge)) for rng_edge in [rng.uniform(0.04, 0.1)] for px, py in outline]
    image.paste(fill, (x0, y0), mask(outline, hole))


def draw_emoji(rng: random.Random, image: Image.Image, picture: Image.Image, x: float, y: float, size: float) -> None:
    """An emoji whose longer side takes `size` pixels, centred at (x, y)."""
    w, h = picture.size
    scale = size / max(w, h)
    size2 = (max(1, round(w * scale)), max(1, round(h * scale * (rng.uniform(0.94, 1.06) if rng.random() < 0.2 else 1))))
    filt = Image.NEAREST if rng.random() < 0.02 and scale > 0.5 else rng.choice(FILTERS)
    tile = picture.resize(size2, filt, reducing_gap=2.0 if rng.random() < 0.3 else None)
    if rng.random() < 0.3:
        tile = tile.rotate(rng.uniform(-14, 14), Image.BICUBIC, expand=True)
    at = (round(x - tile.width / 2), round(y - tile.height / 2))
    image.paste(tile, at, tile)


@functools.lru_cache(maxsize=1500)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(assets.FOLDER / name), size, layout_engine=ImageFont.Layout.BASIC)


def text_advances(font_name: str, text: str, spacing: float) -> list[float]:
    """Where each character begins, in ems, and the end of the last."""
    face = font(font_name, 64)
    out, at = [0.0], 0.0
    for char in text:
        at += face.getlength(char) / 64 + spacing
        out.append(at)
    return out


def draw_text(rng: random.Random, image: Image.Image, text: str, font_name: str, size: float, spacing: float, color, x: float,
              y: float, angle: float) -> list[tuple[float, float, float, float]]:
    """Text of `size` pixels an em, its middle at (x, y), turned by angle (radians). Returns a box for each character."""
    over = 2 if size < 200 and rng.random() < 0.2 else 1
    face = font(font_name, max(6, round(size * over)))
    em = face.size / over
    starts = text_advances(font_name, text, spacing)
    width = starts[-1] * em
    margin = em * 0.4
    tile_w, tile_h = int((width + 2 * margin) * over), int(em * 1.9 * over)
    base = em * 1.3
    mask = Image.new("L", (max(1, tile_w), max(1, tile_h)), 0)
    draw = ImageDraw.Draw(mask)
    stroke = max(1, round(em * over * 0.025)) if rng.random() < 0.1 else 0

    def letters(target, ink, thick):
        if spacing == 0 and rng.random() < 0.5:
            target.text((margin * over, base * over), text, font=face, fill=ink, anchor="ls", stroke_width=thick)
            return
        for char, start in zip(text, starts):
            target.text(((margin + start * em) * over, base * over), char, font=face, fill=ink, anchor="ls", stroke_width=thick)

    letters(draw, 255, stroke)
    halo = None
    if rng.random() < 0.07:
        halo = Image.new("L", mask.size, 0)
        letters(ImageDraw.Draw(halo), 255, max(1, round(em * over * rng.uniform(0.04, 0.08))))
    # the middle of the capitals lies 0.36 em above the base line
    center = (mask.width / 2, (base - 0.36 * em) * over)

    def finish(m):
        if angle:
            m = m.rotate(-math.degrees(angle), Image.BICUBIC, center=center)
        return m if over == 1 else m.resize((max(1, m.width // over), max(1, m.height // over)), Image.LANCZOS)

    at = (round(x - center[0] / over), round(y - center[1] / over))
    if halo is not None:
        edge = (255, 255, 255) if sum(color) < 380 else (0, 0, 0)
        image.paste(edge, at, finish(halo))
    elif rng.random() < 0.06:
        off = max(1, round(em * rng.uniform(0.03, 0.07)))
        image.paste(shade(color, -90) if sum(color) > 380 else (120, 120, 120), (at[0] + off, at[1] + off), finish(mask))
    image.paste(color, at, finish(mask))
    boxes = []
    c, s = math.cos(angle), math.sin(angle)
    for a, b in zip(starts, starts[1:]):
        dx, half_w, half_h = (a + b) / 2 * em - width / 2, (b - a) / 2 * em, 0.42 * em
        cx, cy = x + dx * c, y + dx * s
        boxes.append((cx - half_w, cy - half_h, cx + half_w, cy + half_h))
    return boxes


def save_and_reload(rng: random.Random, image: Image.Image) -> Image.Image:
    """Send the picture through one of the formats that pictures arrive in."""
    kind = rng.random()
    if kind < 0.36:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(40, 95), subsampling=rng.choice([0, 2, 2]))
        return Image.open(buffer).convert("RGB")
    if kind < 0.39:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=rng.randint(50, 95), method=0)
        return Image.open(buffer).convert("RGB")
    if kind < 0.45:
        dither = Image.Dither.FLOYDSTEINBERG if rng.random() < 0.5 else Image.Dither.NONE
        return image.quantize(rng.choice([64, 128, 256]), Image.Quantize.FASTOCTREE, dither=dither).convert("RGB")
    return image


def spoil(rng: random.Random, image: Image.Image) -> Image.Image:
    """Sometimes blur or grain over the whole picture."""
    kind = rng.random()
    if kind < 0.05:
        return image.filter(ImageFilter.GaussianBlur(min(image.size) * rng.uniform(0.001, 0.0035)))
    if kind < 0.20:
        return grain(rng, image)
    return image
