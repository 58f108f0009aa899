"""Strings that pictures show: words and random characters that a person could read back without guessing.

Letters whose two cases look alike (c, o, s ...) need a neighbour that shows the case; O beside 0 and I beside l or 1 are
left to words, where the other letters decide.
"""

import random

from names import WORDS

UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
LOWER = "abcdefghijkmnpqrstuvwxyz"
DIGITS = "0123456789"
CLEAR_CASE = set("ABDEFGHJLMNQRTYabdefghijklmnqrty")
MIXED = "ABDEFGHJLMNQRTYabdefghijmnqrty"


def readable(text: str) -> bool:
    """True if something in the text tells how large its letters are."""
    return any(c in CLEAR_CASE or c.isdigit() for c in text)


def random_string(rng: random.Random, longest: int = 8) -> str:
    """1 to `longest` characters."""
    while True:
        kind = rng.random()
        if kind < 0.3:
            word = rng.choice(WORDS)
            text = rng.choice([word, word.upper(), word.upper(), word.capitalize()])
        else:
            n = rng.choice([1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8])
            letters = rng.choice([UPPER, UPPER + DIGITS, UPPER + DIGITS, LOWER, LOWER + DIGITS, MIXED, MIXED + DIGITS, DIGITS])
            text = "".join(rng.choice(letters) for _ in range(n))
        if kind >= 0.3 and kind < 0.36 and len(text) < longest:
            text = rng.choice(WORDS).capitalize()[: longest - 1] + rng.choice(DIGITS)
        if len(text) <= longest and readable(text):
            return text


def similar_string(rng: random.Random, text: str) -> str:
    """The same string with one character changed."""
    letters = UPPER if text.isupper() else LOWER if text.islower() else DIGITS if text.isdigit() else MIXED
    while True:
        i = rng.randrange(len(text))
        other = text[:i] + rng.choice(letters) + text[i + 1:]
        if other.lower() != text.lower() and readable(other):
            return other
