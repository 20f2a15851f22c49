"""Small files that would keep a decoder busy for minutes are refused soon, as a fault of their row; honest ones are not."""

import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cotforge.images import Images
from cotforge.images.effort import MOST_SCANS, EffortError, demand_few_scans
from cotforge.images.look import look_at
from cotforge.records import Fault
from tests.project import ran, replay, said, summary, table, write_pipeline, write_rows

SECONDS = 20.0
"""Within which each is refused, on a busy machine; without a bound they take from half a minute to hours."""


def encoded(kind: str, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    data = encoded("JPEG", (1024, 1024), progressive=True)
    last = data[data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda")) : -2]
    return data[:-2] + count * last + data[-2:]


def segments(marker: int, payload: bytes, count: int) -> bytes:
    data = encoded("JPEG")
    return data[:2] + count * (bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload) + data[2:]


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(*chunks: bytes) -> bytes:
    data = encoded("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def gif(blocks: int) -> bytes:
    data = encoded("GIF")
    at = data.index(b"\x2c", 13)
    return data[:at] + blocks * b"\x21\xfe\x01a\x00" + data[at:]


SLOW: dict[str, Callable[[], bytes]] = {
    "20,000 scans": lambda: scans(20_000),
    "few scans too many": lambda: scans(MOST_SCANS + 1),
    "EXIF in 1,400 segments": lambda: segments(0xE1, b"Exif\0\0" + b"x" * 65_000, 1_400),
    "a million comments": lambda: segments(0xFE, b"", 1_000_000),
    "fill bytes": lambda: b"\xff\xd8" + b"\xff" * 10_000_000 + encoded("JPEG")[3:],
    "chunks of text": lambda: png(chunk(b"tEXt", b"k\0v") * 500_000),
    "blocks of a GIF": lambda: gif(3_000_000),
}


@pytest.mark.parametrize("made", SLOW.values(), ids=SLOW)
def test_a_picture_that_takes_long_to_decode_is_refused_soon(made: Callable[[], bytes]) -> None:
    data = made()
    begun = time.monotonic()
    with pytest.raises(Fault) as refused:
        look_at(data, Images())
    assert refused.value.reason == "image_too_slow"
    assert "would take too long to decode: it has more than " in refused.value.detail
    assert time.monotonic() - begun < SECONDS


def animated(kind: str, frames: int) -> bytes:
    first, *others = (Image.new("RGB", (32, 32), (number % 256, number // 256, 7)) for number in range(frames))
    out = BytesIO()
    first.save(out, kind, save_all=True, append_images=others)
    return out.getvalue()


HONEST: dict[str, Callable[[], bytes]] = {
    "progressive": lambda: encoded("JPEG", (800, 600), progressive=True),
    "as many scans as are read": lambda: scans(MOST_SCANS - 10),
    "a profile in 255 segments": lambda: segments(0xE2, b"ICC_PROFILE\0\x01\xff" + b"x" * 60_000, 255),
    "a film behind the picture": lambda: encoded("JPEG") + b"\xff\xda\x00\x02" * 50_000,
    "marks within a segment": lambda: segments(0xEF, b"\xff\xda" * 20_000, 3),
    "GIF of 2,000 frames": lambda: animated("GIF", 2_000),
    "PNG of 1,000 frames": lambda: animated("PNG", 1_000),
    "pixels in chunks of a byte": lambda: split(encoded("PNG")),
}


def split(data: bytes) -> bytes:
    """A PNG with a chunk for every byte of its compressed pixels."""
    return data[:33] + b"".join(chunk(b"IDAT", bytes((byte,))) for byte in b"".join(pixels(data))) + chunk(b"IEND", b"")


def pixels(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


@pytest.mark.parametrize("made", HONEST.values(), ids=HONEST)
def test_an_honest_picture_is_taken_and_only_one_frame_of_it_is_decoded(made: Callable[[], bytes]) -> None:
    assert look_at(made(), Images()).data


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8" + b"\xff\xda" * 500, b"\xff\xd8" + b"\xff\xda\xff\xff" * 500])
def test_counting_scans_raises_nothing_else_whatever_the_bytes(data: bytes) -> None:
    with suppress(EffortError):
        demand_few_scans(data)


def test_a_build_counts_such_a_picture_and_goes_on(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    (tmp_path / "images" / "1.jpg").write_bytes(scans(200))
    write_pipeline(tmp_path, replay(tmp_path, "one", {f"row-{number}": said("awe") for number in range(3)}), consensus={"label": "ignore"})
    assert ran("build", "pipeline.yaml", cwd=tmp_path).returncode == 0
    told = summary(tmp_path / "runs/feelings")
    assert (told["accepted"], told["rejected"]) == (2, {"source:image_too_slow": 1})
    assert "more than 100 scans" in table(tmp_path / "runs/feelings", "losses")[0]["detail"]
