"""Words around a question that carry nothing: stories, reasons, names, words that nobody knows.

Whoever asks a real model writes such things. A model that has never seen them takes them for something; one that has seen
many kinds learns to look for the words that ask.
"""

import random
import re

NOUNS = """teacher neighbour boss sister brother uncle aunt mother father grandfather nephew niece colleague friend doctor
driver painter singer lawyer manager baker farmer student tourist customer gardener plumber cousin roommate client reader
wall kitchen garage office museum gallery school garden street station train meeting lesson party wedding holiday market shop
library airport beach river forest village city island bridge tower menu letter message poster flyer ticket sticker magazine
website page screen printer scanner tablet homework exam project report game riddle puzzle quiz contest dream memory story song
weather winter summer morning evening monday friday coffee dinner breakfast soup luck money price job plan idea problem answer
mistake secret reason chance surprise hobby habit wish promise""".split()
NAMES = """Anna Ben Carla David Emma Felix Greta Hugo Ines Jonas Kira Liam Mia Noah Olga Paul Quinn Rosa Sam Tina Umar Vera Will
Xenia Yusuf Zoe Peter Mary John Lucy Tom Ali Mei Ravi Ivan Sofia Lars Nina Omar Kate""".split()
DID = """bought found lost sold made painted printed scanned borrowed sent showed brought hung framed saved forgot broke liked
hated loved wanted needed got received copied kept picked chose gave took opened closed downloaded posted mailed took""".split()
DOING = """cooking driving waiting working travelling reading shopping cleaning playing studying sitting walking writing
testing learning packing moving dreaming thinking""".split()
BE = """tired bored busy curious late lost happy sad nervous sick old young new blind confused sure unsure hungry excited stuck
lazy careful ready alone short-sighted colour-blind""".split()
WHEN = ["yesterday", "today", "tonight", "this morning", "last week", "last year", "a minute ago", "on Monday", "in May", "after lunch",
        "at noon", "once again"]
FILL = """actually really honestly perhaps probably maybe simply just roughly basically literally kindly quickly clearly indeed
still even then also first finally again obviously currently possibly hopefully certainly briefly apparently anyway""".split()

BEFORE = [
    "My {n} {d} this.", "My {n} {d} it {w}.", "I {d} this {w}.", "I {d} it at the {n}.", "I am {b}.", "I am {b} and {b2}.", "I am at the {n}.",
    "{N} {d} this {w}.", "{N} says hello.", "{N} is {b}.", "My {n} is {b}.", "This is for my {n}.", "It is for a {n}.", "We are {g}.",
    "I am {g} right now.", "I was {g} {w}.", "While {g},", "While {g} with {N},", "For my {n},", "For the {n},", "As a {n},", "{N} asks:",
    "{N} here.", "My {n} asks:", "My {n} and I disagree.", "Since I am {b},", "Because my {n} is {b},", "Before the {n} starts,",
    "After the {n},", "Between you and me,", "To settle a bet with {N}:", "To help my {n},", "For a {n} about a {n2},", "With your help,",
    "Here is a {n} for you.", "I have a {n} and a {n2}.", "The {n} was {b}.", "The {n} and the {n2} are {b}.", "There was a {n} {w}.",
    "Dear {n},", "Dear {N},", "Imagine you are a {n}.", "Suppose you are a {n}.", "Pretend to be a {n}.", "You are a {n}.", "You look {b}.",
    "{N} and {N2} are {g}.", "{N} wants to know:", "It is a {n}.", "No {n} could help me.", "Nobody was {b}.", "Everyone is {g}.",
    "Without a {n},", "If you are not {b},", "When you are ready,", "I {d} my {n} and now I am {b}.", "Let us play a {n}.", "{x}!", "{x} {y}:",
    "{x},", "{x} {y} {z}.", "I like the {t}.", "My {t} is {b}.", "{N} gave me a {t} {w}.", "I {d} a {t}.", "What a {n}!", "Nice {n}, {N}!",
]
AFTER = [
    "My {n} {d} it.", "It is for my {n}.", "{N} is {b}.", "I am {b}.", "My {n} is {g}.", "Then I can go on {g}.", "I will tell my {n}.",
    "The {n} depends on it.", "This {n} is {b}.", "Take your time, {N}.", "{N} said you are {b}.", "No {n} is needed.", "{x} {y}.", "{x}!",
    "I {d} it {w}.", "You are a good {n}.", "My {n} will be {b}.", "I ask because I {d} the {n}.", "The {t} is mine.", "{N} {d} the {t} {w}.",
    "So much for the {n}.", "Let me know, {N}.", "I have a {n} {w}.",
]
TAIL = ["because my {n} is {b}", "for my {n}", "for {N}", "says {N}", "asks my {n}", "before the {n}", "so that {N} can go on {g}", "while I am {g}",
        "since I am {b}", "like a {n} would", "as a {n} would say", "dear {N}", "{N}", "{x}", "{w}", "as fast as a {n}", "with the {n} in mind"]

CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"


def unknown_word(rng: random.Random) -> str:
    """A word that does not exist, such as "dofrip"."""
    word = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) + rng.choice(["", "", rng.choice(CONSONANTS)])
                   for _ in range(rng.randint(1, 3)))
    return word.capitalize() if rng.random() < 0.3 else word


def fill(pattern: str, rng: random.Random, things: list[str]) -> str:
    """Fill one of the patterns above; things: names that pictures may show, so that naming one is not yet asking for it."""
    return pattern.format(n=rng.choice(NOUNS), n2=rng.choice(NOUNS), N=rng.choice(NAMES), N2=rng.choice(NAMES), d=rng.choice(DID),
                          g=rng.choice(DOING), b=rng.choice(BE), b2=rng.choice(BE), w=rng.choice(WHEN), t=rng.choice(things),
                          x=unknown_word(rng), y=unknown_word(rng), z=unknown_word(rng))


def around(text: str, rng: random.Random, things: list[str]) -> str:
    """The question with noise before it, behind it or inside it. Slots in braces stay whole."""
    kind = rng.random()
    if kind < 0.45:
        before = fill(rng.choice(BEFORE), rng, things)
        joined = before.endswith((",", ":"))
        return before + " " + (text[:1].lower() + text[1:] if joined and not text.startswith(("I ", "I'")) else text)
    if kind < 0.65:
        return text + " " + fill(rng.choice(AFTER), rng, things)
    if kind < 0.8:
        mark = text[-1] if text[-1:] in "?.!" else ""
        return text.rstrip("?.!") + rng.choice([", ", " "]) + fill(rng.choice(TAIL), rng, things) + mark
    word = rng.choice(FILL) if rng.random() < 0.75 else unknown_word(rng).lower()
    gaps = [m.start() for m in re.finditer(r"(?<=[a-z,]) (?=[a-z])", text)]
    if not gaps:
        return word.capitalize() + ", " + text[:1].lower() + text[1:]
    at = rng.choice(gaps)
    return text[:at] + " " + word + text[at:]
