"""What colours are in a screenshot: PNG with 8 bits a channel, as browsers write it."""

import struct
import zlib
from collections import Counter
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}
"""Bytes of a pixel, by the colour type: RGB, and RGB with alpha."""


class Picture(NamedTuple):
    """Its size in pixels, and how many of them have which colour."""

    width: int
    height: int
    colours: Counter[bytes]


def read_png(data: bytes) -> Picture:
    """Take a picture apart; raises AssertionError if it is not one of that kind."""
    assert data.startswith(SIGNATURE)
    header, pixels = b"", b""
    at = len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from("!I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack_from("!I", data, at + 8 + length)[0]
        header += body if kind == b"IHDR" else b""
        pixels += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour, _, _, interlaced = struct.unpack("!IIBBBBB", header)
    assert (8, 0) == (depth, interlaced)
    size = CHANNELS[colour]
    lines = _lines(zlib.decompress(pixels), width * size, size)
    colours = Counter(
        line[start : start + size] for line in lines for start in range(0, len(line), size)
    )
    assert colours.total() == width * height
    return Picture(width, height, colours)


def _lines(data: bytes, length: int, size: int) -> list[bytes]:
    """Take the filters of PNG (ISO 15948, 9.2) from every line."""
    above, lines = bytes(length), []
    for start in range(0, len(data), length + 1):
        line = _unfiltered(data[start], data[start + 1 : start + 1 + length], above, size)
        lines.append(line)
        above = line
    return lines


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    if kind == 0:
        return line
    if kind == 2:
        return bytes((x + b) & 0xFF for x, b in zip(line, above, strict=True))
    done = bytearray(size) + bytearray(len(line))  # pixels to the left of the first are 0
    corner = bytes(size) + above
    for at, x in enumerate(line):
        left, up = done[at], above[at]
        guess = {1: left, 3: (left + up) // 2}.get(kind)
        done[at + size] = (x + (_paeth(left, up, corner[at]) if guess is None else guess)) & 0xFF
    return bytes(done[size:])


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda each: abs(guess - each))
