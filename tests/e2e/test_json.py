"""Bodies that are JSON, that are not, and that may be either: the classes of JSONTestSuite (github.com/nst/JSONTestSuite).

y_ is accepted (but for duplicate keys, which vlmd refuses), n_ is refused, and what happens to i_ is written here. The suite
itself is fetched by tools/json_test_suite.sh into build/JSONTestSuite and read from there when it is there; the cases below
are our own, by the same classes, and always run."""

import json
import os
import pathlib

import pytest
from client import ROOT
from promises import report

SUITE = pathlib.Path(os.environ.get("JSON_TEST_SUITE", ROOT / "build" / "JSONTestSuite")) / "test_parsing"

ACCEPTED = {
    "empty object": b"{}", "empty array": b"[]", "string": b'"a"', "number": b"0", "true": b"true", "false": b"false", "null": b"null",
    "blanks around": b" \t\r\n{ }\n\r\t ", "blanks inside": b'{ "a" : [ 1 , 2 ] }', "nested": b'{"a":{"b":{"c":[[[]]]}}}',
    "minus zero": b"[-0]", "minus": b"[-1]", "exponent": b"[1e5,1E+5,1e-5,1.5e1]", "fraction": b"[0.5,-0.0,123.456]",
    "largest integer": b"[9223372036854775807,-9223372036854775808]", "escapes": rb'["\"\\\/\b\f\n\r\t"]', "unicode escape": rb'["\u00e4\u20AC"]',
    "surrogates": rb'["\ud83d\ude00"]', "UTF-8": '["äß€😀"]'.encode(), "U+2028 unescaped": '["\u2028"]'.encode(), "DEL": b'["\x7f"]', "escaped NUL": rb'["\u0000"]',
    "noncharacter": '["\uffff"]'.encode(), "empty key": b'{"":0}', "escaped key": rb'{"\u0061":1}', "63 deep": b"[" * 63 + b"]" * 63,
    "long string": b'"' + b"a" * 100000 + b'"', "many values": b"[" + b"0," * 20000 + b"0]",
}
REFUSED = {
    "nothing": b"", "blanks": b" ", "two values": b"{}{}", "comma at the end of an array": b"[1,]", "comma at the start": b"[,1]",
    "two commas": b"[1,,2]", "only a comma": b"[,]", "comma at the end of an object": b'{"a":1,}', "no colon": b'{"a" 1}', "two colons": b'{"a"::1}',
    "no value": b'{"a":}', "no key": b"{:1}", "number as key": b"{1:1}", "word as key": b"{a:1}", "null as key": b"{null:1}", "single quotes": b"['a']",
    "single quotes as key": b"{'a':1}", "open array": b"[1", "open object": b'{"a":1', "open string": b'["a', "open escape": b'["\\', "close only": b"]",
    "wrong bracket": b"[1}", "more behind": b"[1]x", "comment": b"[1]//x", "comment in front": b"/*x*/[]", "comment inside": b"[1/*x*/]", "hash": b"[1]#x",
    "capital": b"[True]", "part of a word": b"[tru]", "word": b"[undefined]", "NaN": b"[NaN]", "Infinity": b"[Infinity]", "-Infinity": b"[-Infinity]",
    "inf": b"[inf]", "plus": b"[+1]", "two minuses": b"[--1]", "minus alone": b"[-]", "minus and blank": b"[- 1]", "leading zero": b"[01]", "minus zero one": b"[-01]",
    "no digit before the point": b"[.5]", "no digit behind the point": b"[1.]", "no digit behind the exponent": b"[1e]", "exponent and sign only": b"[1e+]",
    "fraction in an exponent": b"[1e1.5]", "hex": b"[0x1]", "octal": b"[0o7]", "underscore": b"[1_0]", "thousands": b"[1 000]", "full-width digit": "[１]".encode(),
    "tab in a string": b'["\t"]', "newline in a string": b'["\n"]', "NUL in a string": b'["\0"]', "NUL between": b"[1\0]", "NUL behind": b"[1]\0",
    "unit separator in a string": b'["\x1f"]', "unknown escape": rb'["\x41"]', "escaped a": rb'["\a"]', "capital u": rb'["\U0041"]', "short unicode": rb'["\u12"]',
    "bad hex": rb'["\u12g4"]', "escaped newline": b'["\\\n"]', "escaped emoji": '["\\😀"]'.encode(), "form feed between": b"[\x0c]", "no-break space between": b"[\xc2\xa0]",
    "BOM": b"\xef\xbb\xbf{}", "UTF-16": "{}".encode("utf-16"), "UTF-16 without a BOM": "[1]".encode("utf-16-le"), "invalid UTF-8": b'["\xff"]', "lone continuation": b'["\x80"]',
    "overlong": b'["\xc0\xaf"]', "overlong NUL": b'["\xc0\x80"]', "surrogate in UTF-8": b'["\xed\xa0\x80"]', "beyond Unicode": b'["\xf4\x90\x80\x80"]',
    "cut UTF-8": b'["\xe2\x82"]', "invalid UTF-8 as key": b'{"\xff":1}', "lone high surrogate": rb'["\ud83d"]', "lone low surrogate": rb'["\ude00"]',
    "surrogates the wrong way round": rb'["\ude00\ud83d"]', "two high surrogates": rb'["\ud83d\ud83d"]', "escaped NUL in a key": rb'{"\u0000":1}',
    "duplicate keys": b'{"a":1,"a":2}', "duplicate keys, same value": b'{"a":1,"a":1}', "duplicate keys by an escape": rb'{"a":1,"\u0061":2}',
    "duplicate keys further in": b'[{"a":{"b":1,"b":2}}]', "integer beyond 64 bits": b"[9223372036854775808]", "huge exponent": b"[1e999]", "-huge exponent": b"[-1e999]",
    "65 deep": b"[" * 65 + b"]" * 65, "100,000 deep": b"[" * 100000, "100,000 objects deep": b'{"a":' * 100000, "semicolon": b"[1;2]", "angle brackets": b"<a/>", "HTML": b"<html></html>",
    "form": b"a=b&c=d", "backslash": b"\\", "quote": b'"', "key without quotes at its end": b'{"a:1}', "array with a colon": b'["a":1]', "lonely emoji": "😀".encode(),
}
# What the suite leaves to us (i_): how vlmd takes it, and why.
#   beyond a limit (64 levels), beyond 64 bits or a double's range: refused, nothing is rounded silently
#   lone surrogates, invalid UTF-8, a BOM, UTF-16: refused, they are not Unicode text in UTF-8
#   numbers that a double rounds, or that are nearly nothing: accepted
CHOSEN = {
    "i_number_double_huge_neg_exp.json": True, "i_number_real_underflow.json": True, "i_number_huge_exp.json": False, "i_number_neg_int_huge_exp.json": False,
    "i_number_pos_double_huge_exp.json": False, "i_number_real_neg_overflow.json": False, "i_number_real_pos_overflow.json": False,
    "i_number_too_big_neg_int.json": False, "i_number_too_big_pos_int.json": False, "i_number_very_big_negative_int.json": False,
    "i_structure_500_nested_arrays.json": False, "i_structure_UTF-8_BOM_empty_object.json": False,
}
DUPLICATES = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
# Not in keys: no parameter has one, so that such a request would be refused in any case.
ESCAPED_NULS = {"y_object_escaped_null_in_key.json"}


def is_json(server, body):
    """Whether the server read the body as JSON, whatever it thinks of what is in it."""
    answer = server.post(body)
    assert answer.status == 400, (answer.status, answer.body[:200])
    return answer.error()["code"] != "malformed"


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(fake, name):
    assert is_json(fake, ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused(fake, name):
    assert not is_json(fake, REFUSED[name])


def test_accepted_inside_a_request(fake):
    """Values that a request may carry along do not hinder it."""
    for name, value in ACCEPTED.items():
        if name == "63 deep":
            continue
        body = b'{"model":"fake","messages":[{"role":"user","content":"say fine"}],"metadata":%s}' % value
        answer = fake.post(body)
        assert answer.status == 200 and answer.text() == "fine", (name, answer.body[:200])


def test_a_nul_in_a_text_is_a_character(fake):
    for content in "echo a\0b", [{"type": "text", "text": "echo a\0b"}]:
        assert json.loads(fake.chat(content).text())[0]["content"] == content
    assert fake.chat("say x", stop=["a\0b"]).error()["param"] == "stop"
    answer = fake.chat([{"type": "image_url", "image_url": "data:\0"}])
    assert answer.status == 400 and answer.error()["param"] == "messages[0].content[0].image_url"


def test_a_nul_goes_through_the_real_tokenizer(real):
    with_nul, without = (real.chat(text, max_tokens=1, temperature=0).json()["usage"]["prompt_tokens"] for text in ("a\0b", "a b"))
    assert with_nul > without - 2
    assert with_nul != real.chat("a", max_tokens=1).json()["usage"]["prompt_tokens"]


def test_json_test_suite(fake):
    files = sorted(SUITE.glob("*.json"))
    if not files:
        pytest.skip(f"SKIPPED: JSONTestSuite is not at {SUITE} (tools/json_test_suite.sh fetches it)")
    assert len(files) > 300
    wrong = []
    for file in files:
        expected = {"y": True, "n": False, "i": CHOSEN.get(file.name, False)}[file.name[0]]
        expected = expected and file.name not in DUPLICATES | ESCAPED_NULS
        if is_json(fake, file.read_bytes()) != expected:
            wrong.append(file.name)
    report("JSONTestSuite", len(files), f"{len(files) - len(wrong)} as expected, {len(wrong)} not", not wrong)
    assert wrong == []
