"""Pictures that promise or cost far more than they are: each is refused, and no process grows by it."""

import random
import struct
import zlib

from client import data_uri, image_part, png, text_part

GROWTH = 64 << 20
HUGE = ((65535, 65535), (65535, 1025), (32769, 1), (1, 32769), (32768, 32768), (9000, 9000))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width, height, depth, color, *before, data=b"\0" * 100):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before)
        + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


def raw_gif(width, height, frame, frames=1, data=b"\x02\x02\x4c\x01\x00"):
    image = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + data
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return b"GIF89a" + screen + bytes(6) + image * frames + b";"


def raw_jpeg(width, height, components=3, sof=0xC0, scans=1, scan=b"\0\0"):
    tables = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    huffman = b"\xff\xc4\x00\x14\x00" + b"\x01" + bytes(15) + b"\x00"
    huffman += b"\xff\xc4\x00\x14\x10" + b"\x01" + bytes(15) + b"\x00"
    parts = b"".join(bytes((i + 1, 0x11, 0)) for i in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + parts
    chosen = b"".join(bytes((i + 1, 0)) for i in range(components))
    if sof == 0xC2:
        one = bytes((components,)) + chosen + bytes((0, 0, 0))
    else:
        one = bytes((components,)) + chosen + bytes((0, 63, 0))
    scan_bytes = b"\xff\xda" + struct.pack(">H", len(one) + 2) + one + scan
    return (
        b"\xff\xd8" + tables + b"\xff" + bytes((sof,)) + struct.pack(">H", len(frame) + 2) + frame
        + huffman + scan_bytes * scans + b"\xff\xd9"
    )


def riff(*chunks):
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width, height, flags=0):
    return bytes((flags, 0, 0, 0)) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def lossless(width, height):
    return b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(20)


def lossy(width, height):
    return b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(20)


def bombs():
    for width, height in HUGE:
        for depth, color in ((1, 0), (8, 3), (16, 6)):
            yield f"png {width}x{height} {depth} {color}", raw_png(width, height, depth, color)
        yield f"gif {width}x{height}", raw_gif(width, height, (width, height))
        yield f"jpeg {width}x{height}", raw_jpeg(width, height)
        yield f"jpeg progressive {width}x{height}", raw_jpeg(width, height, sof=0xC2)
        yield f"webp canvas {width}x{height}", riff((b"VP8X", canvas(width, height)), (b"VP8 ", lossy(9, 9)))
    small = zlib.compress(bytes(200_000_000), 9)
    profile = chunk(b"iCCP", b"icc\0\0" + small)
    text = chunk(b"zTXt", b"Comment\0\0" + small)
    # With these only the picture itself is broken: what they hide must not have been unpacked.
    yield "png iCCP", raw_png(9, 9, 8, 2, profile, data=b"short")
    yield "png zTXt", raw_png(9, 9, 8, 2, text, data=b"short")
    yield "png iTXt", raw_png(9, 9, 8, 2, chunk(b"iTXt", b"a\0\1\0\0\0" + small), data=b"short")
    yield "png text in thousands", raw_png(
        9, 9, 8, 2, chunk(b"tEXt", b"a\0" + b"b" * 80) * 20000, data=b"short"
    )
    yield "png palette of a gigabyte", raw_png(9, 9, 8, 3, struct.pack(">I", 0x3FFFFFFF) + b"PLTE")
    yield "png chunk of two gigabytes", raw_png(9, 9, 8, 2, struct.pack(">I", 0x7FFFFFFF) + b"tRNS")
    yield "gif of 10,000 frames", raw_gif(9, 9, (65535, 65535), 10000)
    yield "gif frame beyond all", raw_gif(1, 1, (65535, 65535))
    yield "gif in extensions", b"GIF89a" + bytes(7) + b"!\xfe\xff" + b"x" * 9_000_000
    yield "jpeg of a thousand scans", raw_jpeg(2000, 2000, 1, 0xC2, 1000, scan=b"")
    yield "jpeg of 10,000 scans", raw_jpeg(64, 64, 1, 0xC2, 10000, scan=b"")
    yield "jpeg of markers", b"\xff\xd8" + b"\xff\xe1\0\2" * 1_000_000 + b"\xff\xd9"
    yield "jpeg of tables", b"\xff\xd8" + (b"\xff\xdb\0\x43\0" + b"\1" * 64) * 100_000 + b"\xff\xd9"
    yield "jpeg of 255 components", raw_jpeg(9000, 7000, 255)
    yield "webp animation", riff(
        (b"VP8X", canvas(16383, 16383, 2)), (b"ANIM", bytes(6)),
        *[(b"ANMF", bytes(16) + b"VP8L" + struct.pack("<I", 25) + lossless(16383, 16383))] * 100,
    )
    yield "webp lossless", riff((b"VP8L", lossless(16384, 16384)))
    yield "webp lossy", riff((b"VP8 ", lossy(16383, 16383)))
    yield "webp in chunks", riff((b"VP8X", canvas(9, 9)), *[(b"XXXX", b"")] * 200_000)


def high_water(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
    raise RuntimeError("no VmHWM")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return [int(child) for child in listed.read().split()]


def name_of(pid):
    with open(f"/proc/{pid}/cmdline") as line:
        return line.read()


def test_bombs_are_refused_and_cost_nothing(start):
    server = start("--decoders", 1)
    answer = server.chat([image_part(png(300, 300)), text_part("hi")])
    assert answer.status == 200
    (decoder,) = [pid for pid in children(server.process.pid) if "role:decoder" in name_of(pid)]
    before = high_water(decoder)
    made = list(bombs())
    assert len(made) >= 60
    random.Random(1).shuffle(made)
    for name, image in made:
        answer = server.chat([image_part(image), text_part("hi")])
        assert answer.status == 400, (name, answer.body)
        message = answer.error()["message"]
        assert message and "0x7f" not in message and "/" not in message.replace("image/", ""), name
        grown = high_water(decoder) - before
        # The encoded bytes themselves are there for a moment.
        assert grown < GROWTH + len(image), (name, grown)
    assert server.status()["decoders"]["restarts"] == 0
    assert server.chat([image_part(png(300, 300)), text_part("hi")]).status == 200


def test_damage_is_told_without_addresses(fake):
    whole = png(40, 40)
    for cut in range(1, len(whole) - 30, 7):
        answer = fake.post(
            {
                "model": fake.model,
                "messages": [{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": data_uri(whole[:cut])}}]}],
            }
        )
        assert answer.status == 400
        assert "0x" not in answer.error()["message"]
