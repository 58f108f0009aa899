"""Hostile and unusual requests by class, with what RFC 9110 and RFC 9112 say about each class.

Every case is (name, bytes, statuses): a list has the statuses of all answers in their order, a set those of which the one
answer has one. SMUGGLED stands behind everything that plays with lengths: an
answer to it would show that the server and somebody in front of it may disagree about where a request ends. Where the
RFC leaves a choice (MAY, or "either refuse or repair") vlmd refuses."""

H = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n"
CLOSE = b"Connection: close\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /health?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

CONTROLS = [c for c in range(0x20) if c not in (0x09, 0x0A, 0x0D)] + [0x7F]
DELIMITERS = b'"(),/;<=>?@[\\]{}'


def values():
    """RFC 9110, 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous"; other controls are
    invalid too. Refused."""
    for c in CONTROLS:
        yield f"value with {c:#04x}", GET + H + b"X: a" + bytes([c]) + b"b\r\n\r\n", [400]
    for c in (0x00, 0x0B, 0x0C, 0x1F, 0x7F):
        yield f"value that begins with {c:#04x}", GET + H + b"X:" + bytes([c]) + b"b\r\n\r\n", [400]
        yield f"value that ends with {c:#04x}", GET + H + b"X: b" + bytes([c]) + b"\r\n\r\n", [400]
    # obs-text (0x80 to 0xFF) is part of the grammar and opaque data.
    for c in (0x80, 0x85, 0xA0, 0xFF):
        yield f"value with {c:#04x}", GET + H + CLOSE + b"X: a" + bytes([c]) + b"b\r\n\r\n", [200]
    yield "value of tabs and blanks", GET + H + CLOSE + b"X: \t \t \r\n\r\n", [200]


def names():
    """RFC 9110, 5.1: a field name is a token. RFC 9112, 5.1: "No whitespace is allowed between the field name and
    colon ... A server MUST reject"."""
    for c in DELIMITERS:
        yield f"name with {chr(c)}", GET + H + b"X" + bytes([c]) + b"y: a\r\n\r\n", [400]
    for c in CONTROLS + [0x20, 0x09, 0x80, 0xFF]:
        yield f"name with {c:#04x}", GET + H + b"X" + bytes([c]) + b"y: a\r\n\r\n", [400]
    for space in (b" ", b"\t", b"  ", b" \t"):
        yield f"name, then {space!r}", GET + H + b"X" + space + b": a\r\n\r\n", [400]
    yield "name with all other characters of a token", GET + H + CLOSE + b"!#$%&'*+-.^_`|~09azAZ: a\r\n\r\n", [200]


def lines():
    """RFC 9112, 2.2: a recipient MAY take a lone LF for an end of line, and MUST treat a bare CR as invalid. 5.2: a
    server MUST refuse folded lines or unfold them."""
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\n\n", b"\x0b", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8"):
        yield f"request line ends with {end!r}", b"GET /health HTTP/1.1" + end + H + b"\r\n", {400, 505}
        yield f"field ends with {end!r}", GET + b"Host: localhost" + end + b"X: y\r\n\r\n", [400]
    for end in (b"\n", b"\r\r\n", b"\n\r\n"):
        yield f"head ends with {end!r}", GET + H + end + b"\r\n\r\n", [400]
    for fold in (b" ", b"\t", b"  ", b" \t "):
        yield f"folded by {fold!r}", GET + H + b"X: a\r\n" + fold + b"b\r\n\r\n", [400]
        yield f"first field after {fold!r}", GET + fold + H + b"\r\n", [400]
        yield f"an empty line of {fold!r}", GET + H + fold + b"\r\n\r\n", [400]


def targets():
    """RFC 9112, 3.2: no white space is allowed in a request-target; "a server MUST NOT process" what is invalid, 400 is
    right. Absolute-form is to be accepted by servers that are asked as proxies; vlmd is none and refuses."""
    for c in CONTROLS + [0x09, 0x20, 0x80, 0xC3, 0xFF]:
        yield f"target with {c:#04x}", b"GET /hea" + bytes([c]) + b"lth HTTP/1.1\r\n" + H + b"\r\n", [400]
    for target in (b"*", b"health", b"http://localhost/health", b"HTTP://localhost/health", b"//", b"localhost:80",
                   b"?a=b", b"#a", b"/#", b"/health#", b"\\health", b"./health", b"../health", b"@localhost/health",
                   b"%2fhealth", b":80/health", b"javascript:1", b"file:///etc/passwd"):
        status = 404 if target == b"//" else 400
        yield f"target {target.decode()}", b"GET " + target + b" HTTP/1.1\r\n" + H + CLOSE + b"\r\n", [status]
    for path in (b"/v1/../health", b"/./health", b"/health/", b"//health", b"/health%00", b"/health;a", b"/HEALTH",
                 b"/v1/models/..%2f..%2fhealth", b"/v1/models/%2e%2e/health", b"/%68ealth%", b"/v1//models", b"/v1/models/%ff"):
        yield f"path {path.decode()}", b"GET " + path + b" HTTP/1.1\r\n" + H + CLOSE + b"\r\n", [404]


def methods():
    """RFC 9110, 9.1: a method is a token, case-sensitive; an unknown one is 501, one that is not allowed 405. A method
    that is no token is no request: 400. (llhttp knows the registered ones only; all others are 400.)"""
    for c in list(DELIMITERS) + CONTROLS[:8] + [0x7F, 0x80, 0xFF]:
        yield f"method with {c:#04x}", b"GE" + bytes([c]) + b"T /health HTTP/1.1\r\n" + H + b"\r\n", [400]
    for method in (b"get", b"Get", b"GETT", b"GE", b"BREW", b"G E T", b"PRI", b"HTTP/1.1", b"SM", b"X" * 64):
        yield f"method {method.decode()}", method + b" /health HTTP/1.1\r\n" + H + b"\r\n", [400]
    for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"MKCOL", b"LOCK", b"REPORT"):
        yield f"method {method.decode()}", method + b" /health HTTP/1.1\r\n" + H + CLOSE + b"\r\n", [405]


def versions():
    """RFC 9112, 2.3: HTTP-version = "HTTP" "/" DIGIT "." DIGIT, case-sensitive. A major version that is not spoken: 505."""
    for version in (b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTP/1.1", b"HTTP", b"HTTP 1.1", b"1.1", b"ICY/1.1", b"RTSP/1.0"):
        yield f"version {version.decode()}", b"GET /health " + version + b"\r\n" + H + b"\r\n", [400]
    for version in (b"HTTP/2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/3.0", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1.1.1",
                    b"HTTP/1,1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/-1.1", b"HTTP/1.x", b"HTTP/x.1", b"HTTP/+1.1", b"HTTP/01.1"):
        yield f"version {version.decode()}", b"GET /health " + version + b"\r\n" + H + b"\r\n", {505, 400}
    yield "blanks after the version", b"GET /health HTTP/1.1 \r\n" + H + b"\r\n", {400, 505}
    yield "no version and no Host", b"GET /health\r\n\r\n", [400]


def hosts():
    """RFC 9112, 3.2: 400 to any 1.1 request that lacks a Host, has more than one, or an invalid one. Then our own list of
    names (403), which keeps web pages out of a server on the loopback."""
    for host in (b"", b" ", b"a b", b"a/b", b"a?b", b"a#b", b"a@b", b"a\\b", b"a,b", b"localhost,localhost", b"localhost:", b"localhost:x",
                 b"localhost:80x", b"localhost:123456", b"localhost:-1", b"localhost:80:80", b"::1", b"[::1", b"::1]", b"[]", b"[x]",
                 b"[::1]x", b"[::1]:x", b"http://localhost", b"localhost\x80", b"<script>", b"a" * 300, b"%6cocalhost", b"local\thost",
                 b"'localhost'", b'"localhost"', b"localhost;", b"$(id)", b"{localhost}", b"*"):
        yield f"Host {host[:20]!r}", GET + b"Host: " + host + b"\r\n\r\n", [400]
    for host in (b"evil.example", b"localhost.", b"localhost.evil.example", b"127.0.0.2", b"127.1", b"0.0.0.0", b"0x7f000001", b"2130706433",
                 b"[::]", b"[::ffff:127.0.0.1]", b"evil.example:80", b"xlocalhost", b"127.0.0.1.evil.example"):
        yield f"Host {host.decode()}", GET + CLOSE + b"Host: " + host + b"\r\n\r\n", [403]
    for host in (b"localhost", b"LOCALHOST", b"localhost:1", b"127.0.0.1", b"127.0.0.1:65535", b"[::1]", b"[::1]:80"):
        yield f"Host {host.decode()}", GET + CLOSE + b"Host: " + host + b"\r\n\r\n", [200]
    for second in (b"host: localhost", b"HOST: localhost", b"Host: evil.example", b"Host:", b"Host: localhost:80"):
        yield f"second {second.decode()}", GET + H + second + b"\r\n\r\n", [400]


def lengths():
    """RFC 9112, 6.2 and 6.3: Content-Length = 1*DIGIT; anything else, or a list of different values, is unrecoverable:
    400 and the connection closes. Equal values MAY be merged; vlmd refuses."""
    for length in (b"", b"+2", b"-2", b"-0", b"0x2", b"0b1", b"2h", b"2;", b"2,", b",2", b"2,2", b"2, 2", b"2,3", b"2 2", b"2\t2", b"2.0", b"2e0",
                   b"'2'", b'"2"', b"two", b"NaN", b"2_0", b"2\x0b", b"\x0b2", b"2\x0c", b"2\xa0", b"\xef\xbc\x92", b"2\x00", b"(2)", b"2 #", b"$2",
                   b"18446744073709551616", b"18446744073709551618", b"340282366920938463463374607431768211458", b"9" * 100, b"0" * 30 + b"2"):
        yield f"length {length[:24]!r}", POST + b"Content-Length: " + length + b"\r\n\r\n{}" + SMUGGLED, [400]
    for length in (b"75497473", b"4294967298", b"999999999999999999"):
        yield f"length {length.decode()}", POST + b"Content-Length: " + length + b"\r\n\r\n{}" + SMUGGLED, [413]
    for first, second in ((b"2", b"2"), (b"2", b"3"), (b"0", b"2"), (b"2", b""), (b"", b"2"), (b"2", b"x")):
        fields = b"Content-Length: " + first + b"\r\ncontent-length: " + second + b"\r\n"
        yield f"lengths {first!r} and {second!r}", POST + fields + b"\r\n{}" + SMUGGLED, [400]
    for name in (b"Content-Length ", b" Content-Length", b"Content-Length\t", b"Content-Length\x00", b"Content\r\n-Length", b"Content-Length\x0b"):
        yield f"name {name!r}", POST + b"X: y\r\n" + name + b": 2\r\n\r\n{}" + SMUGGLED, [400]
    # Another field altogether: then there is no length, and what follows is read as a request, which "{}GET" is not.
    for name in (b"Content_Length", b"ContentLength", b"X-Content-Length", b"Content-Lengths"):
        yield f"name {name.decode()}", POST + name + b": 2\r\n\r\n{}" + SMUGGLED, [411, 400]
    yield "length with leading zeros", POST + CLOSE + b"Content-Length: 0002\r\n\r\n{}", [400]  # read as 2: {} lacks a model
    yield "length 0", POST + CLOSE + b"Content-Length: 0\r\n\r\n", [400]
    yield "length on a GET", GET + H + b"Content-Length: 4\r\n\r\nabcd" + GET + H + CLOSE + b"\r\n", [200, 200]


def codings():
    """RFC 9112, 6.1: chunked must be the last coding and applied once; an unknown coding is 501; a Content-Length beside
    it "ought to be handled as an error"; in HTTP/1.0 "MUST treat the message as if the framing is faulty"."""
    body = b"\r\n\r\n0\r\n\r\n" + SMUGGLED
    for coding in (b"", b"xchunked", b"chunkedx", b"chunk", b"chunked,", b",chunked", b"chunked, chunked", b"chunked,chunked", b"chunked chunked",
                   b"identity", b"identity, chunked", b"chunked, identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"deflate", b"compress",
                   b"cow", b"chunked;", b"chunked;a=b", b"chunked=1", b"'chunked'", b'"chunked"', b"[chunked]", b"(chunked)", b"ch unked", b"chun\xc4\xb7ed",
                   b"\x85chunked", b"\xa0chunked", b"chunked\xff", b"chunked/1", b"trailers", b"null", b"*", b"0", b"chunked, , chunked", b"\\chunked"):
        yield f"coding {coding!r}", POST + b"Transfer-Encoding: " + coding + body, {501, 400}
    for coding in (b"\x0bchunked", b"\x0cchunked", b"\x00chunked", b"chunked\x00", b"chunked\x0b", b"chu\rnked", b"\nchunked", b"\r\n chunked", b"\r\n\tchunked",
                   b"chunked\r\n , identity"):
        yield f"coding {coding!r}", POST + b"Transfer-Encoding:" + coding + body, [400]
    for name in (b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer-Encoding\t", b"Transfer-Encoding\x00", b"Transfer\r\n-Encoding",
                 b"Transfer-Encoding\x0b", b"X: y\nTransfer-Encoding", b"X: y\rTransfer-Encoding", b"Transfer-Encoding\n"):
        yield f"name {name!r}", POST + b"Content-Length: 5\r\n" + name + b": chunked" + body, [400]
    for fields in (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
                   b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
                   b"Content-Length: 0\r\nTransfer-Encoding: identity", b"Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                   b"Transfer-Encoding:\r\nContent-Length: 5", b"Transfer-Encoding: chunked\r\nContent-Length: x"):
        yield f"fields {fields!r}", POST + fields + body, {400, 501}
    for coding in (b"chunked", b"CHUNKED", b"Chunked", b"  chunked", b"chunked  ", b"\tchunked\t"):
        yield f"good coding {coding!r}", POST + CLOSE + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]
    yield "coding in 1.0", POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked" + body, [400]
    yield "underscore", POST + CLOSE + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", [400]  # read by its length


def chunks():
    """RFC 9112, 7.1: chunk-size = 1*HEXDIG, CRLF behind size and data; a recipient MUST guard against overflows.
    Trailers MAY be discarded or refused; vlmd refuses them."""
    begin = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for size in (b"", b"+2", b"-2", b"0x2", b"2x", b"g", b"2h", b"2,", b"2.", b"2 2", b"\t2", b" 2", b"2\x00", b"2\x0b", b"\x0b2", b"\xef\xbc\x92",
                 b"10000000000000002", b"FFFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFFFF", b"8000000000000000", b"0x", b"#2", b"'2'", b"2\r", b"2\n", b"\r2", b"{}",
                 b"2;a\x00b", b"2;a\nb", b"2;a\rb"):
        yield f"chunk size {size!r}", begin + size + b"\r\n{}\r\n0\r\n\r\n" + SMUGGLED, {400, 413}
    for data in (b"2\r\n{}0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n", b"2\r\n{}\r0\r\n\r\n", b"2\r\n{}}\r\n0\r\n\r\n", b"2\r\n{}  \r\n0\r\n\r\n",
                 b"2\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\n\r\n", b"2\r\n{}\r\n0\r\n\n", b"2\r\n{}\r\n0\r\r\n", b"2\r\n{}\r\n\r\n", b"\n2\r\n{}\r\n0\r\n\r\n",
                 b"2\r\n{}\r\n0\r\nX: y\r\n\r\n", b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n", b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
                 b"2\r\n{}\r\n0\r\nHost: evil\r\n\r\n", b"2\r\n{}\r\n0\r\n X\r\n\r\n", b"2\r\n{}\r\n00\r\nX\r\n\r\n"):
        yield f"chunks {data!r}", begin + data + SMUGGLED, [400]
    for data in (b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"02\r\n{}\r\n0\r\n\r\n", b"0000000002\r\n{}\r\n00\r\n\r\n", b"2;a=b\r\n{}\r\n0\r\n\r\n",
                 b"2;a\r\n{}\r\n0;b\r\n\r\n", b'2;a="b"\r\n{}\r\n0\r\n\r\n'):
        # Read as {}: which lacks a model.
        yield f"good chunks {data!r}", begin.replace(b"Host", CLOSE + b"Host", 1) + data, [400]


def sizes():
    """RFC 9112, 3: a target longer than the server reads is 414. RFC 6585: fields that are too large are 431."""
    def target(n):
        return b"GET /" + b"a" * (n - 1) + b" HTTP/1.1\r\n" + H + CLOSE + b"\r\n"

    def fields(n):  # of n bytes together, the empty line included
        head = H + CLOSE + b"X: \r\n\r\n"
        return GET + H + CLOSE + b"X: " + b"a" * (n - len(head)) + b"\r\n\r\n"

    yield "target of 8192", target(8192), [404]
    yield "target of 9000", target(9000), [414]
    yield "target of 1 MB", b"GET /" + b"a" * 1_000_000, [414]
    yield "query of 9000", b"GET /health?" + b"a" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", [414]
    yield "method of 1 MB", b"G" * 1_000_000, {414, 400}
    yield "fields of 16384", fields(16384), [200]
    yield "fields of 16385", fields(16385), [431]
    yield "a field of 1 MB", GET + H + b"X: " + b"a" * 1_000_000, [431]
    yield "a name of 1 MB", GET + H + b"X" * 1_000_000, [431]
    yield "100 fields", GET + H + CLOSE + b"A: b\r\n" * 98 + b"\r\n", [200]
    yield "101 fields", GET + H + CLOSE + b"A: b\r\n" * 99 + b"\r\n", [431]
    yield "100,000 fields", GET + H + b"A:\r\n" * 100_000 + b"\r\n", [431]
    yield "100,000 empty lines", b"\r\n" * 100_000, [400]
    yield "a chunk extension of 3 MB", POST + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"e" * 3_000_000, [400]


def expectations():
    """RFC 9110, 10.1.1: an expectation that cannot be met is 417; one in HTTP/1.0 MUST be ignored."""
    for expect in (b"200-ok", b"100-continue, 100-continue", b"100-continue;a", b"", b"100", b"continue", b"'100-continue'", b"100-continue x"):
        yield f"expect {expect!r}", POST + b"Expect: " + expect + b"\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED, [417]
    yield "two", POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [417]
    yield "in 1.0", POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [400]
    yield "in capitals", POST + CLOSE + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n{}", [100, 400]


def other_protocols():
    """What other servers are spoken to with."""
    for name, data in {
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "SMTP": b"EHLO localhost\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "memcached": b"stats\r\n",
        "SOCKS5": b"\x05\x01\x00",
        "SOCKS4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        "PROXY 1": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + GET + H + b"\r\n",
        "PROXY 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + GET + H + b"\r\n",
        "WebSocket frame": b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        "SIP": b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        "RTSP": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        "FastCGI": b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
        "shellshock": b"GET /cgi-bin/x HTTP/1.1\r\nHost: () { :; }; id\r\n\r\n",
        "UTF-16": "GET / HTTP/1.1\r\n\r\n".encode("utf-16"),
        "a BOM": b"\xef\xbb\xbf" + GET + H + b"\r\n",
        "only LF": b"\n" * 100,
        "zeros": bytes(1000),
    }.items():
        yield name, data, {400, 505}


CLASSES = (values, names, lines, targets, methods, versions, hosts, lengths, codings, chunks, sizes, expectations, other_protocols)


def cases():
    """All, as {"class: name": (bytes, statuses)}."""
    found = {}
    for make in CLASSES:
        for name, data, statuses in make():
            key = f"{make.__name__}: {name}"
            assert key not in found, key
            found[key] = data, statuses
    return found


if __name__ == "__main__":
    print(len(cases()))
