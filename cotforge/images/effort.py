"""How much work a picture may make before it is refused: a small file can keep a decoder busy for minutes."""

import re
from io import BytesIO

MOST_SCANS = 100
"""Scans of a progressive JPEG. Chosen by us: honest ones have about 10, and each goes over all of the picture once more.
Source: libjpeg-turbo, "Two Issues with the JPEG Standard", which names 20,000 scans in 1.7 MB and sets 500 in its own tools."""
MOST_READS = 200_000
"""Pieces that a decoder takes one by one (segments, chunks, blocks, fill bytes). Chosen by us: half a second; honest files of 100 MB
have a tenth of that."""
MOST_METADATA = 20_000_000
"""Bytes of segments and blocks before the pixels. Chosen by us: Pillow joins those of EXIF in a time that grows with their square."""
_PIECE = 1 << 16
"""Bytes up to which a read is one of a segment or block; WEBP is read as a whole."""
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker of JPEG but those within a scan (RST0 to RST7, and FF00). Source: ITU T.81, annex B.1.1."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA


class EffortError(Exception):
    """The picture would take too long; says what there is too much of."""


class Bounded(BytesIO):
    """The bytes of a picture for Pillow, whose own parsers are loops in Python; `read` raises EffortError beyond the bounds."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads = self._metadata = 0
        self.opening = True
        """Whether Pillow still looks for the pixels."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As ever, so many times."""
        self._reads += 1
        if self._reads > MOST_READS:
            raise EffortError(f"more than {MOST_READS:,} pieces")
        data = super().read(size)
        if self.opening and len(data) < _PIECE:
            self._metadata += len(data)
            if self._metadata > MOST_METADATA:
                raise EffortError(f"more than {MOST_METADATA:,} bytes before its pixels")
        return data


def demand_few_scans(data: bytes) -> None:
    """Raises EffortError where a JPEG has more than MOST_SCANS scans in its first picture. Never raises anything else."""
    if data[:2] != b"\xff\xd8" or data.count(b"\xff\xda") <= MOST_SCANS:
        return
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _END:
        at = found.end()
        if found[1][0] in (_START, 0x01):  # without a length
            continue
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
        scans += found[1][0] == _SCAN
        if scans > MOST_SCANS:
            raise EffortError(f"more than {MOST_SCANS} scans")
