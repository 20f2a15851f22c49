"""Which bytes begin an image: for files and texts whose name does not tell."""

import os
import re

from cotforge.images.refs import open_file

LONGEST = 16
"""Bytes that are enough to know an image by."""

_DECODED = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{4}\x00\x00\x00\x00"  # BMP: its size, then four reserved bytes
    rb"|RIFF.{4}WEBP",
    re.DOTALL,
)
_OTHERS = re.compile(
    rb"II\*\x00|MM\x00\*"  # TIFF
    rb"|.{4}ftyp(?:avif|avis|hei[cx]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
"""Source: the `file` command's magic database, and ISO/IEC 23008-12 for the brands after `ftyp`."""


def begins_image(head: bytes) -> bool:
    """Whether these first bytes are those of a JPEG, PNG, GIF, BMP, WEBP, TIFF, AVIF or HEIC image."""
    return _DECODED.match(head) is not None or begins_undecoded(head)


def begins_undecoded(head: bytes) -> bool:
    """Whether they are those of a TIFF, AVIF or HEIC image, kinds that are not decoded here."""
    return _OTHERS.match(head) is not None


def is_image_file(path: str) -> bool:
    """Whether a regular file begins as an image; False where it cannot be read."""
    try:
        file = open_file(path)
        try:
            return begins_image(os.pread(file, LONGEST, 0))
        finally:
            os.close(file)
    except OSError:
        return False
