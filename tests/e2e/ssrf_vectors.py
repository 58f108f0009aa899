"""Ways to write a URL that leads to an address which nobody may be led to, made by class: every forbidden network in every notation
of its addresses, and what else has fooled readers of URLs. `python3 tests/e2e/ssrf_vectors.py [PORT]` prints them with their class."""

import ipaddress
import random
import sys

# First, last and known addresses of each network (tests/unit/fetch/test_address.c has the networks themselves).
V4 = """
0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.1.2.3 10.255.255.255 100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
127.0.0.0 127.0.0.1 127.0.0.2 127.1.2.3 127.127.127.127 127.255.255.254 127.255.255.255 168.63.129.16 169.254.0.0 169.254.0.1
169.254.169.253 169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.16.0.1 172.17.0.1 172.31.255.255 192.0.0.0
192.0.0.8 192.0.0.170 192.0.0.192 192.0.0.255 192.0.2.0 192.0.2.1 192.0.2.255 192.88.99.0 192.88.99.1 192.88.99.255
192.168.0.0 192.168.0.1 192.168.1.1 192.168.255.255 198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.1
198.51.100.255 203.0.113.0 203.0.113.1 203.0.113.255 224.0.0.0 224.0.0.1 239.255.255.250 239.255.255.255 240.0.0.0 240.0.0.1
255.255.255.254 255.255.255.255
""".split()

V6 = """
:: ::1 ::2 100:: 100::1 100:0:0:1::1 1fff::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:1f::1
2001:20::1 2001:2f::1 2001:db8:: 2001:db8::1 2001:db8:ffff::1 3fff::1 3fff:fff::1 4000::1 5f00::1 6000::1 8000::1 fc00::1
fd00::1 fd00:ec2::254 fd20:ce::254 fd12:3456:789a:1::1 fdff:ffff::1 fe00::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 feff::1
ff00::1 ff01::1 ff02::1 ff02::2 ff05::1:3 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
""".split()

SCHEMES = """
file ftp ftps sftp scp tftp gopher gophers dict ldap ldaps imap imaps pop3 pop3s smtp smtps smb smbs telnet rtsp rtmp mqtt ws wss
jar netdoc data javascript about blob view-source php phar expect glob zlib ssh2 ogg rar compress.zlib httpx xhttp http+unix
unix chrome git svn s3 gs
""".split()


def wide(text):
    """Full-width forms of digits and letters."""
    return "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in text)


def circled(text):
    return "".join("\u24ea" if c == "0" else chr(0x2460 + int(c) - 1) if c.isdigit() else c for c in text)


def v4_notations(address):
    """Everything that inet_aton() and browsers have taken for this address."""
    a, b, c, d = (int(part) for part in address.split("."))
    whole = (a << 24) | (b << 16) | (c << 8) | d
    yield address
    yield f"{address}."
    yield str(whole)
    yield f"{whole:#x}"
    yield f"0X{whole:X}"
    yield f"0{whole:o}"
    yield f"000{whole:o}"
    yield f"{a}.{(b << 16) | (c << 8) | d}"
    yield f"{a}.{b}.{(c << 8) | d}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:#x}.0{b:o}.{c}.{d}"
    yield f"{a:03}.{b:03}.{c:03}.{d:03}" if max(a, b, c, d) < 8 else f"0{a:o}.{b}.{c}.{d}"
    yield f"{a:#010x}.{b}.{(c << 8) | d:#x}"
    yield "".join(f"%{ord(char):02x}" for char in address)
    yield address.replace(".", "%2e")
    yield wide(address)
    yield circled(address)
    yield address.replace(".", "\u3002")
    yield address.replace(".", "\uff0e")


def v6_notations(address):
    value = ipaddress.IPv6Address(address)
    yield f"[{address}]"
    yield f"[{value.exploded}]"
    yield f"[{value.exploded.upper()}]"
    yield f"[{address}%25eth0]"
    yield f"[{address}%1]"


def v4_in_v6(address):
    """IPv4 in each of its disguises."""
    v4 = ipaddress.IPv4Address(address)
    high, low = int(v4) >> 16, int(v4) & 0xFFFF
    yield f"[::ffff:{address}]"
    yield f"[::ffff:{high:x}:{low:x}]"
    yield f"[0:0:0:0:0:ffff:{high:x}:{low:x}]"
    yield f"[::{address}]"
    yield f"[::ffff:0:{high:x}:{low:x}]"
    yield f"[64:ff9b::{address}]"
    yield f"[64:ff9b:1::{high:x}:{low:x}]"
    yield f"[2002:{high:x}:{low:x}::1]"
    yield f"[2001:0:{high:x}:{low:x}::{~high & 0xFFFF:x}:{~low & 0xFFFF:x}]"


def wrapped(host, port):
    """Where a reader may take another part of the URL for the host. `host` is the one that nobody may reach."""
    good = "example.com"
    for form in [
        "http://{good}@{host}:{port}/", "http://{host}:{port}@{good}/", "http://{good}:80@{host}:{port}/",
        "http://{good}\\@{host}:{port}/", "http://{host}:{port}\\@{good}/", "http://{good}#@{host}:{port}/",
        "http://{good}?@{host}:{port}/", "http://{good}%23@{host}:{port}/", "http://{good}%2f@{host}:{port}/",
        "http://{good}%40{host}:{port}/", "http://{good};@{host}:{port}/", "http://{good}&@{host}:{port}#@{good}/",
        "http://@{host}:{port}/", "http://:@{host}:{port}/", "http://a:@{host}:{port}/", "http://:a@{host}:{port}/",
        "http:///{host}:{port}/", "http:////{host}:{port}/", "http:/{host}:{port}/", "http:{host}:{port}/",
        "http:\\\\{host}:{port}/", "http:/\\{host}:{port}/", "\\\\{host}:{port}/", "//{host}:{port}/",
        "http://{host}:{port}%00.{good}/", "http://{host}%00{good}:{port}/", "http://{host}:{port}\t/",
        "http://{host}\t:{port}/", "http://\t{host}:{port}/", "http://{host}:{port}\r\nHost: {good}\r\n/",
        "http://{host}\n.{good}:{port}/", "http://{host}%0a:{port}/", "http://{host}%0d%0a:{port}/", " http://{host}:{port}/",
        "http://{host}:{port} /", "http:// {host}:{port}/", "http://{host} :{port}/", "HTTP://{host}:{port}/",
        "hTTp://{host}:{port}/", "http\t://{host}:{port}/", "http://{host}:0{port}/", "http://{host}:00000{port}/",
        "http://{host}:{port}:80/", "http://{host}:80:{port}/", "http://{host}:+{port}/", "http://{host}:{port}.0/",
        "http://{host}:{port}?a.png", "http://{host}:{port}#a.png", "http://{host}:{port}/../../a.png",
        "http://{host}:{port}/%2e%2e/a.png", "http://{host}:{port}//{good}/a.png", "http://{host}:{port}/@{good}",
        "http://{host}:{port}/[1-3].png", "http://{host}:{port}/{{a,b}}.png", "http://{{{host},{good}}}:{port}/",
        "http://[{host}]:{port}/", "http://[v1.{host}]:{port}/", "http://({host}):{port}/", "http://<{host}>:{port}/",
        "http://{host}..:{port}/", "http://.{host}:{port}/", "http://0.{host}:{port}/", "http://{host}/:{port}",
        "url:http://{host}:{port}/", "http://http://{host}:{port}/", "https://{host}:{port}/", "http://{host}:{port}",
        "data:http://{host}:{port}/", "http://{host}\u2044@{good}:{port}/", "http://{good}\uff03@{host}:{port}/",
        "http://{host}\u200b:{port}/", "http://\u00ad{host}:{port}/", "http://{host}:\uff18\uff10/",
    ]:
        yield form.format(host=host, port=port, good=good)


def names(port):
    """Names that mean this machine or its provider without a name server."""
    for name in ["localhost", "LOCALHOST", "localhost.", "LocalHost.LocalDomain", "localhost.localdomain", "a.localhost",
                 "a.b.localhost", "ip6-localhost", "ip6-loopback", "localhost6", "localhost4", "broadcasthost",
                 "l\u00f6calhost", wide("localhost"), "loc%61lhost", "%6cocalhost", "\u24dbocalhost", "lo\u00adcalhost",
                 "metadata", "metadata.google.internal", "instance-data", "kubernetes.default.svc", "host.docker.internal",
                 "gateway.docker.internal", "127.0.0.1.nip.io", "localtest.me", "lvh.me", "a.onion", "a.local"]:
        yield f"http://{name}:{port}/"
        yield f"https://{name}:{port}/"


def long_hosts(port):
    """Some resolvers have cut hosts of more than 255 bytes, and read what was left as a number."""
    for length in (254, 255, 256, 257, 260, 300, 1000, 4000):
        for head in ("127.0.0.1", "0x7f000001", "2130706433", "localhost"):
            yield f"http://{head.ljust(length, '.')}:{port}/"
            yield f"http://{(head + '.').ljust(length, 'a')}:{port}/"
            yield f"http://0x{'0' * length}7f000001:{port}/"
            yield f"http://{'0' * length}17700000001:{port}/"


def numbers_that_wrap(port):
    """Beyond 32 bits, and parts beyond 8."""
    for host in ("4294967296", "4294967297", "6425673729", "0x17f000001", "0x100000001", "0xffffffff7f000001", "256.0.0.1",
                 "127.0.0.257", "127.256", "127.16777217", "383.0.0.1", "-1", "-2130706433", "0x", "0x.0x.0x.0x", "00", "0.",
                 "127.0.0.1.1", "1.127.0.0.1", "127..0.1", "127.0.0.", "0177.1", "0x7f.1", "127.0x1", "1e0", "0b1111111"):
        yield f"http://{host}:{port}/"


def other_schemes(port):
    for scheme in SCHEMES:
        yield f"{scheme}://127.0.0.1:{port}/"
        yield f"{scheme}:127.0.0.1:{port}"
    yield f"gopher://127.0.0.1:{port}/_GET%20/"
    yield "file:///etc/passwd"
    yield "file://127.0.0.1/etc/passwd"
    yield "/etc/passwd"


def vectors(port=80, own=()):
    """(class, URL), each URL once. `own`: further addresses of this machine."""
    seen = set()

    def fresh(kind, urls):
        for url in urls:
            if url not in seen:
                seen.add(url)
                yield kind, url

    for address in V4:
        yield from fresh("IPv4", (f"http://{host}:{port}/" for host in v4_notations(address)))
        yield from fresh("IPv4 in IPv6", (f"http://{host}:{port}/" for host in v4_in_v6(address)))
    for address in V6:
        yield from fresh("IPv6", (f"http://{host}:{port}/" for host in v6_notations(address)))
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "localhost"):
        yield from fresh("URL", wrapped(host, port))
    for address in own:
        host = f"[{address}]" if ":" in address else address
        yield from fresh("own address", [f"http://{host}:{port}/", f"http://{host}:{port}/a", f"https://{host}:{port}/"])
    yield from fresh("name", names(port))
    yield from fresh("long host", long_hosts(port))
    yield from fresh("number", numbers_that_wrap(port))
    yield from fresh("scheme", other_schemes(port))
    dice = random.Random(77)
    for network in ("10.0.0.0/8", "127.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"):
        base = ipaddress.ip_network(network)
        for _ in range(12):
            address = str(base[dice.randrange(base.num_addresses)])
            notation = dice.choice(list(v4_notations(address)) + list(v4_in_v6(address)))
            yield from fresh("random", [f"http://{notation}:{port}/"])


if __name__ == "__main__":
    counts = {}
    for kind, url in vectors(int(sys.argv[1]) if len(sys.argv) > 1 else 80):
        counts[kind] = counts.get(kind, 0) + 1
        print(f"{kind}\t{url!r}")
    print(f"{sum(counts.values())} URLs:", ", ".join(f"{n} {kind}" for kind, n in counts.items()), file=sys.stderr)
