"""Bytes that are cut, changed or moved, and PNGs whose parts are."""

import struct
import zlib

HUGE = 10**9


def cut_or_changed(whole, rng):
    data = bytearray(whole)
    if rng.random() < 0.3:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, way = rng.randrange(len(data)), rng.random()
        if way < 0.4:
            data[at] = rng.randrange(256)
        elif way < 0.6:
            data[at] = rng.choice(b"\"'{}[]()<>&;:,.-0aNe\\/\x00\xff \n%#!*|?")
        elif way < 0.8:
            data[at:at] = data[rng.randrange(len(data)) :][: rng.randint(1, 60)]
        elif len(data) > 80:
            del data[at : at + rng.randint(1, 40)]
    return bytes(data)


def damaged_png(whole, rng):
    """Chunks are changed and, mostly, have the checksum of what they say now."""
    chunks = _chunks(whole)
    for _ in range(rng.choice((1, 1, 2))):
        _change_chunks(chunks, rng)
    data = whole[:8]
    for name, content in chunks:
        checksum = zlib.crc32(name + content) if rng.random() < 0.97 else rng.randrange(2**32)
        length = len(content) if rng.random() < 0.98 else rng.choice((0, 1, 2**31, 2**32 - 1, len(content) + 1))
        data += struct.pack(">I", length) + name + content + struct.pack(">I", checksum)
    return data


def _chunks(whole):
    found, start = [], 8
    while start < len(whole):
        (length,) = struct.unpack(">I", whole[start : start + 4])
        found.append((whole[start + 4 : start + 8], whole[start + 8 : start + 8 + length]))
        start += 12 + length
    return found


def _change_chunks(chunks, rng):
    at, way = rng.randrange(len(chunks)), rng.random()
    if way < 0.25:
        chunks[0] = (b"IHDR", _header(chunks[0][1], rng))
    elif way < 0.4:
        chunks[:] = _picture(rng)
    elif way < 0.55:
        chunks.insert(at, _extra(rng))
    elif way < 0.65:
        chunks.insert(at, rng.choice(chunks))
    elif way < 0.75:
        rng.shuffle(chunks)
    elif way < 0.82:
        del chunks[at]
        chunks.append((b"IEND", b""))
    else:
        name, content = chunks[at]
        chunks[at] = (name, cut_or_changed(content, rng) if content else rng.randbytes(3))


def _header(header, rng):
    values = list(struct.unpack(">IIBBBBB", header[:13].ljust(13, b"\0")))
    choices = {0: (0, 1, 7, HUGE, 2**31, 2**32 - 1), 2: (1, 2, 4, 8, 16, 3), 3: (0, 2, 3, 4, 6, 9), 6: (0, 1, 2)}
    choices[1] = choices[0]
    for place in rng.sample(list(choices), rng.choice((1, 1, 2))):
        values[place] = rng.choice(choices[place])
    return struct.pack(">IIBBBBB", *values)


def _picture(rng):
    """Another sound PNG: of another kind or size, small on the disk and perhaps not in memory."""
    width, height = rng.choice(((1, 1), (32, 24), (24, 32), (1, 30_000), (30_000, 1), (33, 24), (4000, 4000)))
    color, depth = rng.choice(
        ((0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 2), (3, 8), (4, 8), (6, 8))
    )
    row = (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] + 7) // 8
    if width * height < 10**5:
        pixels = b"".join(b"\0" + rng.randbytes(row) for _ in range(height))
    else:
        pixels = bytes((row + 1) * height)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    palette = [(b"PLTE", rng.randbytes(3 * rng.choice((1, 4, 256))))] if color == 3 else []
    return [(b"IHDR", header), *palette, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]


def _extra(rng):
    bomb = zlib.compress(bytes(30 << 20), 9)
    orientation = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return rng.choice(
        (
            *((b"tRNS", b"\0\0"), (b"tRNS", bytes(6)), (b"tRNS", b"\0\x80"), (b"PLTE", bytes(9)), (b"gAMA", bytes(4))),
            *((b"zTXt", b"a\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb)),
            *((b"eXIf", orientation), (b"eXIf", rng.randbytes(40)), (b"acTL", bytes(8)), (b"pHYs", bytes(9))),
            (b"IDAT", bomb),
        )
    )
