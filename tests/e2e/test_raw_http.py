"""Hostile and unusual bytes on the socket. Each must be refused, or read exactly as RFC 9112 has it."""

import re
import socket

import hostile
import pytest
from client import read_all

H = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /health?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

# name: (bytes, statuses of all answers)
CASES = {
    # what is fine
    "plain": (GET + H + b"\r\n", [200]),
    "empty line first": (b"\r\n" + GET + H + b"\r\n", [200]),
    "1.0 without Host": (b"GET /health HTTP/1.0\r\n\r\n", [200]),
    "1.0 with Host": (b"GET /health HTTP/1.0\r\n" + H + b"\r\n", [200]),
    "white space around a value": (GET + b"Host: \t localhost \t \r\n\r\n", [200]),
    "empty value": (GET + H + b"X-Empty:\r\n\r\n", [200]),
    "high bytes in a value": (GET + H + b"X-Name: \xe4\xf6\xfc\r\n\r\n", [200]),
    "query": (b"GET /health?a=b&c=%00 HTTP/1.1\r\n" + H + b"\r\n", [200]),
    "100 fields": (GET + H + b"A: b\r\n" * 99 + b"\r\n", [200]),
    "Connection: upgrade is ignored": (
        GET + H + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", [200],
    ),
    "h2c upgrade is ignored": (
        GET + H + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", [200],
    ),
    "GET with a body": (GET + H + b"Content-Length: 5\r\n\r\nhello" + GET + H + b"\r\n", [200, 200]),
    "three at once": ((GET + H + b"\r\n") * 3, [200, 200, 200]),
    # Host
    "no Host": (GET + b"\r\n", [400]),
    "two Hosts": (GET + H + H + b"\r\n", [400]),
    "two different Hosts": (GET + H + b"Host: evil\r\n\r\n", [400]),
    "empty Host": (GET + b"Host:\r\n\r\n", [400]),
    "Host with a path": (GET + b"Host: localhost/x\r\n\r\n", [400]),
    "Host with user": (GET + b"Host: a@localhost\r\n\r\n", [400]),
    "Host with a space": (GET + b"Host: local host\r\n\r\n", [400]),
    "Host with a bad port": (GET + b"Host: localhost:x\r\n\r\n", [400]),
    "Host of two": (GET + b"Host: localhost, evil\r\n\r\n", [400]),
    "foreign Host": (GET + b"Host: evil.example\r\n\r\n", [403]),
    # request line
    "HTTP/0.9": (b"GET /health\r\n\r\n", [400]),
    "HTTP/2.0": (b"GET /health HTTP/2.0\r\n" + H + b"\r\n", [505]),
    "HTTP/1.2": (b"GET /health HTTP/1.2\r\n" + H + b"\r\n", [505]),
    "HTTP/9.9": (b"GET /health HTTP/9.9\r\n" + H + b"\r\n", [505]),
    "HTTP/1.10": (b"GET /health HTTP/1.10\r\n" + H + b"\r\n", [505]),
    "HTTP/01.1": (b"GET /health HTTP/01.1\r\n" + H + b"\r\n", [505]),
    "http/1.1 in small letters": (b"GET /health http/1.1\r\n" + H + b"\r\n", [400]),
    "HTTP/1,1": (b"GET /health HTTP/1,1\r\n" + H + b"\r\n", [505]),
    "no version": (b"GET /health HTTP/\r\n" + H + b"\r\n", [505]),
    "other protocol": (b"GET /health RTSP/1.0\r\n" + H + b"\r\n", [400]),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), [400]),
    "space before the method": (b" " + GET + H + b"\r\n", [400]),
    "tab between": (b"GET\t/health\tHTTP/1.1\r\n" + H + b"\r\n", [400]),
    "two spaces": (b"GET  /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "space in the target": (b"GET /hea lth HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "small method": (b"get /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "unknown method": (b"BREW /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "method with a NUL": (b"G\0ET /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "empty method": (b" /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "TRACE": (b"TRACE /health HTTP/1.1\r\n" + H + b"\r\n", [405]),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + H + b"\r\n", [400, 405]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "absolute target": (b"GET http://localhost/health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "target without slash": (b"GET health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "fragment": (b"GET /health#x HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "NUL in the target": (b"GET /hea\0lth HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "high byte in the target": (b"GET /h\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "dots": (b"GET /v1/../health HTTP/1.1\r\n" + H + b"\r\n", [404]),
    "encoded slash is no slash": (b"GET /v1%2Fmodels HTTP/1.1\r\n" + H + b"\r\n", [404]),
    "bad percent": (b"GET /v1/models/%zz HTTP/1.1\r\n" + H + b"\r\n", [404]),
    "encoded NUL": (b"GET /v1/models/a%00b HTTP/1.1\r\n" + H + b"\r\n", [404]),
    "two empty lines first": (b"\r\n\r\n" + GET + H + b"\r\n", [400]),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", [414]),
    "endless target": (b"GET /" + b"a" * 200000, [414]),
    "endless line": (b"A" * 200000, [414]),
    # header lines
    "bare LF everywhere": (b"GET /health HTTP/1.1\nHost: localhost\n\n", [400]),
    "bare LF after a field": (GET + b"Host: localhost\n\r\n", [400]),
    "bare LF at the end": (GET + H + b"\n", [400]),
    "bare CR in a value": (GET + H + b"X: a\rb\r\n\r\n", [400]),
    "CR CR LF": (GET + H + b"X: a\r\r\n\r\n", [400]),
    "bare CR between fields": (GET + b"Host: localhost\rX: y\r\n\r\n", [400]),
    "NUL in a value": (GET + H + b"X: a\0b\r\n\r\n", [400]),
    "NUL in a name": (GET + H + b"X\0: a\r\n\r\n", [400]),
    "control character in a value": (GET + H + b"X: a\x01b\r\n\r\n", [400]),
    "DEL in a value": (GET + H + b"X: a\x7fb\r\n\r\n", [400]),
    "folded line": (GET + H + b"X: a\r\n b\r\n\r\n", [400]),
    "folded with a tab": (GET + H + b"X: a\r\n\tb\r\n\r\n", [400]),
    "folded Host": (GET + b"Host:\r\n localhost\r\n\r\n", [400]),
    "space before the first field": (GET + b" " + H + b"\r\n", [400]),
    "space before the colon": (GET + b"Host : localhost\r\n\r\n", [400]),
    "tab before the colon": (GET + H + b"X\t: a\r\n\r\n", [400]),
    "no colon": (GET + H + b"Nothing\r\n\r\n", [400]),
    "empty name": (GET + H + b": a\r\n\r\n", [400]),
    "name with parentheses": (GET + H + b"X(y): a\r\n\r\n", [400]),
    "name with high bytes": (GET + H + b"X\xe4: a\r\n\r\n", [400]),
    "101 fields": (GET + H + b"A: b\r\n" * 100 + b"\r\n", [431]),
    "a field of 20000 bytes": (GET + H + b"X: " + b"a" * 20000 + b"\r\n\r\n", [431]),
    "fields of 40000 bytes": (GET + H + (b"X: " + b"a" * 500 + b"\r\n") * 80 + b"\r\n", [431]),
    "a name of 20000 bytes": (GET + H + b"X" * 20000 + b": a\r\n\r\n", [431]),
    # lengths
    "no length": (POST + b"\r\n", [411]),
    "two equal lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED, [400]),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + SMUGGLED, [400]),
    "lengths in one field": (POST + b"Content-Length: 2, 2\r\n\r\n{}" + SMUGGLED, [400]),
    "length with a plus": (POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED, [400]),
    "negative length": (POST + b"Content-Length: -2\r\n\r\n{}" + SMUGGLED, [400]),
    "length in hex": (POST + b"Content-Length: 0x2\r\n\r\n{}" + SMUGGLED, [400]),
    "length with a fraction": (POST + b"Content-Length: 2.0\r\n\r\n{}" + SMUGGLED, [400]),
    "length with a space": (POST + b"Content-Length: 1 2\r\n\r\n{}" + SMUGGLED, [400]),
    "empty length": (POST + b"Content-Length:\r\n\r\n{}" + SMUGGLED, [400]),
    "length of letters": (POST + b"Content-Length: two\r\n\r\n{}" + SMUGGLED, [400]),
    "length beyond 64 bits": (POST + b"Content-Length: 18446744073709551618\r\n\r\n{}" + SMUGGLED, [400]),
    "length beyond reason": (POST + b"Content-Length: 999999999999\r\n\r\n{}", [413]),
    "space before the colon of the length": (POST + b"Content-Length : 2\r\n\r\n{}" + SMUGGLED, [400]),
    "length with a vertical tab": (POST + b"Content-Length: \x0b2\r\n\r\n{}" + SMUGGLED, [400]),
    # transfer codings
    "length and chunked": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunked and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunked, chunked": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "chunked, identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n{}" + SMUGGLED, [400, 501]),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "quoted chunked": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SMUGGLED, [400, 501]),
    "chunked with a semicolon": (POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "chunked after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "space before the colon of the coding": (
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "empty coding": (POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n" + SMUGGLED, [400, 501]),
    "chunked in 1.0": (
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    # chunks
    "chunk size with 0x": (POST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "chunk size with a plus": (POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "negative chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "chunk size of letters": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "empty chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400]),
    "chunk size beyond 64 bits": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunk beyond the limit": (POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"a" * 1000, [413]),
    "bare LF after a chunk size": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "bare CR after a chunk size": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\rX{}\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunk without its CRLF": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n" + SMUGGLED, [400]),
    "chunk with other bytes for CRLF": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XY0\r\n\r\n" + SMUGGLED, [400],
    ),
    "chunk longer than its size": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "extension with a bare LF": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n" + SMUGGLED, [400],
    ),
    "trailer": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n" + SMUGGLED, [400],
    ),
    "trailer with a length": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 60\r\n\r\n" + SMUGGLED, [400],
    ),
    # expectations
    "unknown expectation": (POST + b"Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}", [417]),
    "two expectations": (
        POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [417],
    ),
}


HOSTILE = hostile.cases()
SHORT = [name for name, (data, _) in HOSTILE.items() if len(data) < 600]


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)]


@pytest.mark.parametrize("name", CASES)
def test_case(fake, name):
    data, expected = CASES[name]
    answer = fake.raw(data, seconds=0.3 if set(expected) == {200} or not expected else 2)
    got = statuses(answer)
    if expected and expected[0] != 200:
        assert len(got) == 1 and got[0] in expected, answer
        assert b'"error"' in answer
    else:
        assert got == expected, answer


def judge(name, answer):
    expected = HOSTILE[name][1]
    got = statuses(answer)
    if isinstance(expected, set):
        assert len(got) == 1 and got[0] in expected, answer
    else:
        assert got == expected, answer
    assert answer.count(b'"error"') == sum(status >= 400 for status in got)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(fake, name):
    judge(name, fake.raw(HOSTILE[name][0], seconds=5))


def test_there_are_enough():
    assert len(HOSTILE) + len(CASES) >= 300


def in_pieces(fake, data, size):
    with socket.create_connection(("127.0.0.1", fake.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(data), size):
            try:
                connection.sendall(data[i:i + size])
            except OSError:
                break
        return read_all(connection, 5)


@pytest.mark.parametrize("size", [1, 7])
def test_in_pieces_they_mean_the_same(fake, size):
    for name in SHORT:
        judge(name, in_pieces(fake, HOSTILE[name][0], size))


def test_a_refused_body_does_not_reset_the_answer(fake):
    """The answer arrives although the client still sends."""
    data = POST + b"Content-Length: 99999999\r\n\r\n" + b"x" * 500000
    for _ in range(20):
        assert statuses(fake.raw(data, seconds=2)) == [413]


def test_early_answers_keep_connections_without_a_body(fake):
    missing = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(fake.raw(missing * 3 + GET + H + b"\r\n", seconds=0.3)) == [404, 404, 404, 200]


def test_still_well_after_all_that(fake):
    assert fake.chat("say fine").text() == "fine"
