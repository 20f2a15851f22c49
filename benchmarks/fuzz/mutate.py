"""Random changes to the bytes of a file: bits, pieces, lines, and tokens that such a file may hold but should not."""

import random
from collections.abc import Callable, Sequence

CHANGES = (1, 1, 1, 2, 4)
MOST_BYTES = 2_000_000
"""Of a mutated file: doubling pieces must not make the inputs themselves the load."""

ANYWHERE: tuple[bytes, ...] = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[2J", b"\r", b"\n", b"\t", b"'", b'"', b"\\", b"{", b"}", b"[", b"]", b",",
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"9" * 30, b"-1", b"1e999", b"NaN", b"x" * 70_000, b"../" * 20,
    b"\xe2\x80\xae", "\U000e0041".encode(),
)  # fmt: skip
"""What may get into any file."""


def mutated(data: bytes, draw: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """`data` after one to four random changes, some of which put one of `tokens` or of `ANYWHERE` somewhere."""
    for _ in range(draw.choice(CHANGES)):
        data = draw.choice(_WAYS)(data, draw, tuple(tokens) or ANYWHERE)[:MOST_BYTES]
    return data


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(len(data) + 1)
    return start, min(len(data), start + draw.choice((1, 2, 8, 64, 1_024, len(data))))


def _bit(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + bytes(byte ^ 1 << draw.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _cut_out(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + data[end:]


def _doubled(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 3, 50)) + data[end:]


def _moved(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    at = draw.randrange(len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


def _noise(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + draw.randbytes(min(end - start, 64)) + data[end:]


def _broken_off(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _token(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    """A token is put in, or takes the place of what stands there."""
    token = draw.choice(tokens if draw.random() < 0.7 else ANYWHERE)
    start, end = _span(data, draw)
    return data[:start] + token + data[end if draw.random() < 0.3 else start :]


def _lines(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    """A line is lost, doubled, put elsewhere, or has another value after its colon."""
    lines = data.split(b"\n")
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    way = draw.randrange(5)
    if way == 0:
        del lines[at]
    elif way == 1:
        lines.insert(other, lines[at])
    elif way == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        name, colon, _ = lines[at].partition(b":")
        lines[at] = name + colon + b" " + draw.choice(tokens) if colon else draw.choice(tokens)
    return b"\n".join(lines)


_WAYS: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _bit, _cut_out, _doubled, _moved, _noise, _broken_off, _token, _token, _lines, _lines,
)  # fmt: skip
