"""Turns scenes into one packed training batch of fixed array sizes: patches in window order, conversations in a row.

A Document is a prefix (with its images) followed by independent segments that each see the prefix and themselves; that way
several questions share the reading of one image. Targets are the tokens of answers, <|im_end|> included.
"""

import dataclasses
import random

import numpy as np

import config
import scenes
import tokenizer
import wordings as say

SEGMENTS = 3                  # independent questions behind one image
VARIANTS = 2                  # sets of questions about the images of a batch; each set makes a training step
IMAGE_USES = 2                # documents that may share one image
WINDOW_CELLS = config.VISION["window"] // config.CELL


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Array sizes of a batch; every batch has exactly these."""
    patches: int = 88064
    tokens: int = 67584
    keys: int = 163840
    labels: int = 10240
    windows: int = 4096
    images: int = 640
    sequences: int = 1280
    aux: int = 16384

    @property
    def longest_image(self) -> int:
        return config.MAX_PIXELS // config.PATCH**2


LONGEST_SEQUENCE = 512        # tokens of one prefix or one segment; keys of a segment: twice this


class Speller:
    """Text to ids, remembering what was spelt before; special tokens by name."""

    def __init__(self):
        self.tok = tokenizer.build()
        self.special = {s: self.tok.token_to_id(s) for s in tokenizer.SPECIAL}
        self.memory = {}

    def text(self, text: str) -> list[int]:
        ids = self.memory.get(text)
        if ids is None:
            ids = self.tok.encode(text, add_special_tokens=False).ids
            if len(self.memory) < 200000:
                self.memory[text] = ids
        return ids

    def message(self, role: str, text: str) -> list[int]:
        """<|im_start|>role, newline, text, <|im_end|>, newline."""
        return [self.special["<|im_start|>"], *self.text(role + "\n"), *self.text(text), self.special["<|im_end|>"], *self.text("\n")]

    def ask(self, text: str) -> list[int]:
        """The end of a user's message and the opening of the assistant's."""
        return [*self.text(text), self.special["<|im_end|>"], *self.text("\n"), self.special["<|im_start|>"], *self.text("assistant\n")]

    def answer(self, text: str) -> list[int]:
        return [*self.text(text), self.special["<|im_end|>"]]


@dataclasses.dataclass
class Document:
    """prefix holds ids and, for each image, a (number of the view,) tuple in its place; segments hold (ids, is_target)."""
    prefix: list
    segments: list
    tasks: list


def system(rng: random.Random, speller: Speller) -> list[int]:
    kind = rng.random()
    if kind < 0.75:
        return speller.message("system", say.SYSTEM_DEFAULT)
    return speller.message("system", rng.choice(say.SYSTEM_OTHERS)) if kind < 0.97 else []


def image_slot(view: int, speller: Speller) -> list:
    return [speller.special["<|vision_start|>"], (view,), speller.special["<|vision_end|>"]]


def user_opening(rng: random.Random, speller: Speller, views: int) -> list:
    """The user's message up to the last image, with a few words between or before images at times."""
    start = [speller.special["<|im_start|>"]]
    first = rng.choice(say.SAY_IMAGE_FIRST) if rng.random() < 0.3 else ""
    out = start + speller.text("user\n" + first)
    between = rng.choice([[""] * views, [""] * views, [""] * views, ["", " and ", " and "], ["", "\n", "\n"],
                          ["First image:", "Second image:", "Third image:"], ["Image 1:", "Image 2:", "Image 3:"]])
    for i in range(views):
        if views > 1 and between[i]:
            out += speller.text(between[i])
        out += image_slot(i, speller)
    return out


def glue(rng: random.Random, question: str) -> str:
    """What stands between an image and the question behind it."""
    kind = rng.random()
    return question if kind < 0.7 else "\n" + question if kind < 0.88 else " " + question


def target(ids_in: list[int], ids_out: list[int]):
    return ids_in + ids_out, [False] * len(ids_in) + [True] * len(ids_out)


def documents(rng: random.Random, speller: Speller, views: int, asked: list) -> list[Document]:
    """One or two documents about the views, from the first questions of the list."""
    mode = rng.random()
    if mode < 0.16:  # the question comes before the image
        docs = []
        for task, question, answer in asked[:IMAGE_USES]:
            opening = [speller.special["<|im_start|>"], *speller.text("user\n" + question + rng.choice(["", "", " ", "\n"]))]
            for i in range(views):
                opening += image_slot(i, speller)
            last = speller.ask("")
            docs.append(Document(system(rng, speller) + opening, [target(last, speller.answer(answer))], [task]))
        return docs
    prefix = system(rng, speller) + user_opening(rng, speller, views)
    if mode < 0.28:  # one conversation of several turns
        ids, mask, done = [], [], []
        for turn, (task, question, answer) in enumerate(asked[:rng.choice([2, 2, 3, 4])]):
            if turn:
                ids += speller.text("\n") + [speller.special["<|im_start|>"]]
                mask += [False] * (len(ids) - len(mask))
                question = "user\n" + question
            more, flags = target(speller.ask(glue(rng, question) if not turn else question), speller.answer(answer))
            ids, mask, done = ids + more, mask + flags, done + [task]
        if rng.random() < 0.1:
            thanks = "You are welcome."
            opening = speller.text("\n") + [speller.special["<|im_start|>"]]
            more, flags = target(opening + speller.ask("user\n" + rng.choice(say.TALK[thanks])), speller.answer(thanks))
            ids, mask = ids + more, mask + flags
        return [Document(prefix, [(ids, mask)], [done[0]])]
    segments = [target(speller.ask(glue(rng, q)), speller.answer(a)) for _, q, a in asked[:SEGMENTS]]
    return [Document(prefix, segments, [t for t, _, _ in asked[:SEGMENTS]])]


def variants_of(rng: random.Random, speller: Speller, views: int, asked: list) -> list[list[Document]]:
    """VARIANTS lists of documents about the same views, with different questions as far as there are enough."""
    rng.shuffle(asked)
    while len(asked) < 2 * SEGMENTS + 1:
        asked = asked + asked
    return [documents(rng, speller, views, asked[i * SEGMENTS:]) for i in range(VARIANTS)]


def talk_document(rng: random.Random, speller: Speller) -> Document:
    asked = scenes.small_talk(rng, SEGMENTS)
    prefix = system(rng, speller) + [speller.special["<|im_start|>"]]
    segments = [target(speller.ask("user\n" + q), speller.answer(a)) for _, q, a in asked]
    return Document(prefix, segments, [t for t, _, _ in asked])


def window_order(rows: int, columns: int) -> tuple[np.ndarray, list[int]]:
    """For a grid of merged cells: the order that groups them by attention window, and each window's number of cells."""
    order, counts = [], []
    grid = np.arange(rows * columns).reshape(rows, columns)
    for y in range(0, rows, WINDOW_CELLS):
        for x in range(0, columns, WINDOW_CELLS):
            cells = grid[y:y + WINDOW_CELLS, x:x + WINDOW_CELLS].reshape(-1)
            order.append(cells)
            counts.append(len(cells))
    return np.concatenate(order), counts


def patch_labels(view: scenes.View) -> np.ndarray:
    """The class in the middle of each patch, [patch rows, patch columns]."""
    h, w = view.pixels.shape[0] // config.PATCH, view.pixels.shape[1] // config.PATCH
    labels = np.full((h, w), scenes.CLASS_NOTHING, np.int64)
    at = lambda v: int(round((v - config.PATCH / 2) / config.PATCH + 0.5))
    for x0, y0, x1, y1, kind in view.boxes:
        labels[max(0, at(y0)):max(0, at(y1)), max(0, at(x0)):max(0, at(x1))] = kind
    return labels


class TextPacker:
    """Packs documents over images that are already placed; one of the variants of a batch."""

    def __init__(self, sizes: Sizes, arrays: dict, image_token: int):
        self.s, self.a, self.image_token = sizes, arrays, image_token
        self.tokens = self.keys = self.labels = self.docs = 0
        self.q_lengths, self.k_lengths = [], []
        self.answers = []                           # (first label, number of labels, task)
        arrays["is_image"][:] = False
        arrays["kv_uses"][:] = sizes.keys
        arrays["feature_uses"][:] = sizes.tokens
        arrays["feature_index"][:] = 0
        arrays["labels"][:] = -100
        arrays["label_index"][:] = 0

    @staticmethod
    def layout(s: Sizes) -> dict:
        """{name: (shape, dtype)}."""
        i4, i8 = np.int32, np.int64
        return {
            "feature_uses": ((s.patches // 4, IMAGE_USES), i8), "ids": ((s.tokens,), i8), "is_image": ((s.tokens,), np.bool_),
            "feature_index": ((s.tokens,), i8), "token_pos": ((s.tokens, 3), i4), "cu_q": ((s.sequences + 1,), i4),
            "cu_k": ((s.sequences + 1,), i4), "kv_index": ((s.keys,), i8), "kv_uses": ((s.tokens, 1 + SEGMENTS), i8),
            "label_index": ((s.labels,), i8), "labels": ((s.labels,), i8)}

    def fits(self, docs: list[Document], cells: list[int]) -> bool:
        lengths = []
        for doc in docs:
            n = sum(cells[p[0]] if isinstance(p, tuple) else 1 for p in doc.prefix)
            lengths.append((n, [len(ids) for ids, _ in doc.segments]))
        tokens = sum(n + sum(m) for n, m in lengths)
        keys = sum(n + sum(n + x for x in m) for n, m in lengths)
        labels = sum(sum(mask) for doc in docs for _, mask in doc.segments)
        sequences = sum(1 + len(m) for _, m in lengths)
        s = self.s
        return (self.tokens + tokens <= s.tokens and self.labels + labels <= s.labels
                and self.keys + keys + (s.tokens - self.tokens - tokens) <= s.keys
                and len(self.q_lengths) + sequences + s.tokens // LONGEST_SEQUENCE + 2 <= s.sequences
                and max(max([n, *m]) for n, m in lengths) <= LONGEST_SEQUENCE)

    def add(self, doc: Document, placed: list) -> None:
        """placed: for each view (rows, columns, feature row of each cell)."""
        a, start = self.a, self.tokens
        at, position = start, 0
        for piece in doc.prefix:
            if isinstance(piece, tuple):
                h, w, feature = placed[piece[0]]
                n = h * w
                a["ids"][at:at + n] = self.image_token
                a["is_image"][at:at + n] = True
                a["feature_index"][at:at + n] = feature
                use = int(a["feature_uses"][feature[0], 0] != self.s.tokens)
                a["feature_uses"][feature, use] = np.arange(at, at + n)
                a["token_pos"][at:at + n, 0] = position
                a["token_pos"][at:at + n, 1] = position + np.repeat(np.arange(h), w)
                a["token_pos"][at:at + n, 2] = position + np.tile(np.arange(w), h)
                at, position = at + n, position + max(h, w)
            else:
                a["ids"][at] = piece
                a["token_pos"][at] = position
                at, position = at + 1, position + 1
        prefix = at - start
        self.sequence(start, prefix, start, 0)
        for number, (ids, mask) in enumerate(doc.segments):
            n = len(ids)
            a["ids"][at:at + n] = ids
            a["token_pos"][at:at + n] = (position + np.arange(n))[:, None]
            self.sequence(at, n, start, prefix, number + 1)
            want = np.flatnonzero(mask)
            m, first = len(want), self.labels
            a["label_index"][first:first + m] = at + want - 1
            a["labels"][first:first + m] = np.asarray(ids)[want]
            self.answers.append((first, m, scenes.TASKS.index(doc.tasks[number])))
            self.labels += m
            at += n
        self.tokens = at
        self.docs += 1

    def sequence(self, at: int, n: int, prefix_at: int, prefix: int, use: int = 0) -> None:
        """One attention sequence: queries at..at+n, keys the prefix and then those same tokens."""
        a, k = self.a, self.keys
        a["kv_index"][k:k + prefix] = np.arange(prefix_at, prefix_at + prefix)
        a["kv_index"][k + prefix:k + prefix + n] = np.arange(at, at + n)
        if prefix:
            a["kv_uses"][prefix_at:prefix_at + prefix, use] = np.arange(k, k + prefix)
        a["kv_uses"][at:at + n, 0] = np.arange(k + prefix, k + prefix + n)
        self.q_lengths.append(n)
        self.k_lengths.append(prefix + n)
        self.keys += prefix + n

    def finish(self) -> None:
        """Pad, the padding in sequences of its own so that attention writes all of its output."""
        a, s = self.a, self.s
        a["ids"][self.tokens:] = 0
        a["token_pos"][self.tokens:] = 0
        while self.tokens < s.tokens:
            n = min(LONGEST_SEQUENCE, s.tokens - self.tokens)
            self.sequence(self.tokens, n, 0, 0)
            self.tokens += n
        a["kv_index"][self.keys:] = 0
        cumulate(a["cu_q"], self.q_lengths, s.tokens, LONGEST_SEQUENCE)
        cumulate(a["cu_k"], self.k_lengths, sum(self.k_lengths), 1)


def cumulate(out: np.ndarray, lengths: list[int], total: int, step: int) -> None:
    """Cumulative lengths, filled up to total in pieces of step, then empty sequences."""
    left = total - sum(lengths)
    lengths = lengths + [step] * (left // step) + ([left % step] if left % step else [])
    cu = np.cumsum([0, *lengths])
    out[:len(cu)] = cu
    out[len(cu):] = cu[-1]


class Packer:
    """Fills one batch: images once, and VARIANTS sets of questions about them. add() returns False, leaving the batch as it
    was, when something no longer fits."""

    def __init__(self, sizes: Sizes, arrays: dict, image_token: int):
        """arrays: those of allocate(), which are overwritten."""
        self.s, self.a = sizes, arrays
        self.patches = 0
        self.window_lengths, self.image_lengths = [], []
        self.texts = [TextPacker(sizes, {k[2:]: v for k, v in arrays.items() if k.startswith(f"{i}.")}, image_token)
                      for i in range(VARIANTS)]
        arrays["patch_labels"][:] = scenes.CLASS_NOTHING

    @staticmethod
    def layout(s: Sizes) -> dict:
        """{name: (shape, dtype)}; the arrays of variant i are named "i.name"."""
        images = {
            "pixels": ((s.patches, config.PATCH_VALUES), np.uint8), "patch_pos": ((s.patches, 2), np.int32),
            "patch_labels": ((s.patches,), np.int64), "window_cu": ((s.windows + 1,), np.int32),
            "image_cu": ((s.images + 1,), np.int32)}
        texts = {f"{i}.{k}": v for i in range(VARIANTS) for k, v in TextPacker.layout(s).items()}
        return {**images, **texts}

    @staticmethod
    def allocate(s: Sizes) -> dict:
        return {name: np.zeros(shape, dtype) for name, (shape, dtype) in Packer.layout(s).items()}

    def add(self, views: list, variants: list[list[Document]]) -> bool:
        s = self.s
        cells = [v.pixels.shape[0] * v.pixels.shape[1] // config.CELL**2 for v in views]
        windows = sum(-(-v.pixels.shape[0] // 112) * -(-v.pixels.shape[1] // 112) for v in views)
        if (self.patches + 4 * sum(cells) > s.patches
                or len(self.window_lengths) + windows + (s.patches - self.patches) // 64 + 2 > s.windows
                or len(self.image_lengths) + len(views) + (s.patches - self.patches) // s.longest_image + 2 > s.images
                or not all(t.fits(docs, cells) for t, docs in zip(self.texts, variants))):
            return False
        placed = [self.add_view(v) for v in views]
        for text, docs in zip(self.texts, variants):
            for doc in docs:
                text.add(doc, placed)
        return True

    def add_view(self, view: scenes.View):
        """Store the patches; returns (rows, columns, feature row of each cell in reading order)."""
        h, w = view.pixels.shape[0] // config.CELL, view.pixels.shape[1] // config.CELL
        order, counts = window_order(h, w)
        p = config.PATCH
        cells = view.pixels.reshape(h, 2, p, w, 2, p, 3).transpose(0, 3, 1, 4, 6, 2, 5).reshape(h * w, 4 * config.PATCH_VALUES)
        n, at = 4 * h * w, self.patches
        self.a["pixels"][at:at + n] = cells[order].reshape(n, config.PATCH_VALUES)
        labels = patch_labels(view).reshape(h, 2, w, 2).transpose(0, 2, 1, 3).reshape(h * w, 4)
        self.a["patch_labels"][at:at + n] = labels[order].reshape(n)
        rows, columns = np.divmod(order, w)
        four = np.arange(4)
        self.a["patch_pos"][at:at + n, 0] = (2 * rows[:, None] + four // 2).reshape(n)
        self.a["patch_pos"][at:at + n, 1] = (2 * columns[:, None] + four % 2).reshape(n)
        feature = np.empty(h * w, np.int64)
        feature[order] = at // 4 + np.arange(h * w)
        self.window_lengths += [4 * c for c in counts]
        self.image_lengths.append(n)
        self.patches += n
        return h, w, feature

    def finish(self) -> None:
        """Pad every axis."""
        self.a["pixels"][self.patches:] = 0
        self.a["patch_pos"][self.patches:] = 0
        cumulate(self.a["window_cu"], self.window_lengths, self.s.patches, 64)
        cumulate(self.a["image_cu"], self.image_lengths, self.s.patches, self.s.longest_image)
        for text in self.texts:
            text.finish()


def fill(seed: int, sizes: Sizes, arrays: dict, speller: Speller, make=scenes.scene) -> dict:
    """Pack the batch that belongs to this seed. Returns counts and, for each variant, where each answer's labels lie."""
    rng = random.Random(seed)
    packer = Packer(sizes, arrays, speller.special["<|image_pad|>"])
    failures = images = 0
    while failures < 3:
        if rng.random() < 0.05:
            views, variants = [], [[talk_document(rng, speller)] for _ in range(VARIANTS)]
        else:
            try:
                views, asked = make(rng)
            except (ValueError, IndexError, OSError):  # one odd scene must not end a run; the next takes its place
                continue
            variants = variants_of(rng, speller, len(views), asked)
        if packer.add(views, variants):
            images += len(views)
        else:
            failures += 1
    text = packer.texts[0]
    used = dict(images=images, patches=packer.patches, tokens=text.tokens, keys=text.keys, labels=text.labels, docs=text.docs,
                windows=len(packer.window_lengths), sequences=len(text.q_lengths))
    packer.finish()
    used["answers"] = [t.answers for t in packer.texts]
    return used
