"""Makes the shipped tokenizer: byte-level BPE with Qwen2.5's pre-tokenizer and special tokens, about 3,000 entries.

    python3 tokenizer.py OUT_DIR

Every merge grows a word from its leading space, one letter at a time (" t", " th", " the"), so a string without a leading
space, such as the quoted text that the model reads off an image, is always spelt letter by letter: copying it is easy.
"""

import argparse
import json
import pathlib
import random
from collections import Counter

import regex
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import names
import wordings

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
           "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
           "<|image_pad|>", "<|video_pad|>"]
SMALLEST_COUNT = 3

CHAT_TEMPLATE = """\
{%- set images = namespace(count=0) -%}
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or part['type'] == 'image_url' or 'image' in part -%}
{%- set images.count = images.count + 1 -%}
{%- if add_vision_id is defined and add_vision_id -%}{{- 'Picture ' ~ images.count ~ ': ' -}}{%- endif -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif 'text' in part -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def byte_symbols() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in plain}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(plain))
    return table


def corpus() -> Counter:
    """Counts of pre-tokenized pieces over the questions and answers that training will show."""
    rng = random.Random(1)
    text = []
    for task, patterns in wordings.ASK.items():
        for pattern in patterns:
            text += [wordings.expand(pattern, rng) for _ in range(8)]
    for answer, openings in wordings.SMALL_TALK.items():
        text += [answer] * 8 + openings * 3
    text += [wordings.NO_IMAGE, wordings.SAY_SAME, wordings.SYSTEM_DEFAULT] * 20
    text += wordings.SYSTEM_OTHERS * 4 + wordings.SAY_IMAGE_FIRST * 4 + wordings.POLITE * 4
    text += [" is are was in on at the top bottom left right center corner of to above below Yes, No, there no"] * 50
    text += [' " ". "?'] * 50
    text += [" " + " ".join(names.NUMBERS + names.ORDINALS + ["grey", "center", "centre", "characters", "objects", "things"])] * 20
    text += [f" {c} {c} {s} {names.plural(s)}" for c in names.COLORS for s in names.SHAPES]
    for name in names.EMOJI_NAMES:
        text += [f" {name} {names.plural(name)}"] * 6
    counts = Counter()
    for line in text:
        for slot in ("o", "os", "an", "a", "b", "r", "c", "n"):
            line = line.replace("{" + slot + "}", "")
        counts.update(regex.findall(PATTERN, line))
    return counts


def grow_merges(counts: Counter) -> list[tuple[str, str]]:
    """Merges that extend a prefix beginning with a space by one symbol, the commonest prefixes first."""
    symbols = byte_symbols()
    prefixes = Counter()
    for piece, count in counts.items():
        if len(piece) > 1 and piece[0] == " ":
            spelt = [symbols[b] for b in piece.encode()]
            for length in range(2, len(spelt) + 1):
                prefixes["".join(spelt[:length])] += count
    kept = [p for p, n in sorted(prefixes.items(), key=lambda kv: (len(kv[0]), -kv[1], kv[0])) if n >= SMALLEST_COUNT]
    return [(p[:-1], p[-1]) for p in kept] + [('"', ".")]


def build() -> Tokenizer:
    """The tokenizer; ids are bytes, then merges, then special tokens."""
    symbols = byte_symbols()
    vocab = {symbols[b]: b for b in range(256)}
    merges = grow_merges(corpus())
    for a, b in merges:
        vocab[a + b] = len(vocab)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=False, fuse_unk=False))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    return tok


def save(out: pathlib.Path) -> Tokenizer:
    """Write tokenizer.json, tokenizer_config.json and the chat template."""
    out.mkdir(parents=True, exist_ok=True)
    tok = build()
    tok.save(str(out / "tokenizer.json"))
    config = {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None, "errors": "replace",
        "model_max_length": 8192, "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer",
        "additional_special_tokens": SPECIAL[1:], "chat_template": CHAT_TEMPLATE,
        "added_tokens_decoder": {str(tok.token_to_id(s)): {
            "content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
            for s in SPECIAL},
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}, indent=2) + "\n")
    return tok


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    made = save(parser.parse_args().out)
    print(made.get_vocab_size(), "entries;", made.encode(' What does it say? It says "Hello12". a golf flag').tokens)
