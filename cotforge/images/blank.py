"""A blank picture, made in memory: what a teacher is shown to see whether its answer needs the picture."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cotforge.plain_record import Record
from cotforge.records import Picture

GREY = 128
"""Of 255, in every pixel."""


@dataclass(frozen=True, slots=True)
class BlankLoading(Record):
    """Makes the bytes of a blank picture anew; see `Picture.load`."""

    width: int
    height: int

    @property
    def place(self) -> str:
        """See `Picture.place`."""
        return f"blank {self.width}x{self.height}"

    def __call__(self) -> bytes:
        """See `Picture.load`."""
        return _blank_png(self.width, self.height)


def blank_picture(like: Picture) -> Picture:
    """A PNG of the size of another picture, mid grey all over; pictures of one size give one and the same."""
    data = _blank_png(like.width, like.height)
    return Picture(sha256(data).hexdigest(), "image/png", like.width, like.height, len(data), BlankLoading(like.width, like.height))


@lru_cache(maxsize=256)
def _blank_png(width: int, height: int) -> bytes:
    """8-bit grey, without a library: its digest is part of a Call's key, and should outlive versions. Source: W3C PNG, 3rd edition."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" + bytes([GREY]) * width
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunks(header, pixels))


def _png_chunks(header: bytes, pixels: bytes) -> Iterator[bytes]:
    for name, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")):
        yield struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
